"""Batches that gather on the loop while another one is committed: over what it will have changed, or anew if it fails."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from states import Clock, opened, save, upload

from tusdrive.domain.account import Account
from tusdrive.domain.errors import NotFound, StorageFailed, StorageFull
from tusdrive.domain.values import evolve
from tusdrive.ports import Tx
from tusdrive.storage.sqlite import SqliteState


class Gate:
    """Holds up the commits of a store, and makes one fail, as a disk would."""

    def __init__(self, state: SqliteState) -> None:
        self._database = state._writer._database
        self._insert = self._database.insert
        self._database.insert = self._held
        self.go, self.entered = threading.Event(), threading.Event()
        self.error: sqlite3.Error | None = None
        self.go.set()

    def _held(self, columns: tuple[str | None, ...]) -> None:
        self.entered.set()
        assert self.go.wait(10)
        error, self.error = self.error, None
        if error is not None:
            raise error
        self._insert(columns)


def full() -> sqlite3.Error:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


def use(tx: Tx, size: int) -> int:
    account = evolve(tx.account("ann"), used=tx.account("ann").used + size)
    tx.save_account(account)
    return account.used


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.001)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def test_a_batch_sees_what_the_one_before_it_will_have_changed(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        gate = Gate(state)
        await state.apply(lambda tx: use(tx, 1))
        gate.go.clear()
        gate.entered.clear()
        first = asyncio.create_task(state.apply(lambda tx: use(tx, 10)))
        await until(gate.entered)
        later = [asyncio.create_task(state.apply(lambda tx: use(tx, 100))) for _ in range(3)]
        await asyncio.sleep(0.02)
        assert not any(task.done() for task in (first, *later))
        gate.go.set()
        assert [await first, *[await task for task in later]] == [11, 111, 211, 311]
        assert (await state.account("ann")).used == 311
    async with opened(path, clock) as state:
        assert await state.account("ann") == Account(id="ann", used=311)


async def test_a_batch_over_one_that_failed_is_run_anew(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        gate = Gate(state)
        await state.apply(lambda tx: use(tx, 1))
        gate.go.clear()
        gate.entered.clear()
        gate.error = full()
        first = asyncio.create_task(state.apply(lambda tx: use(tx, 10)))
        await until(gate.entered)
        runs: list[int] = []
        second = asyncio.create_task(state.apply(lambda tx: runs.append(use(tx, 100)) or runs[-1]))
        await asyncio.sleep(0.02)
        gate.go.set()
        with pytest.raises(StorageFull):
            await first
        assert await second == 101  # what the first one would have used is not in it
        assert runs == [111, 101]
        assert (await state.account("ann")).used == 101
    async with opened(path, clock) as state:
        assert (await state.account("ann")).used == 101


async def test_a_refusal_that_showed_what_was_not_committed_is_decided_anew(path: Path, clock: Clock) -> None:
    def only_once(tx: Tx) -> None:
        if tx.upload("u1") is not None:
            raise NotFound
        tx.save_upload(upload("u1"))

    async with opened(path, clock) as state:
        gate = Gate(state)
        await state.apply(lambda tx: use(tx, 1))
        gate.go.clear()
        gate.entered.clear()
        gate.error = full()
        first = asyncio.create_task(state.apply(lambda tx: tx.save_upload(upload("u1"))))
        await until(gate.entered)
        second = asyncio.create_task(state.apply(only_once))
        await asyncio.sleep(0.02)
        gate.go.set()
        with pytest.raises(StorageFull):
            await first
        await second
        assert await state.upload("u1") == upload("u1")


async def test_a_change_that_needs_the_database_makes_its_batch_wait_for_the_thread(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        await save(state, upload("u1"))
    loop = threading.get_ident()
    async with opened(path, clock) as state:  # nothing is in memory now
        ran: list[int] = []

        def change(tx: Tx) -> bool:
            ran.append(threading.get_ident())
            return tx.upload("u1") is not None

        assert await state.apply(change)
        assert ran[0] == loop
        assert ran[-1] != loop
        await state.apply(change)
        assert ran[-1] == loop  # now it is


async def test_after_an_error_that_loses_data_what_gathered_is_refused_too(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        gate = Gate(state)
        await state.apply(lambda tx: use(tx, 1))
        gate.go.clear()
        gate.entered.clear()
        gate.error = sqlite3.OperationalError("disk I/O error")
        gate.error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        tasks = [asyncio.create_task(state.apply(lambda tx: use(tx, 10)))]
        await until(gate.entered)
        tasks.append(asyncio.create_task(state.apply(lambda tx: use(tx, 100))))
        await asyncio.sleep(0.02)
        gate.go.set()
        for task in tasks:
            with pytest.raises(StorageFailed):
                await task
        assert (await state.account("ann")).used == 1


async def test_a_batch_is_refused_when_an_errand_finds_the_disk_broken_before_it(path: Path, clock: Clock) -> None:
    late = threading.Event()

    def broken(connection: sqlite3.Connection) -> None:
        assert late.wait(10)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    async with opened(path, clock) as state:
        await state.apply(lambda tx: use(tx, 1))
        gate = Gate(state)
        gate.go.clear()
        first = asyncio.create_task(state.apply(lambda tx: use(tx, 10)))
        await until(gate.entered)
        # The thread takes things in order: the errand is before the batch that has not been handed over yet.
        errand = asyncio.create_task(state._writer.alone(broken))
        await asyncio.sleep(0)
        second = asyncio.create_task(state.apply(lambda tx: use(tx, 100)))
        await asyncio.sleep(0)
        gate.go.set()
        assert await first == 11  # and with that the second batch is behind the errand, as it was run
        late.set()
        with pytest.raises(StorageFailed):
            await errand
        with pytest.raises(StorageFailed):
            await second
        assert (await state.account("ann")).used == 11


async def test_many_at_once_add_up(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        async def one(number: int) -> int:
            for _ in range(number % 5):
                await asyncio.sleep(0)
            return await state.apply(lambda tx: use(tx, 1))

        seen = await asyncio.gather(*(one(number) for number in range(1000)))
        assert sorted(seen) == list(range(1, 1001))
        assert await state.recount() != {}  # this ledger stands for no files
        assert state.facts()["commits"] < 400
