"""Random changes against models: islands as a set of integers, and the whole store in SQLite against the one in memory."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from states import NOON, Clock, blob, file, opened, upload

from tusdrive.domain.account import Account
from tusdrive.domain.checksum import FileHash
from tusdrive.domain.errors import NotFound, StorageFailed
from tusdrive.domain.events import Event
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Kind, State, Upload
from tusdrive.ports import Page, Sort, StateStore, Tx
from tusdrive.storage.memory import MemoryState

SPANS = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def as_set(received: Ranges) -> set[int]:
    return set(range(received.prefix)) | {n for start, end in received.islands for n in range(start, end)}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(SPANS, max_size=4), max_size=12), st.booleans())
def test_islands_on_disk_are_those_of_a_set_of_integers(groups: list[list[tuple[int, int]]], cached: bool) -> None:
    """Spans arrive, some of them in one commit; the rows that are written are only those that differ."""

    def add(tx: Tx, start: int, end: int) -> None:
        before = tx.upload("u1")
        assert before is not None
        tx.save_upload(replace(before, received=before.received.add(start, end)))

    async def run(path: Path) -> None:
        model: set[int] = set()
        async with opened(path, Clock(), cache=100 if cached else 0) as state:
            await state.apply(lambda tx: tx.save_upload(upload("u1")))
            for group in groups:
                await asyncio.gather(*(state.apply(lambda tx, s=s, e=e: add(tx, s, e)) for s, e in group))
                model |= {n for start, end in group for n in range(start, end)}
        async with opened(path, Clock()) as state:
            found = await state.upload("u1")
            assert found is not None
            assert as_set(found.received) == model
            rebuilt = Ranges()
            for n in sorted(model):
                rebuilt = rebuilt.add(n, n + 1)
            assert found.received == rebuilt

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "state.db"))


# ------------------------------------------------------------------------------------------- SQLite and memory

IDS = st.sampled_from(["a", "b", "c", "d"])
ACCOUNTS = st.sampled_from(["ann", "bob"])
TIMES = st.integers(NOON - 3, NOON + 3)
MAYBE_TIMES = st.none() | TIMES
SIZES = st.integers(0, 3) | st.just(2**62)
HASHES = st.sampled_from(["aa" * 32, "bb" * 32])
TEXT = st.sampled_from(["", "x", "A\0b", "é\x1a0"]) | st.text(max_size=5)


def ranges(spans: list[tuple[int, int]]) -> Ranges:
    received = Ranges()
    for start, end in spans:
        received = received.add(start, end)
    return received


UPLOADS = st.builds(
    upload, IDS, account=ACCOUNTS, kind=st.sampled_from(Kind), state=st.sampled_from(State), length=st.none() | SIZES,
    received=st.lists(SPANS, max_size=3).map(ranges), allocated=st.integers(0, 99), reserved=st.integers(0, 99),
    auto_finish=st.booleans(), file_name=TEXT, metadata=st.none() | TEXT,
    hash=st.none() | st.builds(FileHash, st.sampled_from(["sha256", "md5"]), HASHES),
    parts=st.lists(IDS, max_size=3).map(tuple), file_id=st.none() | IDS, error=st.none() | TEXT,
    emitted=st.floats(0, 100), expires_at=MAYBE_TIMES, created_at=TIMES, updated_at=TIMES, active_at=TIMES,
    ended_at=MAYBE_TIMES,
)  # fmt: skip
FILES = st.builds(
    file, IDS, account=ACCOUNTS, blob=IDS, name=TEXT, size=SIZES, sha256=st.none() | HASHES, md5=st.none() | HASHES,
    expires_at=MAYBE_TIMES, created_at=TIMES, updated_at=TIMES, deleted_at=MAYBE_TIMES,
)  # fmt: skip
BLOBS = st.builds(blob, IDS, size=SIZES, refs=st.integers(0, 9), sha256=st.none() | HASHES, created_at=TIMES)
LEDGERS = st.builds(Account, id=ACCOUNTS, quota=st.none() | SIZES, used=st.integers(0, 9), promised=st.integers(0, 9))
NUMBERS = st.integers(0, 2)


def asks(tx: Tx, id: str, hash: str) -> list[Any]:
    """What a change can find out."""
    return [
        tx.upload(id), tx.file(id), tx.blob(id), tx.account("ann"), tx.space(), tx.waiting_on(id), tx.files_of_blob(id),
        tx.blob_by_hash(hash, 1), tx.file_by_hash("ann", "sha256", hash, 1, NOON),
        tx.file_by_hash("bob", "md5", hash, 2, NOON),
    ]  # fmt: skip


STEPS = st.one_of(
    st.tuples(st.just("save_upload"), UPLOADS),
    st.tuples(st.just("progress"), IDS, SPANS),
    st.tuples(st.just("save_file"), FILES),
    st.tuples(st.just("save_blob"), BLOBS),
    st.tuples(st.just("save_account"), LEDGERS),
    st.tuples(st.just("remove_upload"), IDS),
    st.tuples(st.just("remove_blob"), IDS),
    st.tuples(st.just("emit"), st.builds(Event, ACCOUNTS, st.just("t"), st.fixed_dictionaries({"n": TEXT}), TIMES)),
    st.tuples(st.just("ask"), IDS, HASHES),
)
CHANGES = st.tuples(st.lists(STEPS, max_size=5), st.booleans())


def change(steps: list[Any], fails: bool) -> Any:
    def run(tx: Tx) -> list[Any]:
        seen: list[Any] = []
        for name, *given in steps:
            if name == "ask":
                seen += asks(tx, *given)
            elif name == "progress":
                known = tx.upload(given[0])
                if known is not None:
                    tx.save_upload(replace(known, received=known.received.add(*given[1]), updated_at=tx.now))
            else:
                getattr(tx, name)(*given)
        if fails:
            raise NotFound(str(seen))
        return seen

    return run


async def everything(state: StateStore) -> list[Any]:
    """All that can be read."""
    seen: list[Any] = []
    for account in ("ann", "bob"):
        for sort in Sort:
            for page in (Page(sort=sort), Page(sort=sort, descending=False, offset=1, limit=2)):
                seen.append(await state.list_uploads(account, None, page))
                seen.append(await state.list_uploads(account, frozenset({State.ACTIVE, State.FAILED}), page))
                seen.append(await state.list_files(account, page, NOON))
        stats = await state.stats(account)
        seen += [await state.account(account), stats.by_state, stats.uploaded_bytes, round(stats.average_progress, 6)]
        seen.append(await state.events(account, 0, 999))
    for id in ("a", "b", "c", "d"):
        seen += [await state.upload(id), await state.file(id), await state.blob(id)]
    seen += [await state.open_uploads(), await state.expired_uploads(NOON, 9), await state.stale_ended(NOON, 9)]
    seen += [await state.expired_files(NOON, 9), await state.unhashed_blobs(9), await state.places()]
    return [*seen, await recounted(state)]


async def recounted(state: StateStore) -> Any:
    """Sums over 64 bits cannot be: no ledger could hold them."""
    try:
        found = await state.recount()
    except StorageFailed:
        return "too large"
    sums = [number for pair in found.values() for account in pair for number in (account.used, account.promised)]
    return "too large" if max(sums, default=0) >= 2**63 else found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CHANGES, max_size=4), max_size=8), st.sampled_from([0, 2, 1000]))
def test_sqlite_and_memory_agree(groups: list[list[Any]], cache: int) -> None:
    """The same changes, some of them in one commit, and every question after each, also after a restart."""

    async def run(path: Path) -> None:
        memory = MemoryState(Clock())
        await memory.open()
        async with opened(path, Clock(), cache=cache) as state:
            for group in groups:
                expected = [await _answer(memory.apply(change(*given))) for given in group]
                answers = await asyncio.gather(*(_answer(state.apply(change(*given))) for given in group))
                assert answers == expected
                assert await everything(state) == await everything(memory)
        async with opened(path, Clock()) as state:
            assert await everything(state) == await everything(memory)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "state.db"))


async def _answer(asked: Any) -> Any:
    try:
        return await asked
    except (NotFound, StorageFailed) as error:
        return type(error), str(error)


def test_the_model_would_notice(tmp_path: Path) -> None:
    """A difference in one field is a difference of `everything`."""

    async def run() -> tuple[list[Any], list[Any]]:
        async with opened(tmp_path / "state.db", Clock()) as state:
            await state.apply(lambda tx: tx.save_upload(upload("a")))
            before = await everything(state)
            await state.apply(lambda tx: tx.save_upload(replace(upload("a"), error="x")))
            return before, await everything(state)

    before, after = asyncio.run(run())
    assert before != after
    assert isinstance(before[0][0][0], Upload)
