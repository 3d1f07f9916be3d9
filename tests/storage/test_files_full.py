"""Full and failing disks: nothing acknowledged is damaged, nothing is left behind, and work goes on after that."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from disks import ext4_disk, free, memory_disk, mounted, need_root, thin_disk

from tusdrive.domain.errors import StorageFailed, StorageFull
from tusdrive.ports import Source
from tusdrive.storage.files import FileChunks

__all__ = ["ext4_disk", "memory_disk", "thin_disk"]

MIB = 1024 * 1024
PLACE = "2024010112/" + "a" * 32
OTHER = "2024010112/" + "b" * 32
THIRD = "2024010112/" + "c" * 32


@pytest.fixture(params=["memory_disk", "ext4_disk"])
def disk(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


async def opened(where: Path, step: int = 64 * MIB) -> FileChunks:
    store = FileChunks(where, durability="durable", reserve=0, threads=4, step=step)
    await store.open()
    return store


async def test_setting_aside_more_than_there_is_leaves_nothing_behind(disk: Path) -> None:
    store = await opened(disk, step=1024 * MIB)
    file = store.writer(PLACE, expected=500 * MIB)
    before = free(disk)
    with pytest.raises(StorageFull) as caught:
        await file.write(0, [b"x" * 1000], sync=True)
    assert isinstance(caught.value.__cause__, OSError)
    assert before - free(disk) < 64 * 1024
    assert file.allocated == 0
    await file.close()
    await store.close()


async def test_acknowledged_bytes_survive_a_step_that_does_not_fit(disk: Path) -> None:
    store = await opened(disk, step=2 * MIB)
    data = os.urandom(3 * MIB)
    file = store.writer(PLACE, expected=500 * MIB)
    await file.write(0, [data], sync=True)
    assert file.allocated == 4 * MIB
    before = free(disk)
    with pytest.raises(StorageFull):
        await file.write(200 * MIB, [b"y" * 1000], sync=True)
    assert abs(before - free(disk)) < 64 * 1024
    assert file.allocated == 4 * MIB, "what was set aside before still is"
    assert os.stat(disk / "bytes" / PLACE).st_size == 3 * MIB
    assert await file.read(0, 4 * MIB) == data
    more = os.urandom(MIB)
    await file.write(3 * MIB, [more], sync=True)
    assert await file.read(0, 5 * MIB) == data + more
    await file.close()
    await store.close()


async def test_a_full_disk_keeps_the_prefix_and_goes_on_when_there_is_room(disk: Path) -> None:
    store = await opened(disk)
    ballast = store.writer(OTHER, expected=None)
    await ballast.write(0, [bytes(free(disk) - 3 * MIB)], sync=True)
    await ballast.close()
    file = store.writer(PLACE, expected=None)
    data = os.urandom(MIB)
    at = 0
    with suppress(StorageFull):
        while at < 32:
            await file.write(at * MIB, [data], sync=True)
            at += 1
    assert 1 <= at <= 4
    assert await file.read(0, at * MIB) == data * at
    await store.remove(OTHER)
    await file.write(at * MIB, [data], sync=True)
    assert await file.read(0, 32 * MIB) == data * (at + 1)
    await file.close()
    await store.close()


async def test_a_full_disk_is_known_at_once(disk: Path) -> None:
    store = await opened(disk)
    assert await store.free() > 4 * MIB
    file = store.writer(PLACE, expected=None)
    with suppress(StorageFull):
        while True:
            await file.write(file.allocated, [bytes(MIB)], sync=True)
    assert await store.free() < MIB, "the last look, of less than a second ago, does not count"
    await file.close()
    await store.remove(PLACE)
    assert await store.free() > 4 * MIB
    await store.close()


async def test_joining_what_does_not_fit_frees_what_it_took(disk: Path) -> None:
    store = await opened(disk)
    part = (free(disk) * 3 // 5) // 4096 * 4096
    file = store.writer(PLACE, expected=None)
    await file.write(0, [bytes(part)], sync=True)
    await file.close()
    before = free(disk)
    with pytest.raises(StorageFull):
        await store.join(OTHER, [Source(PLACE, part)], lambda done: None)
    assert before - free(disk) < 64 * 1024
    await store.close()


async def test_no_more_inodes_is_storage_full(tmp_path: Path) -> None:
    need_root()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m,nr_inodes=5", "none") as where:
        store = await opened(where)
        for index in range(10):
            file = store.writer(f"2024010112/{index:032x}", expected=None)
            if index < 2:
                await file.write(0, [b"x"], sync=True)
            else:
                with pytest.raises(StorageFull):
                    await file.write(0, [b"x"], sync=True)
            await file.close()
        await store.close()


async def test_after_a_failed_sync_nothing_is_believed(thin_disk: Path) -> None:
    """A real fsync error: the next fdatasync on the descriptor would report success, over bytes that are gone."""
    store = await opened(thin_disk)
    first, second = store.writer(PLACE, expected=None), store.writer(PLACE, expected=None)
    await first.write(0, [os.urandom(MIB)], sync=True)
    at = 1
    with suppress(StorageFailed, StorageFull):
        while at < 48:
            await first.write(at * MIB, [os.urandom(MIB)], sync=True)
            at += 1
    assert at < 48
    for file in (first, second):
        with pytest.raises(StorageFailed):
            await file.sync()
        with pytest.raises(StorageFailed):
            await file.write(0, [b"x"])
        with pytest.raises(StorageFailed):
            await file.write(0, [b"x"], sync=True)
        with pytest.raises(StorageFailed):
            await file.read(0, 1)
        await file.close()
    await store.close()


async def test_one_failed_sync_is_enough_even_if_the_disk_recovers(
    memory_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fdatasync

    def fail(fd: int) -> None:
        monkeypatch.setattr(os, "fdatasync", real)
        raise OSError(5, "EIO")

    store = await opened(memory_disk)
    file, other = store.writer(PLACE, expected=None), store.writer(OTHER, expected=None)
    await file.write(0, [b"good"], sync=True)
    monkeypatch.setattr(os, "fdatasync", fail)
    for _ in range(2):
        with pytest.raises(StorageFailed):
            await file.write(4, [b"lost"], sync=True)
    with pytest.raises(StorageFailed):
        await file.write(4, [b"lost"])
    with pytest.raises(StorageFailed):
        await file.sync()
    await other.write(0, [b"another file"], sync=True)
    await file.close()
    again = store.writer(PLACE, expected=None)
    assert await again.write(4, [b"sent again"], sync=True) == 10
    await again.close()
    await other.close()
    await store.close()


async def test_free_leaves_the_reserve_and_at_least_nine_tenths(memory_disk: Path) -> None:
    there = free(memory_disk)
    for reserve, wanted in ((0, there), (MIB // 2, there - MIB // 2), (100 * MIB, there - 8 * MIB // 10)):
        store = FileChunks(memory_disk, durability="relaxed", reserve=reserve, threads=1)
        await store.open()
        assert await store.free() == wanted
        await store.close()
