"""Small durable writes that are made durable together, and each by itself when that is no good."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tusdrive.domain.errors import StorageFailed
from tusdrive.storage import fallocate, group
from tusdrive.storage.files import FileChunks


class Counted:
    """Counts real syncs; may fail or be slow."""

    def __init__(self, real: Callable[[int], None]) -> None:
        self._real = real
        self.count = 0
        self.error: OSError | None = None
        self.delay = 0.0

    def __call__(self, fd: int) -> None:
        self.count += 1
        error, self.error = self.error, None
        if error is not None:
            raise error
        if self.delay:
            time.sleep(self.delay)
        self._real(fd)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(fallocate.sync_all)
    monkeypatch.setattr(fallocate, "sync_all", counted)
    monkeypatch.setattr(group, "file_system", lambda path: "ext4")
    return counted


@pytest.fixture
def datasyncs(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(os.fdatasync)
    monkeypatch.setattr(os, "fdatasync", counted)
    return counted


def place(number: int) -> str:
    return f"2026112400/{number:032x}"


async def put(chunks: FileChunks, number: int, size: int = 4096) -> None:
    file = chunks.writer(place(number), expected=size)
    try:
        await file.write(0, [bytes([number % 256]) * size], sync=True)
    finally:
        await file.close()


async def opened(path: Path, durability: str = "durable") -> FileChunks:
    chunks = FileChunks(path, durability=durability, reserve=0, threads=4)  # type: ignore[arg-type]
    await chunks.open()
    return chunks


async def test_many_share_few_syncs(tmp_path: Path, syncs: Counted, datasyncs: Counted) -> None:
    chunks = await opened(tmp_path)
    await asyncio.gather(*(put(chunks, number) for number in range(200)))
    assert 1 <= syncs.count < 60
    assert datasyncs.count < 10  # the first few, when nobody else was there
    for number in (0, 100, 199):
        assert (tmp_path / "bytes" / place(number)).read_bytes() == bytes([number % 256]) * 4096
    await chunks.close()


async def test_one_at_a_time_syncs_its_own_file(tmp_path: Path, syncs: Counted, datasyncs: Counted) -> None:
    chunks = await opened(tmp_path)
    for number in range(5):
        await put(chunks, number)
    assert (syncs.count, datasyncs.count) == (0, 5)
    await chunks.close()


async def test_large_writes_sync_their_own_files(tmp_path: Path, syncs: Counted, datasyncs: Counted) -> None:
    chunks = await opened(tmp_path)
    await asyncio.gather(*(put(chunks, number, 128 * 1024) for number in range(8)))
    assert (syncs.count, datasyncs.count) == (0, 8)
    await chunks.close()


async def test_a_sync_covers_only_what_was_written_before_it_began(tmp_path: Path, syncs: Counted) -> None:
    chunks = await opened(tmp_path)
    syncs.delay = 0.02
    chunks._group.writers = 10
    first = [asyncio.create_task(put(chunks, number)) for number in range(3)]
    while not syncs.count:
        await asyncio.sleep(0.001)
    await put(chunks, 9)
    assert syncs.count == 2
    await asyncio.gather(*first)
    await chunks.close()


async def test_a_sync_that_fails_fails_all_that_waited_and_is_not_tried_again(
    tmp_path: Path, syncs: Counted, datasyncs: Counted
) -> None:
    chunks = await opened(tmp_path)
    syncs.error = OSError(errno.EIO, "gone")
    chunks._group.writers = 10
    files = [chunks.writer(place(number), expected=10) for number in range(4)]
    outcomes = await asyncio.gather(*(file.write(0, [b"x" * 10], sync=True) for file in files), return_exceptions=True)
    assert [type(each) for each in outcomes] == [StorageFailed] * 4
    for file in files:  # nothing of it may be relied on, and no later success may hide that
        with pytest.raises(StorageFailed):
            await file.write(10, [b"y"], sync=True)
        await file.close()
    before = datasyncs.count
    await put(chunks, 77)
    assert (syncs.count, datasyncs.count - before) == (1, 1)
    await chunks.close()


async def test_a_slow_sync_is_left_alone_for_a_while(tmp_path: Path, syncs: Counted, datasyncs: Counted) -> None:
    chunks = await opened(tmp_path)
    syncs.delay = 0.08
    chunks._group.writers = 10
    await put(chunks, 1)
    await put(chunks, 2)
    assert (syncs.count, datasyncs.count) == (1, 1)
    await chunks.close()


async def test_a_file_system_that_is_not_known_syncs_each_file(
    tmp_path: Path, syncs: Counted, datasyncs: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "file_system", lambda path: "fuse.sshfs")
    chunks = await opened(tmp_path)
    await asyncio.gather(*(put(chunks, number) for number in range(20)))
    assert (syncs.count, datasyncs.count) == (0, 20)
    await chunks.close()


async def test_relaxed_syncs_nothing(tmp_path: Path, syncs: Counted, datasyncs: Counted) -> None:
    chunks = await opened(tmp_path, "relaxed")
    await asyncio.gather(*(put(chunks, number) for number in range(20)))
    assert (syncs.count, datasyncs.count) == (0, 0)
    await chunks.close()


def test_the_type_of_a_file_system(tmp_path: Path) -> None:
    assert group.file_system("/proc") == "proc"
    assert group.file_system("/nowhere/at/all") == ""
