"""What the operating system's errors mean to everybody else."""

from __future__ import annotations

import errno
from collections.abc import Callable
from types import TracebackType

from ..domain.errors import StorageFailed, StorageFull

# EFBIG: larger than the file system, or the process's limit, lets one file be. No room either way.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Translated:
    """`with` this around system calls: an OSError comes out as StorageFull or StorageFailed, with the error as cause.

    `on_full` is told when the disk was full. One object may be used many times, nested, and by many threads.
    """

    __slots__ = ("_on_full",)

    def __init__(self, on_full: Callable[[], None]) -> None:
        self._on_full = on_full

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if not isinstance(exc, OSError):
            return
        if exc.errno in _FULL:
            self._on_full()
            raise StorageFull from exc
        raise StorageFailed from exc
