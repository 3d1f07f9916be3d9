"""What happens to the state when the process is killed, the disk is full or failing, or the WAL grows."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from disks import memory_disk, thin_disk
from states import NOON, Clock, opened, save, upload

from tusdrive.domain.errors import StorageFailed, StorageFull
from tusdrive.domain.events import Event
from tusdrive.ports import Page, Tx
from tusdrive.storage.sqlite import SqliteState

__all__ = ["memory_disk", "thin_disk"]

MIB = 2**20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


# ------------------------------------------------------------------------------------------------- SIGKILL

CHILD = """
import asyncio, os, sys
from pathlib import Path
from tusdrive.domain.account import Account
from tusdrive.domain.events import Event
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Upload
from tusdrive.storage.sqlite import SqliteState

def change(id):
    def run(tx):
        tx.save_upload(Upload(id=id, account="ann", place=id, reserved=1, received=Ranges(1, ((3, 5),))))
        account = tx.account("ann")
        tx.save_account(Account(id="ann", promised=account.promised + 1))
        tx.emit(Event("ann", "t", {"id": id}, 0))
    return run

async def client(state, name):
    n = 0
    while True:
        id = f"{name}-{n}"
        n += 1
        await state.apply(change(id))
        os.write(1, (id + "\\n").encode())

async def main():
    state = SqliteState(Path(sys.argv[1]), durability=sys.argv[2], now=lambda: 0)
    await state.open()
    os.write(1, b"ready\\n")
    await asyncio.gather(*(client(state, f"{sys.argv[3]}-{n}") for n in range(16)))

asyncio.run(main())
"""


def kill_in_the_middle(path: Path, durability: str, round: int) -> list[str]:
    """Ids whose change was acknowledged before the process died."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), durability, str(round)], stdout=subprocess.PIPE, env=environment
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"ready\n"
        said = b"".join(child.stdout.readline() for _ in range(random.randrange(50, 1500)))
    finally:
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.stdout.close()
        child.wait()
    return [line.decode() for line in (said + rest).split(b"\n")[:-1]]


@pytest.mark.parametrize("durability", ["durable", "relaxed"])
async def test_a_killed_process_keeps_all_it_acknowledged(path: Path, clock: Clock, durability: str) -> None:
    acknowledged: list[str] = []
    for round in range(4):
        acknowledged += await asyncio.to_thread(kill_in_the_middle, path, durability, round)
        assert Path(f"{path}-wal").exists(), "it was killed too late"
        async with opened(path, clock, fresh_ok=False) as state:
            assert [id for id in acknowledged if await state.upload(id) is None] == []
            total = (await state.list_uploads("ann", None, Page(limit=1)))[1]
            assert (await state.account("ann")).promised == total
            told = await state.events("ann", 0, 10**6)
            assert [e.seq for e in told] == list(range(1, total + 1))
            assert set(acknowledged) <= {e.data["id"] for e in told}
            assert await state.recount() == {}


# ------------------------------------------------------------------------------------ full and failing disks


def fill(folder: Path, leave: int) -> Path:
    """Take all the room there is but `leave` bytes."""
    facts = os.statvfs(folder)
    filler = folder / "filler"
    filler.write_bytes(bytes(max(0, facts.f_bavail * facts.f_frsize - leave)))
    return filler


async def write_until_full(state: SqliteState) -> int:
    """How many changes went through before StorageFull."""
    for n in range(10_000):
        try:
            await state.apply(lambda tx, n=n: tell(tx, n))
        except StorageFull:
            return n
    raise AssertionError("it never was full")


def tell(tx: Tx, n: int) -> None:
    tx.save_upload(upload(f"u{n}", metadata="x" * 2000))
    tx.emit(Event("ann", "t", {"n": n}, NOON))


@pytest.mark.parametrize("durability", ["durable", "relaxed"])
async def test_a_full_disk(memory_disk: Path, clock: Clock, durability: str) -> None:
    path = memory_disk / "state.db"
    async with opened(path, clock, durability=durability) as state:
        await save(state, upload("first"))
        filler = fill(memory_disk, 2_000_000)
        done = await write_until_full(state)
        assert done > 10
        for _ in range(3):
            with pytest.raises(StorageFull):
                await state.apply(lambda tx: tell(tx, done))
        assert await state.upload(f"u{done}") is None
        assert await state.upload("first") == upload("first")
        assert (await state.list_uploads("ann", None, Page(limit=1)))[1] == done + 1
        assert state.facts()["writable"] is True
        filler.unlink()
        await state.apply(lambda tx: tell(tx, done))
    async with opened(path, clock) as state:
        assert [e.seq for e in await state.events("ann", 0, 10**6)] == list(range(1, done + 2))
        assert (await state.list_uploads("ann", None, Page(limit=1)))[1] == done + 2


async def test_no_new_database_on_a_full_disk(memory_disk: Path, clock: Clock) -> None:
    filler = fill(memory_disk, 0)
    with pytest.raises((StorageFull, StorageFailed)):
        await SqliteState(memory_disk / "state.db", durability="durable", now=clock).open()
    filler.unlink()
    async with opened(memory_disk / "state.db", clock) as state:
        await save(state, upload("u1"))


