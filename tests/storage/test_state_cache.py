"""The cache of committed values never gives one that is older than what a reader may have seen."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from states import Clock, opened, upload

from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Upload
from tusdrive.ports import Page, Tx
from tusdrive.storage.cache import Cache

OLD, NEW = upload(length=1), upload(length=2)


@pytest.fixture
def cache() -> Cache[Upload]:
    return Cache(8)


def test_what_was_read_is_kept(cache: Cache[Upload]) -> None:
    ticket = cache.miss("u1")
    assert cache.fill("u1", ticket, OLD) == OLD
    cache.forget("u1", ticket)
    assert cache.get("u1") == OLD


def test_nothing_is_kept_of_what_is_not_there(cache: Cache[Upload]) -> None:
    ticket = cache.miss("u1")
    assert cache.fill("u1", ticket, None) is None
    cache.forget("u1", ticket)
    assert cache.get("u1") is None


def test_a_read_that_a_commit_overtook_gives_the_new_value(cache: Cache[Upload]) -> None:
    ticket = cache.miss("u1")
    cache.hold(["u1"])
    cache.release({"u1": NEW})
    assert cache.fill("u1", ticket, OLD) == NEW
    assert cache.get("u1") == NEW


def test_a_read_that_a_commit_overtook_is_not_kept(cache: Cache[Upload]) -> None:
    """Nor when the new value has been pushed out, or was a removal, in the meantime."""
    ticket = cache.miss("u1")
    cache.hold(["u1"])
    cache.release({"u1": None})
    assert cache.fill("u1", ticket, OLD) == OLD  # it was so when the read began
    assert cache.get("u1") is None


def test_during_a_commit_nothing_is_served_and_nothing_is_kept(cache: Cache[Upload]) -> None:
    """The database may show the new value before the cache hears of it."""
    cache.put("u1", OLD)
    cache.hold(["u1"])
    assert cache.get("u1") is None
    ticket = cache.miss("u1")
    assert cache.fill("u1", ticket, OLD) == OLD
    assert cache.get("u1") is None
    cache.release({"u1": NEW})
    assert cache.get("u1") == NEW


def test_a_commit_that_failed_leaves_the_value_to_be_read_again(cache: Cache[Upload]) -> None:
    cache.put("u1", OLD)
    cache.hold(["u1"])
    cache.release({"u1": NEW}, committed=False)
    assert cache.get("u1") is None
    ticket = cache.miss("u1")
    assert cache.fill("u1", ticket, OLD) == OLD
    assert cache.get("u1") == OLD


def test_a_read_that_was_given_up_leaves_nothing(cache: Cache[Upload]) -> None:
    first = cache.miss("u1")
    second = cache.miss("u1")
    cache.forget("u1", first)
    assert cache.fill("u1", second, OLD) == OLD
    assert cache.get("u1") is None
    assert cache.miss("u1") is not first


def test_the_least_recently_used_goes_first(cache: Cache[Upload]) -> None:
    for n in range(8):
        cache.put(f"u{n}", upload(f"u{n}"))
    assert cache.get("u0") is not None
    cache.put("u8", upload("u8"))
    assert [n for n in range(9) if cache.get(f"u{n}")] == [0, 2, 3, 4, 5, 6, 7, 8]


def test_an_upload_with_many_islands_counts_as_many(cache: Cache[Upload]) -> None:
    for n in range(6):
        cache.put(f"u{n}", upload(f"u{n}"))
    islands = Ranges(0, tuple((n * 2, n * 2 + 1) for n in range(1, 81)))  # 80, weight 6
    cache.put("big", upload("big", received=islands))
    assert [n for n in range(6) if cache.get(f"u{n}")] == [4, 5]
    huge = Ranges(0, tuple((n * 2, n * 2 + 1) for n in range(1, 801)))
    cache.put("huge", upload("huge", received=huge))
    assert cache.get("huge") is not None
    assert cache.get("big") is None
    cache.put("u0", upload("u0"))
    assert cache.get("huge") is None


@pytest.mark.parametrize("size", [0, 1, 100])
async def test_reads_never_go_back(tmp_path: Path, size: int) -> None:
    """While one upload is written all the time, nobody reads a value older than one that was read before."""
    newest, done = 0, False

    def step(tx: Tx) -> None:
        known = tx.upload("u1")
        assert known is not None
        tx.save_upload(replace(known, length=(known.length or 0) + 1))

    async with opened(tmp_path / "state.db", Clock(), cache=size) as state:
        await state.apply(lambda tx: tx.save_upload(upload("u1", length=0)))

        async def read(way: int) -> None:
            nonlocal newest
            while not done:
                before = newest
                if way == 0:
                    found = [await state.upload("u1")]
                elif way == 1:
                    found, _ = await state.list_uploads("ann", None, Page())
                else:
                    await state.upload(f"other{way}")
                    continue
                assert found[0] is not None
                assert before <= (found[0].length or 0)
                newest = max(newest, found[0].length or 0)
                await asyncio.sleep(0)

        async def write() -> None:
            for _ in range(150):
                await state.apply(step)
                reread = await state.upload("u1")
                assert reread is not None
                assert newest <= (reread.length or 0)

        readers = [asyncio.create_task(read(way)) for way in (0, 0, 1, 1, 2)]
        await asyncio.gather(write(), write())
        done = True
        await asyncio.gather(*readers)
        assert newest == 300
