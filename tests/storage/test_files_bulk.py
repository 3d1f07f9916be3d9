"""Joining, hashing and streaming whole files."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tusdrive.domain.errors import StorageFailed
from tusdrive.ports import Source
from tusdrive.ports.settling import settled
from tusdrive.storage import bulk
from tusdrive.storage.files import FileChunks

MIB = 1024 * 1024
PLACE = "2024010112/" + "a" * 32
OTHER = "2024010113/" + "b" * 32
JOINED = "2024010114/" + "c" * 32


@pytest.fixture(params=["durable", "relaxed"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FileChunks]:
    made = FileChunks(tmp_path, durability=request.param, reserve=0, threads=2)
    await made.open()
    yield made
    await made.close()


async def put(store: FileChunks, place: str, data: bytes) -> None:
    file = store.writer(place, expected=len(data))
    await file.write(0, [data], sync=True)
    await file.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_join(store: FileChunks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "TURN", MIB)
    first, second = os.urandom(3 * MIB + 1), os.urandom(MIB + 5)
    await put(store, PLACE, first)
    await put(store, OTHER, second)
    (tmp_path / "bytes" / "2024010114").mkdir()
    (tmp_path / "bytes" / JOINED).write_bytes(os.urandom(9 * MIB))
    said: list[int] = []
    before = descriptors()
    sources = [Source(PLACE, 3 * MIB), Source(OTHER, len(second)), Source(PLACE, 0), Source(PLACE, 7)]
    await store.join(JOINED, sources, said.append)
    assert (tmp_path / "bytes" / JOINED).read_bytes() == first[: 3 * MIB] + second + first[:7]
    assert said == [MIB, 2 * MIB, 3 * MIB, 4 * MIB, 4 * MIB + 5, 4 * MIB + 12]
    assert descriptors() == before


async def test_joining_nothing_makes_an_empty_file(store: FileChunks) -> None:
    await store.join(JOINED, [], lambda done: None)
    assert await store.size(JOINED) == 0


async def test_join_where_the_kernel_cannot_copy(
    store: FileChunks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(18, "EXDEV")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    data = os.urandom(3 * MIB + 9)
    await put(store, PLACE, data)
    await store.join(JOINED, [Source(PLACE, len(data)), Source(PLACE, 10)], lambda done: None)
    assert (tmp_path / "bytes" / JOINED).read_bytes() == data + data[:10]


async def test_a_part_that_is_too_short_or_missing(store: FileChunks) -> None:
    await put(store, PLACE, b"x" * 100)
    with pytest.raises(StorageFailed):
        await store.join(JOINED, [Source(PLACE, 100), Source(PLACE, 101)], lambda done: None)
    assert await store.size(JOINED) == 0
    with pytest.raises(StorageFailed):
        await store.join(JOINED, [Source(OTHER, 1)], lambda done: None)


async def test_a_join_can_be_called_off_between_turns(store: FileChunks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "TURN", MIB)
    await put(store, PLACE, bytes(64 * MIB))
    said: list[int] = []
    before = descriptors()
    task = asyncio.create_task(store.join(JOINED, [Source(PLACE, 64 * MIB)], said.append))
    async with asyncio.timeout(5):
        while not said:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(said) < 64
    assert descriptors() == before
    await store.join(JOINED, [Source(PLACE, 10)], lambda done: None)
    assert await store.size(JOINED) == 10


async def test_digest(store: FileChunks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "TURN", 2 * MIB)
    data = os.urandom(5 * MIB + 3)
    await put(store, PLACE, data)
    assert await store.digest(PLACE, len(data), ["sha256", "md5"]) == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data).hexdigest(),
    }
    assert await store.digest(PLACE, 3, ["sha256"]) == {"sha256": hashlib.sha256(data[:3]).hexdigest()}
    assert await store.digest(PLACE, 0, ["md5"]) == {"md5": "d41d8cd98f00b204e9800998ecf8427e"}
    assert await store.digest(PLACE, 5, []) == {}


async def test_digest_of_too_few_bytes(store: FileChunks) -> None:
    await put(store, PLACE, b"abc")
    with pytest.raises(StorageFailed):
        await store.digest(PLACE, 4, ["sha256"])
    with pytest.raises(StorageFailed):
        await store.digest(OTHER, 0, ["sha256"])


async def test_hashing_leaves_the_loop_alone(store: FileChunks) -> None:
    await put(store, PLACE, bytes(48 * MIB))
    hashing = asyncio.create_task(store.digest(PLACE, 48 * MIB, ["sha256", "md5"]))
    rounds = 0
    while not hashing.done():
        await asyncio.sleep(0.001)
        rounds += 1
    assert rounds > 20, "48 MiB take a tenth of a second or more"


async def test_stream(store: FileChunks) -> None:
    data = os.urandom(2 * MIB + 100)
    await put(store, PLACE, data)
    before = descriptors()
    pieces = [piece async for piece in store.stream(PLACE, 10, 2 * MIB + 50)]
    assert b"".join(pieces) == data[10 : 2 * MIB + 50]
    assert max(map(len, pieces)) <= MIB
    assert [piece async for piece in store.stream(PLACE, 5, 5)] == []
    assert descriptors() == before


async def test_stream_of_too_few_bytes(store: FileChunks) -> None:
    await put(store, PLACE, b"abc")
    stream = store.stream(PLACE, 1, 5)
    assert await anext(stream) == b"bc"
    with pytest.raises(StorageFailed):
        await anext(stream)
    with pytest.raises(StorageFailed):
        await anext(store.stream(OTHER, 0, 1))


async def test_an_abandoned_stream_closes_its_file(store: FileChunks) -> None:
    await put(store, PLACE, bytes(3 * MIB))
    before = descriptors()
    stream = store.stream(PLACE, 0, 3 * MIB)
    assert len(await anext(stream)) == MIB
    assert descriptors() == before + 1
    del stream
    gc.collect()
    async with asyncio.timeout(5):
        while descriptors() > before:
            await asyncio.sleep(0.01)


async def test_a_cancelled_stream_closes_its_file(store: FileChunks) -> None:
    """At any point: while the file is opened, and while it is read."""
    await put(store, PLACE, bytes(8 * MIB))
    before = descriptors()

    async def consume() -> None:
        async for _ in store.stream(PLACE, 0, 8 * MIB):
            await asyncio.sleep(0)

    for rounds in range(40):
        task = asyncio.create_task(consume())
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gc.collect()
    await asyncio.sleep(0.05)
    assert descriptors() == before


async def test_what_works_in_a_thread_is_seen_to_its_end() -> None:
    over = []

    def work() -> None:
        time.sleep(0.1)
        over.append(True)

    task = asyncio.create_task(settled(asyncio.to_thread(work)))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over == [True]
