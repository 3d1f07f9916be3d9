"""A client's end of a body: what is sent, `receive()` gives; what is not, it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from tusdrive.storage.locks import Signal

Message = MutableMapping[str, Any]


class Client:
    """Sends a body in pieces, whenever it is told to. `receive` is the server's end."""

    def __init__(self, *pieces: bytes, end: bool = False) -> None:
        self._queue: asyncio.Queue[Message] = asyncio.Queue()
        self.received = 0
        self.delay = 0.0  # seconds that something between client and server sits on each message
        for piece in pieces:
            self.send(piece)
        if end:
            self.finish()

    def send(self, piece: bytes, *, more: bool = True) -> None:
        self._queue.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def finish(self) -> None:
        self.send(b"", more=False)

    def vanish(self) -> None:
        self._queue.put_nowait({"type": "http.disconnect"})

    async def receive(self) -> Message:
        message = await self._queue.get()
        if self.delay:
            await asyncio.sleep(self.delay)
        self.received += 1
        return message


def sized(length: int) -> dict[bytes, bytes]:
    return {b"content-length": str(length).encode()}


CHUNKED = {b"transfer-encoding": b"chunked"}


def never() -> Signal:
    return Signal()
