"""Three Linux calls that `os` does not have, or has only with the C library's emulation behind it.

`os.posix_fallocate` writes zeros where the file system cannot set blocks aside, and changes the file's size. Ours does
neither. All raise OSError; ENOSYS where the system has no such call. They release the GIL.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable

_KEEP_SIZE = 0x01  # FALLOC_FL_KEEP_SIZE
_WRITE = 0x02  # SYNC_FILE_RANGE_WRITE

UNSUPPORTED = frozenset({errno.ENOSYS, errno.EOPNOTSUPP})
"""What `set_aside` fails with where the file system, or the system, cannot do it."""

_libc = ctypes.CDLL(None, use_errno=True)


def _function(name: str, *arguments: type) -> Callable[..., int] | None:
    found = getattr(_libc, name, None)
    if found is not None:
        found.argtypes = arguments
        found.restype = ctypes.c_int
    return found


_fallocate = _function("fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_syncfs = _function("syncfs", ctypes.c_int)
_sync_file_range = _function("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def _call(function: Callable[..., int] | None, *arguments: int) -> None:
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    while function(*arguments) != 0:
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def set_aside(fd: int, end: int) -> None:
    """Give the file blocks for all of `[0, end)`. Its size and its bytes stay as they are.

    A call that fails may leave the blocks it had got; the caller gives them back.
    """
    _call(_fallocate, fd, _KEEP_SIZE, 0, end)


def has_syncfs() -> bool:
    return _syncfs is not None


def sync_all(fd: int) -> None:
    """Make all that was written to the file system that `fd` is on durable: data, sizes, names."""
    _call(_syncfs, fd)


def start_writeback(fd: int) -> None:
    """Start to write the file's dirty pages to the disk, and do not wait. No promise of any kind: only a head start."""
    _call(_sync_file_range, fd, 0, 0, _WRITE)
