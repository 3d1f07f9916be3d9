"""Bytes in files: `<root>/bytes/<hour>/<id>`, written at absolute positions, never moved.

Folders go by the hour of creation, so that many commits at a time share one sync of the directory. Nothing that a
client says becomes part of a path.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Literal

from ..ports import Source
from . import bulk
from .errors import Translated
from .group import GroupSync
from .inode import DIRECTORY_MODE, Barrier, Disk, Inode, sync_directory
from .threads import Threads

MIB = 1024 * 1024
TINY = 64 * 1024  # bytes; relaxed writes up to this may be made on the spot
FREE_FOR = 1.0  # seconds that a look at the free space is good for

_PLACE = re.compile(r"[0-9]{10}/[0-9a-f]{32}")


class FileChunks:
    """A ChunkStore on one local file system.

    `reserve` are bytes of the disk never to be promised (at most a tenth of it), `step` how many are set aside ahead
    of the writes. `threads` is how many writes may wait for the disk at a time. Syncs side by side share a journal
    commit and a flush of the disk's cache, so more threads are more small uploads per second: 32 writers of new files
    of 4 KiB got 4,000 to 6,000 files/s from 8 threads or more, and 500 to 2,000 when one thread wrote them as a group
    and synced them one after the other, as each of these syncs flushes the disk (ext4, 2 cores). `relaxed` makes
    nothing durable.
    """

    def __init__(
        self,
        root: Path,
        *,
        durability: Literal["durable", "relaxed"],
        reserve: int,
        threads: int,
        step: int = 64 * MIB,
    ) -> None:
        self._top = str(root / "bytes")
        self._reserve = reserve
        self._disk = Disk(top=Barrier(partial(sync_directory, self._top)), step=step, durable=durability == "durable")
        self._hours: dict[str, Barrier] = {}
        self._inodes: dict[str, Inode] = {}
        self._free = 0
        self._free_until = 0.0
        self._errors = Translated(self._look_again)
        self._count = threads
        self._begin()

    def _begin(self) -> None:
        """Threads for the next time it is opened. None is started before it is needed."""
        self._threads = Threads(self._count, "bytes")
        # Joining and hashing take seconds; they have their own threads, so that no PATCH waits behind them.
        self._bulk = Threads(2, "bulk")
        self._syncs = Threads(1, "sync")
        self._group = GroupSync(self._top, self._syncs)

    async def open(self) -> None:
        """Makes `bytes` below the root. Raises StorageFailed."""
        with self._errors:
            await self._threads.run(self._make_top)
            if self._disk.durable:
                self._group.open()

    def _make_top(self) -> None:
        os.makedirs(self._top, DIRECTORY_MODE, exist_ok=True)
        if self._disk.durable:
            sync_directory(os.path.dirname(self._top))

    async def close(self) -> None:
        """Waits for what is under way."""
        await self._group.close()
        await self._syncs.close()
        await self._threads.close()
        await self._bulk.close()
        for inode in self._inodes.values():
            inode.close()
        self._inodes.clear()
        self._begin()

    def writer(self, place: str, *, expected: int | None) -> Writer:
        """As the port says; no I/O here: the first write opens the file, in the same turn of a thread."""
        path, hour = self._locate(place)
        inode = self._inodes.get(place)
        if inode is None:
            inode = self._inodes[place] = Inode(path, hour, self._disk)
        inode.users += 1
        if expected is not None:
            inode.expected = expected
        return Writer(
            inode, self._threads, self._group if self._disk.durable else None, self._errors,
            partial(self._release, place, inode),
        )

    def _release(self, place: str, inode: Inode) -> None:
        inode.users -= 1
        if not inode.users and self._inodes.get(place) is inode:
            del self._inodes[place]
            inode.close()

    async def size(self, place: str) -> int | None:
        path, _ = self._locate(place)
        with self._errors:
            try:
                return (await self._threads.run(partial(os.lstat, path))).st_size
            except FileNotFoundError:
                return None

    async def remove(self, place: str) -> None:
        path, _ = self._locate(place)
        with self._errors:
            try:
                await self._threads.run(partial(os.unlink, path))
            except FileNotFoundError:
                return
        self._look_again()

    async def join(self, place: str, sources: Sequence[Source], progress: Callable[[int], None]) -> None:
        path, hour = self._locate(place)
        parts = [bulk.Part(self._locate(source.place)[0], source.size) for source in sources]
        join = bulk.Join(path, parts, hour, self._disk)
        with self._errors:
            await join.run(self._bulk, progress)

    async def digest(self, place: str, size: int, algorithms: Sequence[str]) -> dict[str, str]:
        path, _ = self._locate(place)
        with self._errors:
            return await bulk.digest(self._bulk, path, size, algorithms)

    def stream(self, place: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        path, _ = self._locate(place)
        return self._stream(path, start, end)

    async def _stream(self, path: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        with self._errors:
            async with aclosing(bulk.stream(self._threads, path, start, end)) as pieces:
                async for piece in pieces:
                    yield piece

    async def free(self) -> int:
        now = time.monotonic()
        if now >= self._free_until:
            with self._errors:
                facts = os.statvfs(self._top)
            reserve = min(self._reserve, facts.f_blocks * facts.f_frsize // 10)
            self._free = max(0, facts.f_bavail * facts.f_frsize - reserve)
            self._free_until = now + FREE_FOR
        return self._free

    def _look_again(self) -> None:
        self._free_until = 0.0

    async def listing(self) -> list[tuple[str, float]]:
        """As the port says. Names that are not ours are left out."""
        with self._errors:
            return await self._bulk.run(self._list)

    def _list(self) -> list[tuple[str, float]]:
        now = time.time()
        found = []
        for hour in os.listdir(self._top):
            if hour.isdigit():
                found += [(f"{hour}/{name}", max(0.0, now - when)) for name, when in _names(f"{self._top}/{hour}")]
        return [(place, age) for place, age in found if _PLACE.fullmatch(place)]

    def _locate(self, place: str) -> tuple[str, Barrier]:
        """The path of a place, and what makes a name there durable. ValueError for what is no place of ours."""
        if not _PLACE.fullmatch(place):
            raise ValueError(f"not a place: {place!r}")
        hour = place[:10]
        barrier = self._hours.get(hour)
        if barrier is None:
            barrier = self._hours[hour] = Barrier(partial(sync_directory, f"{self._top}/{hour}"))
        return f"{self._top}/{place}", barrier


def _names(directory: str) -> list[tuple[str, float]]:
    """Names in a directory and when they were written to last; those that vanish meanwhile are left out."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                found.append((entry.name, entry.stat(follow_symlinks=False).st_mtime))
            except FileNotFoundError:
                continue
    return found


