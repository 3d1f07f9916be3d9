"""Where bytes are, and how they get there durably."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class ChunkFile(Protocol):
    """One upload's bytes, open for writing at absolute positions."""

    @property
    def allocated(self) -> int:
        """Bytes from zero that the disk has set aside."""

    async def write(self, position: int, pieces: Sequence[bytes | memoryview], *, sync: bool = False) -> int:
        """Write all of `pieces` one after the other from `position`; how many bytes.

        With `sync`, everything written through this file is durable on return (data, and the file's name in its
        directory), unless the store is relaxed. Loops over short writes. If the awaiting task is cancelled, the
        write that is under way is finished before the cancellation is raised.
        Raises StorageFull or StorageFailed; then nothing after the last successful sync may be relied on.
        """

    async def sync(self) -> None:
        """Make what was written durable, as `write(sync=True)` does."""

    async def read(self, position: int, size: int) -> bytes:
        """At most `size` bytes from `position`; fewer only at the end of the file."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A stretch of bytes to copy: all of `place` from 0 to `size`."""

    place: str
    size: int


class ChunkStore(Protocol):
    """Where bytes are. A place is "<hour>/<id>", made by the server only."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def writer(self, place: str, *, expected: int | None) -> ChunkFile:
        """A file to write to, made on its first write. `expected` is the length it will have, if known."""

    async def size(self, place: str) -> int | None:
        """The file's size in bytes; None when there is none."""

    async def remove(self, place: str) -> None:
        """No error when there is none."""

    async def join(self, place: str, sources: Sequence[Source], progress: Callable[[int], None]) -> None:
        """Make `place` of the sources, one after the other, durable on return; reflinks where the disk can.

        `progress` hears the bytes done so far. Replaces whatever an earlier attempt left.
        """

    async def digest(self, place: str, size: int, algorithms: Sequence[str]) -> dict[str, str]:
        """Hex digests of the first `size` bytes, off the loop. Raises StorageFailed when there are fewer."""

    def stream(self, place: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes `[start, end)` in pieces of at most 1 MiB."""

    async def free(self) -> int:
        """Bytes that may still be promised: what the disk has, less the reserve. May be up to 1 s old."""

    async def listing(self) -> list[tuple[str, float]]:
        """All places, with their age in seconds."""
