"""Which bytes of an upload arrived: a prefix from zero, and islands beyond it.

The prefix is the tus and IETF offset. A REST chunk has arrived when its byte range is covered.
Ranges are half open, `[start, end)`, in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a range that is asked for: `fresh` bytes are to be written, the others are already there."""

    start: int
    end: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Ranges:
    """An immutable set of byte positions.

    `islands` are sorted, disjoint, non-empty, do not touch each other and lie wholly beyond `prefix`.
    """

    prefix: int = 0
    islands: tuple[Span, ...] = ()

    @property
    def total(self) -> int:
        """How many bytes arrived."""
        if not self.islands:
            return self.prefix
        return self.prefix + sum(end - start for start, end in self.islands)

    @property
    def end(self) -> int:
        """One past the highest byte that arrived."""
        return self.islands[-1][1] if self.islands else self.prefix

    def add(self, start: int, end: int) -> Ranges:
        """The set with `[start, end)` in it."""
        if start >= end:
            return self
        if start <= self.prefix and not self.islands:
            return Ranges(max(self.prefix, end))
        kept: list[Span] = []
        for a, b in self._spans():
            if b < start or a > end:
                kept.append((a, b))
            else:
                start, end = min(a, start), max(b, end)
        kept.append((start, end))
        kept.sort()
        if kept[0][0] == 0:
            return Ranges(kept[0][1], tuple(kept[1:]))
        return Ranges(0, tuple(kept))

    def covers(self, start: int, end: int) -> bool:
        """Whether all of `[start, end)` arrived. An empty range always has."""
        if start >= end or end <= self.prefix:
            return True
        return any(a <= start and end <= b for a, b in self._spans())

    def segments(self, start: int, end: int) -> Iterator[Segment]:
        """`[start, end)` cut where fresh bytes and bytes that are there already meet, in order."""
        at = start
        for a, b in self._spans():
            if b <= at:
                continue
            if a >= end or at >= end:
                break
            if a > at:
                yield Segment(at, a, True)
                at = a
            upto = min(b, end)
            yield Segment(at, upto, False)
            at = upto
        if at < end:
            yield Segment(at, end, True)

    def missing(self, start: int, end: int) -> tuple[Span, ...]:
        """The gaps in `[start, end)`."""
        return tuple((s.start, s.end) for s in self.segments(start, end) if s.fresh)

    def _spans(self) -> Iterator[Span]:
        if self.prefix:
            yield (0, self.prefix)
        yield from self.islands
