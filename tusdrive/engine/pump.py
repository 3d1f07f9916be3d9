"""Moving a body into an upload's file: the only loop that does so.

Bytes that are there already are compared, never written again: what was acknowledged cannot be overwritten.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..domain.checksum import Checksum
from ..domain.errors import (
    BodyTimeout,
    BytesDiffer,
    ChecksumMismatch,
    Incomplete,
    Interrupted,
    SizeExceeded,
    TooLarge,
    TusdriveError,
)
from ..domain.ranges import Ranges, Segment
from ..ports import Body, ChunkFile, Drained, End, Stop

COMPARE = 1024 * 1024
"""Bytes compared at a time."""

OPEN_END = 1 << 62
"""Stands for "no end known" where a range needs one; above any size that is accepted."""

Tap = Callable[[bytes | memoryview], None]


@dataclass(slots=True)
class Progress:
    """Where a pump is. `position` is one past the last byte that is durable on disk."""

    position: int
    end: End = End.PAUSE


async def pump(
    body: Body,
    file: ChunkFile,
    received: Ranges,
    at: Progress,
    limit: int | None,
    *,
    stop: Stop,
    tap: Tap | None,
    step: int | None,
    commit: Callable[[Progress], Awaitable[None]] | None,
) -> None:
    """Drain `body` from `at.position` on, at most up to `limit`; `at` says how far it came and why it ended.

    `commit` is awaited after each step and at the end, when everything up to `at.position` is durable; without one
    the caller commits. Raises BytesDiffer when a byte that is there already is another one.
    """
    upto = OPEN_END if limit is None else limit
    segments = list(received.segments(at.position, upto)) or [Segment(upto, upto, True)]
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        while True:
            goal = limit if last else segment.end
            drained = await _turn(body, file, at.position, goal, segment.fresh, stop=stop, tap=tap, step=step)
            at.position += drained.count
            at.end = drained.end
            over = last and drained.end is End.LIMIT
            if commit is not None and not over:
                await commit(at)
            if drained.end is not End.PAUSE:
                break
        if at.end is not End.LIMIT:
            return


async def _turn(
    body: Body,
    file: ChunkFile,
    position: int,
    goal: int | None,
    fresh: bool,
    *,
    stop: Stop,
    tap: Tap | None,
    step: int | None,
) -> Drained:
    if fresh:
        return await body.drain_to(file, position, goal, stop=stop, tap=tap, step=step)
    assert goal is not None, "bytes that are there have an end"
    if position == goal:
        return await body.drain_to(file, position, goal, stop=stop, tap=tap, step=step)
    piece, end = await body.read(min(COMPARE, goal - position), stop=stop)
    if end is not None:
        return Drained(0, end)
    if tap is not None:
        tap(piece)
    if await file.read(position, len(piece)) != piece:
        raise BytesDiffer(position=position)
    return Drained(len(piece), End.PAUSE)


class Verifier:
    """Hashes one request's bytes as they pass."""

    __slots__ = ("_checksum", "_hasher", "update")

    def __init__(self, checksum: Checksum) -> None:
        self._checksum = checksum
        self._hasher = checksum.algorithm.begin()
        self.update: Tap = self._hasher.update

    def verify(self) -> None:
        """Raises ChecksumMismatch."""
        if self._hasher.digest() != self._checksum.digest:
            raise ChecksumMismatch(algorithm=self._checksum.algorithm.name)


def raise_for(end: End, *, limited: bool) -> None:
    """Raise what a request is told when its body did not end as it should. Nothing for ENDED."""
    if end is End.ENDED:
        return
    error: TusdriveError
    if end is End.LIMIT:
        error = SizeExceeded() if limited else TooLarge()
    elif end is End.STOPPED:
        error = Interrupted()
    elif end is End.SLOW:
        error = BodyTimeout()
    else:
        error = Incomplete()
    raise error