class Writer:
    """A ChunkFile: one request's hold on an Inode."""

    __slots__ = ("_durable", "_errors", "_group", "_inode", "_release", "_threads")

    def __init__(
        self,
        inode: Inode,
        threads: Threads,
        group: GroupSync | None,
        errors: Translated,
        release: Callable[[], None],
    ) -> None:
        """`group`: how small writes are made durable together; None when nothing is."""
        self._inode = inode
        self._threads = threads
        self._errors = errors
        self._group = group
        self._durable = group is not None
        self._release: Callable[[], None] | None = release

    @property
    def allocated(self) -> int:
        return self._inode.allocated

    async def write(self, position: int, pieces: Sequence[bytes | memoryview], *, sync: bool = False) -> int:
        size = sum(map(len, pieces))
        if self._group is not None and sync and size <= TINY:
            return await self._write_tiny(self._group, position, pieces, size)
        work = partial(self._write, position, pieces, size, sync and self._durable)
        with self._errors:
            # A write to the page cache takes 10 us, less than the way to a thread and back: 32 relaxed writers of new
            # files of 4 KiB got 29,000 files/s on the loop and 16,000 in threads. But the kernel makes writers wait
            # when much is dirty, and the loop must not: with other writes under way a thread takes it.
            if not self._durable and size <= TINY and self._threads.idle:
                work()
            else:
                await self._threads.run(work)
        return size

    async def _write_tiny(
        self, group: GroupSync, position: int, pieces: Sequence[bytes | memoryview], size: int
    ) -> int:
        """Durable, together with others if there are any."""
        group.writers += 1
        try:
            with self._errors:
                if not group.is_worth_it():
                    await self._threads.run(partial(self._write, position, pieces, size, True))
                    return size
                if self._threads.idle:
                    self._write(position, pieces, size, False)
                else:
                    await self._threads.run(partial(self._write, position, pieces, size, False))
                with self._inode.poisoned_by_errors():
                    await group.settle()
        finally:
            group.writers -= 1
        return size

    def _write(self, position: int, pieces: Sequence[bytes | memoryview], size: int, sync: bool) -> None:
        self._inode.write(position, pieces, size)
        if sync:
            self._inode.settle()

    async def sync(self) -> None:
        if self._durable:
            with self._errors:
                await self._threads.run(self._inode.settle)

    async def read(self, position: int, size: int) -> bytes:
        with self._errors:
            return await self._threads.run(partial(self._inode.read, position, size))

    async def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()
