"""The store in SQLite as a file: commits, damage, versions, locks, cancellation."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from states import NOON, Clock, blob, file, opened, save, upload

from tusdrive.domain.account import Account
from tusdrive.domain.errors import Busy, NotFound, ShuttingDown, StorageFailed, StorageFull
from tusdrive.domain.events import Event
from tusdrive.domain.ranges import Ranges
from tusdrive.ports import Page, Sort, Tx
from tusdrive.storage import statements
from tusdrive.storage.sqlite import SqliteState
from tusdrive.storage.sqlite_open import migrations


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def names(folder: Path) -> dict[str, str]:
    """Every file and its digest."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def adder(id: str) -> Any:
    def change(tx: Tx) -> None:
        tx.save_upload(upload(id))
        account = tx.account("ann")
        tx.save_account(replace(account, used=account.used + 1))
        tx.emit(Event("ann", "t", {"id": id}, NOON))

    return change


# ------------------------------------------------------------------------------------------------ commits


async def test_changes_that_come_together_share_commits(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        await asyncio.gather(*(state.apply(adder(f"u{n}")) for n in range(200)))
        assert state.facts()["commits"] <= 4
        assert (await state.list_uploads("ann", None, Page()))[1] == 200
        assert [e.seq for e in await state.events("ann", 0, 999)] == list(range(1, 201))


async def test_a_change_that_saves_nothing_commits_nothing(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        await save(state, upload("u1"))
        await state.apply(lambda tx: tx.upload("u1"))
        await state.apply(lambda tx: tx.save_upload(tx.upload("u1") or upload("u2")))
        assert state.facts()["commits"] == 1


@pytest.mark.parametrize(("durability", "setting", "name"), [("durable", 2, "full"), ("relaxed", 1, "normal")])
async def test_what_is_set(path: Path, clock: Clock, durability: str, setting: int, name: str) -> None:
    def settings(connection: sqlite3.Connection) -> list[Any]:
        asked = ("synchronous", "journal_mode", "foreign_keys", "busy_timeout", "temp_store", "wal_autocheckpoint")
        return [connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in asked]

    async with opened(path, clock, durability=durability) as state:
        assert await state._writer.alone(settings) == [setting, "wal", 1, 5000, 2, 4000]
        assert state.facts()["durability"] == durability
        assert state.facts()["synchronous"] == name
        for reader in (state._values, state._lists):
            assert (await reader.rows("PRAGMA query_only"), await reader.rows("PRAGMA wal_autocheckpoint")) == (
                [(1,)], [(0,)],
            )  # fmt: skip
            with pytest.raises(StorageFailed):
                await reader.rows("DELETE FROM uploads")
        await save(state, upload("u1"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.glob("state.db*")] == ["state.db"]


async def test_a_commit_that_fails_takes_all_of_its_batch_with_it(path: Path, clock: Clock) -> None:
    """Also the changes that were refused: what they were refused for is not there either."""

    def refuse(tx: Tx) -> None:
        raise NotFound(str(tx.account("ann").used))

    big = "x" * 1_000_000
    async with opened(path, clock) as state:
        await save(state, upload("u1"))
        await state.apply(lambda tx: tx.save_account(Account(id="ann", used=5)))
        pages = await _pragma(state, "page_count")
        await _pragma(state, f"max_page_count = {pages + 20}")
        changes = [adder("u2"), lambda tx: tx.save_upload(upload("u1", metadata=big)), refuse, adder("u3")]
        answers = await asyncio.gather(*map(state.apply, changes), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StorageFull] * 4
        assert await state.upload("u1") == upload("u1")
        assert state._caches.uploads.get("u1") == upload("u1"), "what was read is kept again"
        assert await state.upload("u2") is None
        assert await state.account("ann") == Account(id="ann", used=5)
        assert await state.events("ann", 0, 9) == []
        await state.apply(adder("u4"))
        assert [e.seq for e in await state.events("ann", 0, 9)] == [1]
        await _pragma(state, "max_page_count = 1000000")
        await state.apply(changes[1])
    async with opened(path, clock) as state:
        assert await state.upload("u1") == upload("u1", metadata=big)
        assert await state.upload("u2") is None
        assert await state.account("ann") == Account(id="ann", used=6)


async def _pragma(state: SqliteState, text: str) -> Any:
    return await state._writer.alone(lambda connection: connection.execute(f"PRAGMA {text}").fetchone()[0])


async def test_a_value_that_only_the_database_refuses_spoils_only_its_change(path: Path, clock: Clock) -> None:
    odd: Any = 1.5  # the column is an integer
    async with opened(path, clock) as state:
        changes = [adder("u1"), lambda tx: tx.save_upload(upload("odd", chunk_size=odd)), adder("u2")]
        answers = await asyncio.gather(*map(state.apply, changes), return_exceptions=True)
        assert [type(answer) for answer in answers] == [type(None), StorageFailed, type(None)]
        assert [e.data for e in await state.events("ann", 0, 9)] == [{"id": "u1"}, {"id": "u2"}]
        assert await state.upload("odd") is None
        assert state.facts()["writable"] is True


async def test_islands_are_written_as_differences(path: Path, clock: Clock) -> None:
    """Not the whole list for each chunk: that would be quadratic."""

    def rows(connection: sqlite3.Connection) -> int:
        return connection.total_changes

    many = Ranges(0, tuple((n * 10, n * 10 + 5) for n in range(1, 2001)))
    async with opened(path, clock) as state:
        await save(state, upload("u1", received=many))
        before = await state._writer.alone(rows)
        await save(state, upload("u1", received=many.add(15, 18)))  # one grows
        await state.apply(lambda tx: _add(tx, 18, 20))  # one swallows the next
        await state.apply(lambda tx: _add(tx, 30_000, 30_001))  # one more
        assert await state._writer.alone(rows) - before <= 4000 + 20
    async with opened(path, clock) as state:
        before = await state._writer.alone(rows)
        await state.apply(lambda tx: _add(tx, 40_000, 40_001))
        assert await state._writer.alone(rows) - before <= 5
        found = await state.upload("u1")
        assert found is not None
        assert found.received == many.add(15, 20).add(30_000, 30_001).add(40_000, 40_001)


def _add(tx: Tx, start: int, end: int) -> None:
    known = tx.upload("u1")
    assert known is not None
    tx.save_upload(replace(known, received=known.received.add(start, end)))


# ------------------------------------------------------------------------------------ opening and closing


async def test_everything_is_there_after_a_restart(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        await save(state, upload("u1", received=Ranges(1, ((3, 4),)), parts=("p",)), file("f1"), blob("b1"))
        await state.apply(adder("u2"))
    async with opened(path, clock, fresh_ok=False, durability="durable") as state:
        assert await state.upload("u1") == upload("u1", received=Ranges(1, ((3, 4),)), parts=("p",))
        assert await state.file("f1") == file("f1")
        assert await state.blob("b1") == blob("b1")
        assert await state.account("ann") == Account(id="ann", used=1)
        assert await state.events("ann", 0, 9) == [Event("ann", "t", {"id": "u2"}, NOON, 1)]


async def test_close_finishes_what_was_asked_for_and_leaves_no_thread(path: Path, clock: Clock) -> None:
    before = threading.active_count()
    state = SqliteState(path, durability="relaxed", now=clock)
    await state.open()
    asked = [asyncio.create_task(state.apply(adder(f"u{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    await state.close()
    assert await asyncio.gather(*asked) == [None] * 50
    with pytest.raises(ShuttingDown):
        await state.apply(adder("late"))
    for late in (state.upload("u1"), state.stats("ann"), state.trim_events(0)):
        with pytest.raises(ShuttingDown):
            await late
    async with asyncio.timeout(5):
        while threading.active_count() > before:
            await asyncio.sleep(0.01)
    async with opened(path, clock) as again:
        assert (await again.list_uploads("ann", None, Page()))[1] == 50


async def test_no_new_database_where_there_are_bytes(path: Path, clock: Clock) -> None:
    for content in (None, b""):
        if content is not None:
            path.write_bytes(content)
        before = names(path.parent)
        state = SqliteState(path, durability="durable", now=clock, fresh_ok=False)
        with pytest.raises(StorageFailed, match="backup"):
            await state.open()
        assert names(path.parent) == before
    with pytest.raises(ShuttingDown):
        await state.apply(adder("u1"))


def _flip(content: bytearray) -> bytearray:
    """The root pages of tables, overwritten."""
    for at in range(4096 * 2, len(content), 4096 * 3):
        content[at : at + 64] = b"\xa5" * 64
    return content


DAMAGES: list[Any] = [
    pytest.param(_flip, id="pages overwritten"),
    pytest.param(lambda content: content[: len(content) // 2], id="cut in half"),
    pytest.param(lambda content: content[:1000], id="less than a page"),
    pytest.param(lambda content: bytearray(b"\0" * 4096) + content[4096:], id="header zeroed"),
    pytest.param(lambda content: bytearray(b"hello world, this is no database" * 300), id="something else"),
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("fresh_ok", [True, False])
async def test_a_damaged_file_is_refused_and_left_alone(path: Path, clock: Clock, damage: Any, fresh_ok: bool) -> None:
    async with opened(path, clock) as state:
        await asyncio.gather(*(state.apply(adder(f"u{n}")) for n in range(300)))
    path.write_bytes(damage(bytearray(path.read_bytes())))
    before = names(path.parent)
    state = SqliteState(path, durability="durable", now=clock, fresh_ok=fresh_ok)
    with pytest.raises(StorageFailed, match="damaged") as caught:
        await state.open()
    assert "To restore it" in caught.value.message
    assert str(path) in caught.value.message
    assert names(path.parent) == before
    await state.close()


async def test_a_newer_database_is_refused(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        await save(state, upload("u1"))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StorageFailed, match="newer"):
        await SqliteState(path, durability="durable", now=clock).open()


async def test_a_migration_happens_whole_or_not_at_all(path: Path, clock: Clock) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE outbox (foreign_one)")
    connection.close()
    with pytest.raises(StorageFailed, match="outbox"):
        await SqliteState(path, durability="durable", now=clock).open()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("outbox",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(migrations()) == list(range(1, len(migrations()) + 1))


async def test_what_cannot_be_opened(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "missing" / "state.db"):
        with pytest.raises(StorageFailed, match="could not be opened"):
            await SqliteState(path, durability="durable", now=clock).open()


async def test_odd_names_of_folders(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "a b%20?mode=memory#é"
    folder.mkdir()
    for _ in range(2):
        async with opened(folder / "state.db", clock) as state:
            await save(state, upload("u1"))
            assert (await state.list_uploads("ann", None, Page()))[1] == 1
    assert [file.name for file in folder.glob("state.db*")] == ["state.db"]


# ------------------------------------------------------------------------------------- locks, cancellation


async def test_a_lock_of_another_program_is_waited_for_then_busy(path: Path, clock: Clock) -> None:
    async with opened(path, clock, busy_ms=30) as state:
        await save(state, upload("u1"))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy):
            await save(state, upload("u2"))
        assert await state.upload("u1") == upload("u1")
        assert (await state.list_uploads("ann", None, Page()))[1] == 1
        waiting = asyncio.create_task(save(state, upload("u3")))
        await asyncio.sleep(0.05)
        other.execute("ROLLBACK")
        await waiting
        other.close()
        assert await state.upload("u2") is None
        assert await state.upload("u3") == upload("u3")


async def test_cancelled_callers_disturb_nobody(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:
        tasks = [asyncio.create_task(state.apply(adder(f"u{n:02}"))) for n in range(40)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [n % 3 == 0 for n in range(40)]
        assert [answer for n, answer in enumerate(answers) if n % 3] == [None] * 26
        assert [e.seq for e in await state.events("ann", 0, 99)] == list(range(1, 41))
        assert (await state.account("ann")).used == 40


async def test_cancellation_is_raised_when_the_change_is_decided(path: Path, clock: Clock) -> None:
    """Whoever lets a lock go on cancellation must find what was still on its way."""
    entered, go = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        tx.waiting_on("p1")  # is not in memory, so it is run on the thread
        entered.set()
        assert go.wait(5)
        tx.save_upload(upload("u1"))
        raise NotFound

    def saved(tx: Tx) -> None:
        tx.save_upload(upload("u2"))

    async with opened(path, clock) as state:
        tasks = [asyncio.create_task(state.apply(slow)), asyncio.create_task(state.apply(saved))]
        while not entered.is_set():
            await asyncio.sleep(0.001)
        for _ in range(3):
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        go.set()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await state.upload("u1") is None
        assert await state.upload("u2") == upload("u2")


async def test_a_cancelled_read_leaves_nothing(path: Path, clock: Clock) -> None:
    async with opened(path, clock, cache=0) as state:
        await save(state, upload("u1"), upload("u2"))
        for _ in range(20):
            task = asyncio.create_task(state.upload("u1"))
            await asyncio.sleep(0)
            task.cancel()
        assert await state.upload("u1") == upload("u1")
        assert not state._caches.uploads._reading


# --------------------------------------------------------------------------------------------- query plans


LISTINGS = [(sql, "uploads") for sql in statements.LIST_UPLOADS.values()] + [
    (sql, "files") for sql in statements.LIST_FILES.values()
]
SINGLES = [
    getattr(statements, name)
    for name in (
        "UPLOAD", "FILE", "BLOB", "ACCOUNT", "SPACE", "SEQUENCE", "WAITING_ON", "FILES_OF_BLOB", "BLOB_BY_HASH",
        "COUNT_UPLOADS", "COUNT_FILES", "OPEN_UPLOADS", "EXPIRED_UPLOADS", "STALE_ENDED", "EXPIRED_FILES",
        "UNHASHED_BLOBS", "EVENTS", "TRIM_EVENTS", "STATS",
    )
] + list(statements.FILE_BY_HASH.values())  # fmt: skip


async def test_no_query_walks_over_a_whole_table(path: Path, clock: Clock) -> None:
    async with opened(path, clock) as state:

        async def plan(sql: str) -> list[str]:
            count = max(n for n in range(1, 9) if f"?{n}" in sql)
            explained = await state._writer.alone(
                lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * count).fetchall()
            )
            return [row[3] for row in explained]

        for sql, table in LISTINGS:
            steps = await plan(sql)
            assert any(f"SEARCH {table[0]} USING INDEX {table}_by_" in step for step in steps), (sql, steps)
            assert "USE TEMP B-TREE FOR ORDER BY" not in steps, (sql, steps)  # only ties are sorted
        for sql in SINGLES:
            if sql is statements.OPEN_UPLOADS:
                continue
            steps = await plan(sql)
            tables = ("uploads", "files", "blobs", "accounts", "outbox", "islands", "parts", "sequences", "u", "f", "b")
            scanned = [step for step in steps if step.startswith("SCAN") and step.split()[1] in tables]
            assert all("INDEX" in step for step in scanned), (sql, steps)


def test_every_sort_has_its_order() -> None:
    assert set(statements.UPLOAD_ORDER) == set(Sort) == set(statements.FILE_ORDER)
