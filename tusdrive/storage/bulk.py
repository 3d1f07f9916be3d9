"""Work on whole files, in turns that are short enough to be called off between them."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import aiofiles

from ..domain.errors import StorageFailed
from ..ports.settling import settled
from .fallocate import start_writeback
from .inode import FILE_MODE, Barrier, Disk, create, write_all
from .threads import Threads

PIECE = 1024 * 1024  # bytes read at once
TURN = 32 * 1024 * 1024  # bytes copied or hashed before the task may be cancelled: some 20 ms

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_REWRITE = os.O_RDWR | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
# What copy_file_range says when it cannot do these two files, or cannot at all, and reading and writing may.
_NO_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})


@dataclass(frozen=True, slots=True)
class Part:
    """A file to copy, from its beginning to `size` bytes."""

    path: str
    size: int


class Join:
    """Files copied into one, one after the other, with reflinks where the file system has them."""

    def __init__(self, path: str, parts: Sequence[Part], hour: Barrier, disk: Disk) -> None:
        self._path = path
        self._parts = parts
        self._hour = hour
        self._disk = disk
        self._fd = -1
        self._source = -1

    async def run(self, threads: Threads, progress: Callable[[int], None]) -> None:
        """Durable on return. Raises OSError, StorageFailed when a part is shorter than it should be."""
        done = 0
        try:
            await threads.run(self._open)
            for part in self._parts:
                await threads.run(partial(self._open_part, part))
                copied = 0
                while copied < part.size:
                    copied += await threads.run(partial(self._copy, copied, done + copied, part.size - copied))
                    progress(done + copied)
                done += part.size
            await threads.run(self._settle)
        except (OSError, StorageFailed):
            await threads.run(self._give_up)
            raise
        finally:
            self._close_part()
            if self._fd >= 0:
                os.close(self._fd)

    def _open(self) -> None:
        try:
            self._fd = os.open(self._path, _REWRITE, FILE_MODE)
        except FileNotFoundError:
            self._fd = create(self._path, self._disk.top)
            self._hour.touch()

    def _open_part(self, part: Part) -> None:
        self._close_part()
        self._source = os.open(part.path, _READ)

    def _close_part(self) -> None:
        if self._source >= 0:
            fd, self._source = self._source, -1
            os.close(fd)

    def _copy(self, start: int, position: int, left: int) -> int:
        """One turn, at least one byte. The disk starts on it at once, so that the sync at the end finds little left."""
        size = min(left, TURN)
        try:
            copied = os.copy_file_range(self._source, self._fd, size, start, position)
        except OSError as exc:
            if exc.errno not in _NO_COPY:
                raise
            data = os.pread(self._source, min(size, PIECE), start)
            copied = len(data)
            write_all(self._fd, position, [data], copied)
        if not copied:
            raise StorageFailed
        if self._disk.durable:
            start_writeback(self._fd)
        return copied

    def _settle(self) -> None:
        if self._disk.durable:
            os.fdatasync(self._fd)
            self._hour.settle()
            self._disk.top.settle()

    def _give_up(self) -> None:
        """What was copied is of no use, and on a full disk its room is needed."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)


async def digest(threads: Threads, path: str, size: int, algorithms: Sequence[str]) -> dict[str, str]:
    """Hex digests of the first `size` bytes. Raises OSError, StorageFailed when there are fewer."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    buffer = memoryview(bytearray(min(PIECE, size)))
    held: list[int] = []
    try:
        await threads.run(lambda: held.append(os.open(path, _READ)))
        for start in range(0, size, TURN):
            await threads.run(partial(_hash, held[0], start, min(start + TURN, size), buffer, list(hashes.values())))
    finally:
        for fd in held:
            os.close(fd)
    return {name: hash.hexdigest() for name, hash in hashes.items()}


def _hash(fd: int, start: int, end: int, buffer: memoryview, hashes: Sequence[hashlib._Hash]) -> None:
    while start < end:
        got = os.preadv(fd, [buffer[: end - start]], start)
        if not got:
            raise StorageFailed
        for hash in hashes:
            hash.update(buffer[:got])
        start += got


async def stream(threads: Threads, path: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
    """The bytes `[start, end)`, in pieces of at most 1 MiB. Raises OSError, StorageFailed when there are fewer.

    The descriptor is closed here and not by aiofiles: a cancelled aiofiles call loses the file that the thread opens.
    """
    held: list[int] = []
    try:
        await threads.run(lambda: held.append(_open_at(path, start)))
        file = await settled(aiofiles.open(held[0], "rb", buffering=0, closefd=False, executor=threads.executor))
        while start < end:
            piece = await settled(file.read(min(PIECE, end - start)))
            if not piece:
                raise StorageFailed
            start += len(piece)
            yield piece
    finally:
        for fd in held:
            os.close(fd)


def _open_at(path: str, start: int) -> int:
    fd = os.open(path, _READ)
    os.lseek(fd, start, os.SEEK_SET)
    return fd
