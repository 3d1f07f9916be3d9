"""Request bodies: drained to a file or asked for piece by piece; how they ended is a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from .chunks import ChunkFile


class End(Enum):
    """Why a drain stopped."""

    ENDED = "ended"  # the body is complete
    LIMIT = "limit"  # the limit was reached and the body goes on
    PAUSE = "pause"  # the step or the time for one commit is used up; there is more
    CUT = "cut"  # the client is gone, or the body was malformed
    STOPPED = "stopped"  # somebody else wants the upload, or the server stops
    SLOW = "slow"  # nothing came for too long


@dataclass(frozen=True, slots=True)
class Drained:
    """How many bytes went to the file, durable if that was asked for, and why it stopped. Errors are values here."""

    count: int
    end: End


class Stop(Protocol):
    """Says when a holder should let go."""

    def is_set(self) -> bool: ...

    async def wait(self) -> Any: ...


class Body(Protocol):
    """A request's body. It may be asked for piece by piece or drained to a file, never both at once."""

    @property
    def length(self) -> int | None:
        """Content-Length; None for a chunked body. 0 when there is none."""

    async def drain_to(
        self,
        file: ChunkFile,
        position: int,
        limit: int | None,
        *,
        stop: Stop,
        tap: Callable[[bytes | memoryview], None] | None = None,
        step: int | None = None,
        sync: bool = True,
    ) -> Drained:
        """Write the body to `file` from `position` on, at most up to position `limit`.

        Every byte passes through `tap`, if there is one, before it is written. Returns PAUSE after `step` bytes or
        about a second. Never reads past the limit more than it must to know that there is more (then LIMIT).
        Raises only what the file raises; everything about the body is in the result.
        """

    async def whole(self, cap: int) -> bytes | None:
        """The whole body, if it is here already and has at most `cap` bytes. Never waits; a drain gives it too."""

    async def read(self, size: int, *, stop: Stop) -> tuple[bytes, End | None]:
        """At most `size` bytes, at least one unless the second value says why there are none."""

    async def text(self, cap: int) -> bytes:
        """A small body, whole. Raises TooLarge over `cap` bytes, Incomplete when it is cut, BodyTimeout."""
