"""A request's body as it comes from ASGI `receive()`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from ..domain.errors import Invalid
from ..ports import End
from .pulled import PulledBody
from .waiting import Patience

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_MOST_DIGITS = 16


def content_length(headers: Mapping[bytes, bytes]) -> int | None:
    """How long a body is (RFC 9112 6.3): None when it is chunked, 0 when there is none.

    Headers by lower-case name, repeated ones joined with commas. Raises Invalid for a length that is no plain number,
    for both framings at once, and for a transfer coding other than chunked.
    """
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or coding.strip().lower() != b"chunked":
            raise Invalid("the body must have a Content-Length or be chunked, not both")
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > _MOST_DIGITS:
        raise Invalid("Content-Length must be a whole number")
    return int(length)


class ReceiveBody(PulledBody):
    """A Body over `receive()`.

    `idle` is how many seconds may pass without a byte, `min_rate` how many bytes per second it must be on average once
    that long was spent waiting; SLOW otherwise. `first` are bytes of it that were received before.
    Raises Invalid as `content_length` does.
    """

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        *,
        idle: float = 30.0,
        min_rate: int | None = None,
        first: bytes | None = None,
    ) -> None:
        super().__init__(idle)
        self._length = content_length(headers)
        self._receive = receive
        self._is_here = _readiness(receive)
        self._min_rate = min_rate
        self._pending: asyncio.Task[MutableMapping[str, Any]] | None = None
        self._silence = 0.0  # seconds waited since the last byte
        self._waited = 0.0  # seconds waited in all
        self._is_stuck = False
        self._came = len(first or b"")
        self._kept = first or b""
        self._end = End.ENDED if self._came == self._length else None

    @property
    def length(self) -> int | None:
        return self._length

    @property
    def is_over(self) -> bool:
        """Whether all of it was received."""
        return self._end is End.ENDED

    @property
    def is_stuck(self) -> bool:
        """Whether somebody gave up waiting for more of it."""
        return self._is_stuck

    def close(self) -> None:
        """Give up what is still waited for. Call it when the request is over."""
        if self._pending is not None:
            self._pending.cancel()

    async def whole(self, cap: int) -> bytes | None:
        """The whole body if it has come already and has at most `cap` bytes; it stays to be drained or read.

        Never waits, and so asks nothing of a client that waits for leave to send (`Expect: 100-continue`).
        """
        while self._end is None and self._came <= cap and self._is_here():
            piece = self._account(await self._receive())
            if not isinstance(piece, End):
                self._kept = b"".join((self._kept, piece))
        return bytes(self._kept) if self._end is End.ENDED and len(self._kept) <= cap else None

    def _outlook(self) -> End | None:
        return self._end or (End.LIMIT if self._length is not None else None)

    async def _next(self, patience: Patience) -> bytes | End:
        while self._end is None:
            message = await self._message(patience)
            piece = message if isinstance(message, End) else self._account(message)
            if piece:
                return piece
        return self._end

    async def _message(self, patience: Patience) -> MutableMapping[str, Any] | End:
        if self._pending is None:
            if self._is_here():
                return await self._receive()
            self._pending = asyncio.create_task(_received(self._receive))
            self._pending.add_done_callback(_see)
        if not self._pending.done():
            seconds = await self._wait(self._pending, patience)
            self._silence += seconds
            self._waited += seconds
        if self._pending.done():
            message, self._pending = self._pending.result(), None
            return message
        if self._silence >= self._idle:
            self._is_stuck = True
            return End.SLOW
        self._is_stuck = patience.stopped
        return End.STOPPED if patience.stopped else End.PAUSE

    async def _wait(self, pending: asyncio.Task[MutableMapping[str, Any]], patience: Patience) -> float:
        try:
            return await patience.wait(pending, self._idle - self._silence)
        except asyncio.CancelledError:
            self.close()
            raise

    def _account(self, message: MutableMapping[str, Any]) -> bytes | End:
        """The bytes of a message. Also says what is known now about the end."""
        if message["type"] != "http.request":
            self._end = End.CUT
            left = _leftovers(self._receive)[: None if self._length is None else self._length - self._came]
            self._came += len(left)
            return left or End.CUT
        piece: bytes = message.get("body", b"")
        if self._length is not None and len(piece) > self._length - self._came:
            piece = piece[: self._length - self._came]
            self._end = End.CUT
            return piece
        self._came += len(piece)
        if piece:
            self._silence = 0.0
        if self._came == self._length:
            self._end = End.ENDED
        elif not message.get("more_body", False):
            self._end = End.ENDED if self._length is None else End.CUT
        elif self._min_rate is not None and self._waited > self._idle and self._came < self._min_rate * self._waited:
            self._end = End.SLOW
        return piece


def _readiness(receive: Receive) -> Callable[[], bool]:
    """Tells whether `receive()` would return at once. False when that cannot be known.

    It is known for uvicorn's own `receive`, which waits for an event, and only when it has nothing. That spares the
    task which a wait that can be interrupted needs: 6 us of the 100 that a small upload takes.
    """
    event = getattr(getattr(receive, "__self__", None), "message_event", None)
    return event.is_set if isinstance(event, asyncio.Event) else lambda: False


def _leftovers(receive: Receive) -> bytes:
    """What uvicorn had read when the client hung up. Its `receive` says only that it did, and keeps the bytes."""
    cycle = getattr(receive, "__self__", None)
    body = getattr(cycle, "body", None)
    if not isinstance(body, bytearray):
        return b""
    piece = bytes(body)
    body.clear()
    return piece


async def _received(receive: Receive) -> MutableMapping[str, Any]:
    return await receive()


def _see(task: asyncio.Task[MutableMapping[str, Any]]) -> None:
    """A request may end before its `receive()` does; nobody is left to hear of an error then."""
    if not task.cancelled():
        task.exception()
