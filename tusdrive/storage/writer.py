"""The one that writes to the SQLite database: a thread of its own, with a `sqlite3` connection of its own.

aiosqlite serves the reads but not this: it crosses from the loop to its thread and back for each statement, 60 to 70
microseconds that a batch would pay several times. Here a batch of changes crosses once there and once back.

A change is run at once, on the loop, over the unit of work of the batch that gathers, if all it asks for is in memory
(storage/prepare.py). When the thread is free it gets the batch, and writes what it changed as one statement, in one
transaction; meanwhile the next one gathers over what this one will have changed. A batch that needs the database, or
whose forerunner failed, is run anew, on the thread.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from ..domain.errors import ShuttingDown, StorageFailed
from ..ports import Now, Tx
from . import flush
from .cache import Caches
from .jobs import Change, Errand, Job, answer_all
from .prepare import Gathering, Prepared
from .sqlite_errors import is_about_values, is_busy, is_full, loses_data, translate
from .sqlite_load import SqliteLoader
from .sqlite_open import Database
from .unit import Unit

log = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_TRIES = 3


class Batch(NamedTuple):
    """Changes to commit together; `prepared` if they were run already."""

    jobs: list[Change[Any]]
    prepared: Prepared | None


class Writer:
    """The thread and its queue. `start` and `stop` it once each; it opens the database on its thread."""

    def __init__(self, database: Database, caches: Caches, now: Now) -> None:
        self._database = database
        self._caches = caches
        self._now = now
        self._queue: queue.SimpleQueue[Batch | Errand[Any]] = queue.SimpleQueue()
        self._gathering = Gathering(caches, now)
        self._under_way: Batch | None = None  # with the thread
        self._is_called = False  # the loop is about to give the thread a batch
        self._idle: asyncio.Future[None] | None = None  # whoever waits for the last batch
        self._is_running = False
        self._takes_jobs = False
        self._broken: BaseException | None = None
        self.commits = 0

    # ------------------------------------------------------------------------------------------ on the loop

    async def start(self) -> None:
        """Raises StorageFailed when the database cannot be opened."""
        self._loop = asyncio.get_running_loop()
        opened: Errand[None] = Errand(lambda connection: None)
        threading.Thread(target=self._main, args=(opened,), name="tusdrive-writer", daemon=True).start()
        await opened.wait()
        self._is_running = self._takes_jobs = True

    def end(self) -> None:
        """Whoever comes from now on gets ShuttingDown."""
        self._takes_jobs = False

    async def stop(self) -> None:
        """Do what was asked for, then close the database."""
        self.end()
        if self._gathering.jobs or self._under_way:
            self._idle = self._loop.create_future()
            await self._idle
        if self._is_running:
            self._is_running = False
            await self._ask(Errand(lambda connection: None, is_last=True))

    async def apply(self, change: Callable[[Tx], T], frees: bool = False) -> T:
        """As ports.StateStore.apply."""
        self._require_open()
        job = Change(change, frees)
        self._gathering.add(job)
        if self._under_way is None and not self._is_called:
            self._is_called = True
            # Not at once: what else becomes ready in this round of the loop goes with it.
            self._loop.call_soon(self._hand_over)
        return await job.wait()

    async def alone(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on the thread with the connection, between commits."""
        self._require_open()
        return await self._ask(Errand(work))

    def _hand_over(self) -> None:
        """Give the thread what has gathered."""
        self._is_called = False
        jobs, prepared = self._gathering.take(self._broken is not None)
        if prepared is not None:
            self._caches.hold(prepared.unit)
        self._under_way = Batch(jobs, prepared)
        self._queue.put(self._under_way)

    def _end_batch(self, as_prepared: bool) -> None:
        """The thread is done with a batch. What has gathered over it counts only if it came out as it was prepared."""
        assert self._under_way is not None, "only what is under way ends"
        answer_all(self._under_way.jobs)
        self._under_way = None
        if not as_prepared:
            self._gathering.start_anew()
        if self._gathering.jobs:
            self._hand_over()
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    @property
    def waiting(self) -> int:
        return len(self._gathering.jobs) + (len(self._under_way.jobs) if self._under_way else 0)

    @property
    def is_broken(self) -> bool:
        return self._broken is not None

    def _require_open(self) -> None:
        if not self._takes_jobs:
            raise ShuttingDown()

    async def _ask(self, job: Errand[T]) -> T:
        self._queue.put(job)
        return await job.wait()

    # ---------------------------------------------------------------------------------------- on the thread

    def _main(self, opened: Errand[None]) -> None:
        opened.attempt(self._database.open)
        self._answer([opened])
        if opened.error is not None:
            return
        self._loader = SqliteLoader(self._database.connection, self._caches)
        job = self._queue.get()
        while not (isinstance(job, Errand) and job.is_last):
            self._serve(job)
            job = self._queue.get()
        job.attempt(self._database.close)
        self._answer([job])

    def _serve(self, job: Batch | Errand[Any]) -> None:
        if isinstance(job, Errand):
            self._run(job)
            self._answer([job])
            return
        as_prepared = self._write(job)
        with suppress(RuntimeError):  # the loop is closed: nobody is there to hear
            self._loop.call_soon_threadsafe(self._end_batch, as_prepared)
        self._database.tend_wal()
        self._database.ballast.tend()

    def _write(self, batch: Batch) -> bool:
        """Commit what was run on the loop, or run it here; whether it is committed as it was prepared."""
        jobs, prepared = batch
        if prepared is not None and self._broken is not None:  # an errand found that out meanwhile
            self._caches.give_up(prepared.unit)
            prepared = None
        if prepared is None:
            self._commit(jobs)
            return False
        try:
            self._store(prepared.unit, prepared.columns, prepared.rows, any(job.frees for job in jobs))
            return True
        except BaseException as exc:
            if is_about_values(exc):
                self._commit(jobs)
            else:
                self._fail(jobs, exc)
            return False

    def _answer(self, jobs: Sequence[Job[Any]]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is there to hear
            self._loop.call_soon_threadsafe(answer_all, jobs)

    def _run(self, errand: Errand[Any]) -> None:
        if self._broken is not None:
            self._refuse([errand])
            return
        errand.attempt(lambda: errand.work(self._database.connection))
        if isinstance(errand.error, sqlite3.Error):
            self._fail([errand], errand.error)

    def _commit(self, jobs: Sequence[Change[Any]]) -> None:
        """Run the changes and make them durable. When a value is refused, each by itself, to find whose it was."""
        if self._broken is not None:
            self._refuse(jobs)
            return
        try:
            unit = Unit(self._loader, self._now())
            for job in jobs:
                job.attempt(lambda change=job.change: unit.run(change))  # type: ignore[misc]
            self._flush(unit, any(job.frees for job in jobs))
        except BaseException as exc:
            if len(jobs) > 1 and is_about_values(exc):
                for job in jobs:
                    self._commit([job])
            else:
                self._fail(jobs, exc)

    def _flush(self, unit: Unit, frees: bool) -> None:
        changes = flush.gather(unit)
        if not changes.count():
            return
        self._caches.hold(unit)
        self._store(unit, changes.columns(), changes.count(), frees)

    def _store(self, unit: Unit, columns: tuple[str | None, ...] | None, count: int, frees: bool) -> None:
        """Write and commit. What is changed is out of the caches already, and comes back or is gone."""
        try:
            if columns is not None:
                self._insert(columns, frees)
        except BaseException:
            self._caches.give_up(unit)
            raise
        self._caches.publish(unit)
        self._database.rows += count
        self.commits += columns is not None

    def _insert(self, columns: tuple[str | None, ...], frees: bool) -> None:
        """Write and commit. Each BUSY has waited for the busy timeout already; what frees room may use the reserve."""
        for attempt in range(1, BUSY_TRIES + 1):
            try:
                self._database.insert(columns)
                return
            except sqlite3.OperationalError as exc:
                if frees and is_full(exc) and self._database.ballast.drop():
                    continue
                if not is_busy(exc) or attempt == BUSY_TRIES:
                    raise
                time.sleep(random.uniform(0.01, 0.05) * attempt)

    def _fail(self, jobs: Sequence[Job[Any]], exc: BaseException) -> None:
        """Nothing of these jobs is there. Those that were refused fail too: it may have been for what others did."""
        if loses_data(exc):
            self._broken = exc
        log.error("a batch could not be committed", exc_info=exc, extra={"action": "commit", "changes": len(jobs)})
        for job in jobs:
            job.error = translate(exc)
            job.error.__cause__ = exc

    def _refuse(self, jobs: Sequence[Job[Any]]) -> None:
        for job in jobs:
            job.error = StorageFailed("the state takes no more changes until it is opened again")
            job.error.__cause__ = self._broken
