"""What SQLite's result codes mean here (https://sqlite.org/rescode.html)."""

from __future__ import annotations

import sqlite3

from ..domain.errors import Busy, StorageFailed, StorageFull, TusdriveError

# SHMSIZE: the WAL index could not grow, which is what a full disk looks like when the index is first to hit it.
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOSING = _DAMAGE | {sqlite3.SQLITE_IOERR}
_VALUES = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG})


def code(exc: BaseException) -> int:
    """The extended result code; 0 for what does not come from SQLite itself."""
    found = getattr(exc, "sqlite_errorcode", 0)
    return found if isinstance(found, int) else 0


def translate(exc: BaseException, failed: str = "the state could not be read or written") -> TusdriveError:
    """StorageFull, Busy or StorageFailed (with the message `failed`)."""
    if code(exc) in _FULL:
        return StorageFull("the disk that holds the state is full")
    if is_busy(exc):
        return Busy("another program has locked the state; try again in a moment")
    return StorageFailed(failed)


def is_full(exc: BaseException) -> bool:
    return code(exc) in _FULL


def is_busy(exc: BaseException) -> bool:
    return code(exc) & 0xFF in _BUSY


def is_damage(exc: BaseException) -> bool:
    return code(exc) & 0xFF in _DAMAGE


def is_about_values(exc: BaseException) -> bool:
    """Whether some value of the batch is to blame, and neither the disk nor the database."""
    return code(exc) & 0xFF in _VALUES or isinstance(exc, TypeError | ValueError | OverflowError)


def loses_data(exc: BaseException) -> bool:
    """Whether what is on disk can no longer be trusted to be what SQLite thinks it is.

    After a failed fsync the kernel may forget the dirty pages and report success the next time, so nothing may be
    written until the state was opened again.
    """
    return code(exc) & 0xFF in _LOSING and code(exc) not in _FULL