async def test_after_a_sync_that_failed_nothing_more_is_written(thin_disk: Path, clock: Clock) -> None:
    """The kernel may forget pages that it could not write, and report success the next time."""
    state = SqliteState(thin_disk / "state.db", durability="durable", now=clock)
    await state.open()
    acknowledged = []
    with pytest.raises(StorageFailed):  # noqa: PT012
        for n in range(10_000):
            await save(state, upload(f"u{n}", metadata=random.randbytes(5000).hex()))
            acknowledged.append(f"u{n}")
    assert 100 < len(acknowledged) < 10_000
    assert state.facts()["writable"] is False
    with pytest.raises(StorageFailed, match="until it is opened again"):
        await state.apply(lambda tx: None)
    with pytest.raises(StorageFailed, match="until it is opened again"):
        await state.trim_events(NOON)
    assert await state.upload("u0") is not None
    await state.close()


async def test_after_an_io_error_it_must_be_opened_again(path: Path, clock: Clock) -> None:
    """A limit on the size of files stands for the failing disk; anybody can set one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    state = SqliteState(path, durability="relaxed", now=clock)
    await state.open()
    await save(state, upload("u0"))
    try:
        limit = Path(f"{path}-wal").stat().st_size + 1_000_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        answers = [await _answer(state.apply(lambda tx, n=n: tell(tx, n))) for n in range(1, 200)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    done = answers.count(None)
    assert 5 < done < 150
    assert answers[:done] == [None] * done
    assert {type(answer) for answer in answers[done:]} == {StorageFailed}
    assert state.facts()["writable"] is False
    with pytest.raises(StorageFailed, match="until it is opened again"):
        await state.apply(lambda tx: None)
    assert await state.upload(f"u{done}") is not None
    assert await state.upload(f"u{done + 1}") is None
    await state.close()
    await state.open()
    assert state.facts()["writable"] is True
    assert [e.data["n"] for e in await state.events("ann", 0, 999)] == list(range(1, done + 1))
    await state.apply(lambda tx: tell(tx, 999))
    await state.close()


async def _answer(asked: Any) -> Any:
    try:
        return await asked
    except StorageFailed as error:
        return error


# ----------------------------------------------------------------------------------------------------- WAL


async def write_much(state: SqliteState, wal: Path, changes: int, size: int) -> int:
    """Changes, 32 at a time, while listings are read; the largest WAL in bytes."""
    largest, left = 0, changes

    def step(tx: Tx, n: int) -> None:
        known = tx.upload(f"u{n % 5000}") or upload(f"u{n % 5000}")
        tx.save_upload(replace(known, metadata="x" * (n % size), updated_at=n))
        tx.emit(Event("ann", "t", {"n": n}, NOON))

    async def client() -> None:
        nonlocal left, largest
        while left > 0:
            left -= 1
            await state.apply(lambda tx, n=left: step(tx, n))
            if left % 50 == 0:
                largest = max(largest, wal.stat().st_size)

    async def read() -> None:
        while left > 0:
            await state.list_uploads("ann", None, Page(limit=100))
            await state.stats("ann")
            await state.recount()

    await asyncio.gather(*(client() for _ in range(32)), read())
    return largest


@pytest.mark.parametrize("changes", [8_000, pytest.param(100_000, marks=pytest.mark.full)])
async def test_the_wal_stays_short_while_somebody_reads(path: Path, clock: Clock, changes: int) -> None:
    async with opened(path, clock) as state:
        assert 8 * MIB < await write_much(state, Path(f"{path}-wal"), changes, 4000) < 64 * MIB


async def test_a_stuck_reader_holds_nobody_up_and_the_wal_shrinks_after_it(path: Path, clock: Clock) -> None:
    """Another program that keeps a transaction open makes the WAL grow; commits go on all the same."""
    wal = Path(f"{path}-wal")
    async with opened(path, clock) as state:
        await save(state, upload("u1"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT * FROM uploads").fetchall()
        async with asyncio.timeout(60):
            while wal.stat().st_size < 40 * MIB:
                await save(state, *(upload(f"u{n}", metadata=random.randbytes(1000).hex()) for n in range(600)))
        other.execute("ROLLBACK")
        other.close()
        for _ in range(6):
            await save(state, *(upload(f"u{n}", metadata=random.randbytes(1000).hex()) for n in range(600)))
        assert wal.stat().st_size <= 32 * MIB


async def test_readers_that_take_turns_cannot_keep_the_wal_alive(path: Path, clock: Clock) -> None:
    """There is a reader at all times, each only for a moment. Copying alone never gets to the end of the WAL then."""
    wal, done = Path(f"{path}-wal"), threading.Event()

    def read() -> None:
        other = sqlite3.connect(path, isolation_level=None)
        while not done.is_set():
            other.execute("BEGIN")
            other.execute("SELECT id FROM uploads LIMIT 1").fetchall()
            time.sleep(0.03)
            other.execute("COMMIT")
        other.close()

    async with opened(path, clock) as state:
        readers = [asyncio.create_task(asyncio.to_thread(read)) for _ in range(5)]
        try:
            for _ in range(90):
                await save(state, *(upload(f"u{n}", metadata=random.randbytes(1000).hex()) for n in range(300)))
                assert wal.stat().st_size < 64 * MIB
        finally:
            done.set()
            await asyncio.gather(*readers)
