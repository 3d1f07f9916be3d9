"""Running a batch on the event loop, when all that it asks for is in memory.

What the changes do is Python; only the commit is I/O. Run on the writer's thread, that Python and the loop's take the
interpreter lock from each other, and each hand-over costs both; in bench/, small uploads ran a third slower so. A batch
that needs the database is run on the thread instead: changes may be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from ..domain.account import Account, Space
from ..domain.file import Blob, File
from ..domain.upload import Upload
from . import flush
from .cache import Cache, Caches
from .jobs import Change
from .unit import Unit

V = TypeVar("V")

MOST = 64
"""Changes that are run in one go, so that the loop is not held up for more than some 2 ms."""


class Miss(BaseException):
    """Not in memory. Not an Exception, so that no change takes it for an answer."""


class CachedLoader:
    """unit.Loader over the caches alone. Raises Miss."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    def upload(self, id: str) -> Upload | None:
        return _hit(self._caches.uploads, id)

    def file(self, id: str) -> File | None:
        return _hit(self._caches.files, id)

    def blob(self, id: str) -> Blob | None:
        return _hit(self._caches.blobs, id)

    def account(self, id: str) -> Account | None:
        return _hit(self._caches.accounts, id)

    def space(self, id: str) -> Space | None:
        return _hit(self._caches.spaces, id)

    def sequence(self, account: str) -> int | None:
        return _hit(self._caches.sequences, account)

    def waiting_on(self, part: str) -> NoReturn:
        raise Miss

    def file_by_hash(
        self, account: str, algorithm: str, hex: str, size: int, now: int, but: Collection[str]
    ) -> NoReturn:
        raise Miss

    def files_of_blob(self, blob: str) -> NoReturn:
        raise Miss

    def blob_by_hash(self, sha256: str, size: int) -> NoReturn:
        raise Miss


def _hit(cache: Cache[V], id: str) -> V:
    value = cache.get(id)
    if value is None:
        raise Miss
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch that was run: what it changed, as rows to write (None: nothing)."""

    unit: Unit
    columns: tuple[str | None, ...] | None
    rows: int


def prepare(jobs: Sequence[Change[Any]], loader: CachedLoader, now: Callable[[], int]) -> Prepared | None:
    """Run the changes, if they need nothing but the caches; None when they do, and then nothing was done."""
    unit = Unit(loader, now())
    try:
        for job in jobs:
            job.attempt(lambda change=job.change: unit.run(change))  # type: ignore[misc]
            if isinstance(job.error, Miss):
                return None
        changes = flush.gather(unit)
        count = changes.count()
        return Prepared(unit=unit, columns=changes.columns() if count else None, rows=count)
    except Exception:  # a value that no row can hold: on the thread it is found out whose it was
        return None
