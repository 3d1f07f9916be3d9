"""One open file as its writers share it, and the syncs that make it durable. Everything here runs in threads."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..domain.errors import StorageFailed
from .fallocate import UNSUPPORTED, set_aside

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700
WORTH_SETTING_ASIDE = 1024 * 1024  # bytes; below that, setting blocks aside costs more than it saves
_IOV_MAX = 1024  # buffers one pwritev takes
_NOT_TRIED = frozenset({errno.EMFILE, errno.ENFILE})  # no descriptor for the directory: it was not even opened
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def sync_directory(path: str) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Turn:
    """A lock and its condition. The condition is made when somebody has to wait: few files are ever waited for."""

    __slots__ = ("_condition", "acquire", "lock", "release")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.acquire, self.release = self.lock.acquire, self.lock.release
        self._condition: threading.Condition | None = None

    def wait(self) -> None:
        """With the lock held: let go of it until somebody notifies."""
        if self._condition is None:
            self._condition = threading.Condition(self.lock)
        self._condition.wait()

    def notify_all(self) -> None:
        """With the lock held."""
        if self._condition is not None:
            self._condition.notify_all()


class Barrier:
    """A file or a directory that can be made durable. One sync serves all whose change was made before it began.

    Once a sync has failed, all later ones fail: Linux drops the dirty pages of a failed sync and would report the next
    one as a success. A new barrier counts as changed: somebody may have died between change and sync.
    """

    __slots__ = ("_changes", "_durable", "_sync", "_syncing", "_turn", "failed")

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._turn = Turn()
        self._changes = 1
        self._durable = 0
        self._syncing = False
        self.failed = False

    def touch(self) -> None:
        """Something was changed just now."""
        with self._turn.lock:
            self._changes += 1

    def settle(self) -> None:
        """All changes so far are durable on return. Raises OSError for the sync that failed, StorageFailed later."""
        with self._turn.lock:
            wanted = self._changes
            while self._durable < wanted:
                if self.failed:
                    raise StorageFailed
                if self._syncing:
                    self._turn.wait()
                else:
                    self._sync_now()

    def _sync_now(self) -> None:
        self._syncing, covers = True, self._changes
        self._turn.release()
        try:
            self._sync()
        except OSError as exc:
            self.failed = exc.errno not in _NOT_TRIED
            raise
        finally:
            self._turn.acquire()
            self._syncing = False
            self._turn.notify_all()
        self._durable = covers


@dataclass(slots=True)
class Disk:
    """What all files of a store have in common."""

    top: Barrier  # the directory that the hours are in
    step: int  # bytes to set aside at once
    durable: bool
    fallocates: bool = True  # until the file system says that it cannot


class Inode:
    """A file at one place. Several requests may write to different stretches of it at once.

    They share a descriptor, so that a failed sync is known to all of them, and the count of writes under way, so that
    giving blocks back (by truncating to the size) never meets a write that is about to make the file longer.
    """

    __slots__ = ("_data", "_disk", "_fd", "_hour", "_path", "_turn", "_writing", "allocated", "expected", "users")

    def __init__(self, path: str, hour: Barrier, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._turn = Turn()
        self._writing = 0
        self._hour = hour
        self._data = Barrier(self._datasync)
        self.expected: int | None = None
        self.allocated = 0
        self._fd = -1
        self.users = 0

    def write(self, position: int, pieces: Sequence[bytes | memoryview], size: int) -> None:
        """Write all of `pieces`, `size` bytes together. Opens the file, or makes it. Raises OSError, StorageFailed."""
        with self._turn.lock:
            if self._data.failed:
                raise StorageFailed
            if self._fd < 0:
                self._open()
            self._set_aside(position + size)
            self._writing += 1
        done = position
        try:
            write_all(self._fd, position, pieces, size)
            done += size
        finally:
            self._data.touch()
            with self._turn.lock:
                if position <= self.allocated < done:
                    self.allocated = done
                self._writing -= 1
                if not self._writing:
                    self._turn.notify_all()

    def read(self, position: int, size: int) -> bytes:
        """At most `size` bytes; none when there is no file. Raises OSError, StorageFailed."""
        with self._turn.lock:
            if self._data.failed:
                raise StorageFailed
            if self._fd < 0 and not self._open_existing():
                return b""
        return read_all(self._fd, position, size)

    def settle(self) -> None:
        """All that was written is durable on return, the file's name included. Raises OSError, StorageFailed."""
        if self._data.failed:
            raise StorageFailed
        if self._fd >= 0:
            self._data.settle()
            self._hour.settle()
            self._disk.top.settle()

    def close(self) -> None:
        """Quick enough for the loop: nothing is flushed by it, and a file that others hold open is not freed."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    @contextmanager
    def poisoned_by_errors(self) -> Iterator[None]:
        """A sync elsewhere speaks for this file too: if it fails, nothing may be relied on here either."""
        try:
            yield
        except OSError:
            self._data.failed = True
            raise

    def _datasync(self) -> None:
        os.fdatasync(self._fd)

    def _open(self) -> None:
        while True:  # most files are new, and most are written to once
            try:
                self._fd = create(self._path, self._disk.top)
                self._hour.touch()
                return
            except FileExistsError:
                if self._open_existing():
                    return

    def _open_existing(self) -> bool:
        try:
            self._fd = os.open(self._path, _OPEN)
        except FileNotFoundError:
            return False
        facts = os.fstat(self._fd)
        self.allocated = min(facts.st_size, facts.st_blocks * 512)
        return True

    def _set_aside(self, end: int) -> None:
        """Blocks for everything up to `end` and some steps ahead, never beyond what the file will have."""
        expected, step = self.expected, self._disk.step
        if expected is None or expected < WORTH_SETTING_ASIDE or not self.allocated < end <= expected:
            return
        if not self._disk.fallocates:
            return
        target = min(expected, (end // step + 1) * step)
        try:
            set_aside(self._fd, target)
        except OSError as exc:
            if exc.errno in UNSUPPORTED:
                self._disk.fallocates = False
                return
            self._give_back()
            raise
        self.allocated = target

    def _give_back(self) -> None:
        """Undo a `set_aside` that failed half-way: it keeps what it had got, and may have filled the disk with it.

        Truncating to the present size frees the blocks behind it and touches no byte. (Punching a hole there does
        nothing on ext4.) What had been set aside before is freed with it and taken again.
        """
        while self._writing:
            self._turn.wait()
        size = os.fstat(self._fd).st_size
        os.ftruncate(self._fd, size)
        if self.allocated > size:
            try:
                set_aside(self._fd, self.allocated)
            except OSError:
                self.allocated = size


def create(path: str, top: Barrier) -> int:
    """A new file, and the directory it is in if need be; its descriptor. Raises OSError."""
    flags = _OPEN | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags, FILE_MODE)
    except FileNotFoundError:
        try:
            os.mkdir(os.path.dirname(path), DIRECTORY_MODE)
        except FileExistsError:
            pass
        else:
            top.touch()
        return os.open(path, flags, FILE_MODE)


def write_all(fd: int, position: int, pieces: Sequence[bytes | memoryview], size: int) -> None:
    """Write `size` bytes, all of `pieces`, from `position` on, however short the single writes are. Raises OSError."""
    while size:
        written = os.pwritev(fd, pieces if len(pieces) <= _IOV_MAX else pieces[:_IOV_MAX], position)
        if written == size:
            return
        if not written:
            raise OSError(errno.EIO, "the disk takes nothing")
        pieces = _rest(pieces, written)
        position += written
        size -= written


def _rest(pieces: Sequence[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    for index, piece in enumerate(pieces):
        if written < len(piece):
            return [memoryview(piece)[written:], *pieces[index + 1 :]]
        written -= len(piece)
    return []


def read_all(fd: int, position: int, size: int) -> bytes:
    """`size` bytes from `position`, fewer only at the end of the file. Raises OSError."""
    data = os.pread(fd, size, position)
    if len(data) in (0, size):
        return data
    parts = [data]
    while data and (size := size - len(data)):
        position += len(data)
        data = os.pread(fd, size, position)
        parts.append(data)
    return b"".join(parts)
