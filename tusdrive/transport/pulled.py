"""What all bodies do that are pulled piece by piece: drain to a file, read, and take in whole."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from ..domain.errors import BodyTimeout, Incomplete, TooLarge
from ..ports import ChunkFile, Drained, End, Stop
from .waiting import Never, Patience

Piece = bytes | memoryview
Tap = Callable[[Piece], None]

BLOCK = 1024 * 1024  # bytes gathered before they are written
TURN = 1.0  # seconds until what has come is to be committed
HASH_ON_LOOP = 64 * 1024  # bytes; a tap of more is called in a thread


class PulledBody(ABC):
    """A Body over `_next`, which brings the next piece, of whatever length. `idle`: seconds a `text` may take."""

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._kept: Piece = b""  # came, and was not asked for yet

    @property
    @abstractmethod
    def length(self) -> int | None:
        """As in the port."""

    @abstractmethod
    async def _next(self, patience: Patience) -> Piece | End:
        """The next piece, not empty, or why there is none. Nothing is lost when it is STOPPED, PAUSE or SLOW."""

    @abstractmethod
    def _outlook(self) -> End | None:
        """What is known without waiting: LIMIT when more follows, another End when nothing does, None otherwise."""

    async def read(self, size: int, *, stop: Stop) -> tuple[bytes, End | None]:
        """As the port says."""
        patience = Patience(stop)
        try:
            piece = await self._take(size, patience)
        finally:
            patience.close()
        return (b"", piece) if isinstance(piece, End) else (bytes(piece), None)

    async def text(self, cap: int) -> bytes:
        """As the port says. All of it has to come within the idle time."""
        if self.length is not None and self.length > cap:
            raise TooLarge(f"the body is larger than {cap} bytes", limit=cap)
        patience = Patience(Never(), self._idle)
        patience.due = True
        try:
            return await self._whole(cap, patience)
        finally:
            patience.close()

    async def _whole(self, cap: int, patience: Patience) -> bytes:
        pieces, size = [], 0
        while not isinstance(piece := await self._take(BLOCK, patience), End):
            pieces.append(piece)
            size += len(piece)
            if size > cap:
                raise TooLarge(f"the body is larger than {cap} bytes", limit=cap)
            if patience.over:
                raise BodyTimeout
        if piece is End.CUT:
            raise Incomplete
        if piece is not End.ENDED:
            raise BodyTimeout
        return b"".join(pieces)

    async def drain_to(
        self,
        file: ChunkFile,
        position: int,
        limit: int | None,
        *,
        stop: Stop,
        tap: Tap | None = None,
        step: int | None = None,
        sync: bool = True,
    ) -> Drained:
        """As the port says. Once `stop` is set, what is here already is still taken, up to 1 MiB."""
        room = None if limit is None else max(0, limit - position)
        patience = Patience(stop, TURN)
        count = 0
        try:
            while True:
                pieces, size, end = await self._block(room, step, count, patience)
                if tap is not None:
                    await _feed(tap, pieces, size)
                if pieces:
                    await file.write(position + count, pieces, sync=sync and end is not None)
                elif sync and count:
                    await file.sync()
                count += size
                if end is not None:
                    return Drained(count, end)
        finally:
            patience.close()

    async def _block(
        self, room: int | None, step: int | None, count: int, patience: Patience
    ) -> tuple[list[Piece], int, End | None]:
        """Up to 1 MiB to write next, and why the drain ends with it, if it does. That is known before the write, so
        that writing and syncing the last block are one trip to the disk."""
        most = min(BLOCK if room is None else room - count, BLOCK if step is None else step - count, BLOCK)
        pieces: list[Piece] = []
        size = 0
        end: End | None = None
        while size < most and end is None:
            patience.due = count + size > 0
            piece = await self._take(most - size, patience)
            if isinstance(piece, End):
                end = piece
            else:
                pieces.append(piece)
                size += len(piece)
        if end is None:
            end = await self._why(count + size, room, step, patience)
        return pieces, size, end

    async def _why(self, total: int, room: int | None, step: int | None, patience: Patience) -> End | None:
        """Why the drain ends at `total` bytes, when it does."""
        known = End.LIMIT if self._kept else self._outlook()
        if total == room:
            return known or await self._beyond(patience)
        if known not in (None, End.LIMIT):
            return known
        if patience.stopped:
            return End.STOPPED
        patience.due = total > 0
        return End.PAUSE if total == step or patience.over else None

    async def _beyond(self, patience: Patience) -> End:
        """LIMIT when there is more; it is kept. The reason there is none otherwise."""
        patience.due = True
        more = await self._take(BLOCK, patience)
        if isinstance(more, End):
            return more
        self._kept = more
        return End.LIMIT

    async def _take(self, most: int, patience: Patience) -> Piece | End:
        """At most `most` bytes, at least one."""
        piece: Piece | End = self._kept or await self._next(patience)
        if isinstance(piece, End):
            return piece
        if len(piece) <= most:
            self._kept = b""
            return piece
        view = memoryview(piece)
        self._kept = view[most:]
        return view[:most]


async def _feed(tap: Tap, pieces: list[Piece], size: int) -> None:
    if size <= HASH_ON_LOOP:
        for piece in pieces:
            tap(piece)
    else:
        await asyncio.to_thread(_feed_all, tap, pieces)


def _feed_all(tap: Tap, pieces: list[Piece]) -> None:
    for piece in pieces:
        tap(piece)
