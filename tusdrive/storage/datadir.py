"""The data directory belongs to one process at a time, and holds the secret that tokens are signed with."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from pathlib import Path

from ..domain.errors import StorageFailed
from .inode import DIRECTORY_MODE, FILE_MODE, sync_directory

MIN_SECRET = 32
"""Bytes a signing secret must have."""

_LOCK = "lock"
_LONGEST = 4096  # bytes of a secret file that are read


class Claim:
    """Held while this process owns the data directory. The kernel lets go of it when the process dies."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def claim(path: Path) -> Claim:
    """Make the data directory (mode 0700) if there is none, and take hold of it.

    Raises StorageFailed, naming the process that holds it when another one does.
    """
    try:
        path.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        fd = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    except OSError as exc:
        raise StorageFailed(f"the data directory {path} cannot be used: {exc.strerror}") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except BlockingIOError as exc:
        holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StorageFailed(f"the data directory {path} is in use by process {holder}") from exc
    except OSError as exc:
        os.close(fd)
        raise StorageFailed(f"the data directory {path} cannot be locked: {exc.strerror}") from exc
    return Claim(path, fd)


def signing_secret(path: Path) -> bytes:
    """The secret in a file, made (mode 0600, durable) if there is none. White space around it does not count.

    Raises StorageFailed for one that others can read, or of less than 32 bytes.
    """
    try:
        found = _read_secret(path)
        if found is None:
            _make_secret(path)
            found = _read_secret(path)
    except OSError as exc:
        raise StorageFailed(f"the signing secret {path} cannot be used: {exc.strerror}") from exc
    if found is None or len(found) < MIN_SECRET:
        raise StorageFailed(f"the signing secret {path} must have at least {MIN_SECRET} bytes")
    return found


def _read_secret(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise StorageFailed(f"the signing secret {path} is open to others; make it mode 0600")
        return os.read(fd, _LONGEST).strip()
    finally:
        os.close(fd)


def _make_secret(path: Path) -> None:
    """Whole or not at all: written aside, then linked. Whoever makes one at the same time wins or loses as a whole."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(fd, secrets.token_hex(MIN_SECRET).encode() + b"\n")
        os.fsync(fd)
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        os.close(fd)
        os.unlink(draft)
    sync_directory(str(path.parent))
