"""Running a batch on the event loop, when all that it asks for is in memory.

What the changes do is Python; only the commit is I/O. Run on the writer's thread, that Python and the loop's take the
interpreter lock from each other, and each hand-over costs both: relaxed small uploads gained some 15 % here. A batch
that needs the database is run on the thread instead: changes may be run again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from ..domain.account import Account, Space
from ..domain.file import Blob, File
from ..domain.upload import Upload
from . import flush
from .cache import Cache, Caches
from .jobs import Change
from .unit import Layers, Unit

V = TypeVar("V")


class Miss(BaseException):
    """Not in memory. Not an Exception, so that no change takes it for an answer."""


class CachedLoader:
    """unit.Loader over what the batch before it changed, if that is still being committed, and the caches.

    Raises Miss.
    """

    def __init__(self, caches: Caches, ahead: Unit | None) -> None:
        self._caches = caches
        self._ahead = ahead

    def upload(self, id: str) -> Upload | None:
        return _hit(self._caches.uploads, self._ahead.uploads if self._ahead else None, id)

    def file(self, id: str) -> File | None:
        return _hit(self._caches.files, self._ahead.files if self._ahead else None, id)

    def blob(self, id: str) -> Blob | None:
        return _hit(self._caches.blobs, self._ahead.blobs if self._ahead else None, id)

    def account(self, id: str) -> Account | None:
        return _hit(self._caches.accounts, self._ahead.accounts if self._ahead else None, id)

    def space(self, id: str) -> Space | None:
        return _hit(self._caches.spaces, self._ahead.spaces if self._ahead else None, id)

    def sequence(self, account: str) -> int | None:
        return _hit(self._caches.sequences, self._ahead.sequences if self._ahead else None, account)

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


def _hit(cache: Cache[V], ahead: Layers[V] | None, id: str) -> V | None:
    if ahead is not None and id in ahead.batch:
        return ahead.batch[id]
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


class Gathering:
    """The batch that gathers, on the loop: its changes are run as they come, if they find what they need."""

    def __init__(self, caches: Caches, now: Callable[[], int]) -> None:
        self._caches = caches
        self._now = now
        self.jobs: list[Change[Any]] = []
        self._unit: Unit | None = None
        self._ahead: Unit | None = None  # the batch before, while it is being committed
        self._is_runnable = True

    def add(self, job: Change[Any]) -> None:
        """One more change. Run now, unless it or one before it has to wait for the database."""
        self.jobs.append(job)
        if self._is_runnable:
            self._run(job)

    def _run(self, job: Change[Any]) -> None:
        unit = self._unit
        if unit is None:
            unit = self._unit = Unit(CachedLoader(self._caches, self._ahead), self._now())
        job.attempt(lambda: unit.run(job.change))
        self._is_runnable = not isinstance(job.error, Miss)

    def start_anew(self) -> None:
        """The batch before came out otherwise than was thought: what was run over it has to be run again."""
        self._unit = self._ahead = None
        self._is_runnable = True
        for job in self.jobs:
            if self._is_runnable:
                self._run(job)

    def take(self, is_broken: bool) -> tuple[list[Change[Any]], Prepared | None]:
        """What has gathered, and as rows if it was run; the next batch begins, over this one."""
        jobs, unit = self.jobs, self._unit
        prepared = _prepared(unit) if unit is not None and self._is_runnable and not is_broken else None
        self.jobs, self._unit = [], None
        self._ahead = prepared.unit if prepared is not None else None
        self._is_runnable = prepared is not None  # else nobody knows what there will be
        return jobs, prepared


def _prepared(unit: Unit) -> Prepared | None:
    try:
        changes = flush.gather(unit)
        count = changes.count()
        return Prepared(unit=unit, columns=changes.columns() if count else None, rows=count)
    except Exception:  # a value that no row can hold: on the thread it is found out whose it was
        return None
