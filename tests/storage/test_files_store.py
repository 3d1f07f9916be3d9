"""FileChunks on a real disk: what is written is there, where it should be, and only there."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tusdrive.domain.errors import StorageFailed, StorageFull
from tusdrive.storage import inode
from tusdrive.storage.files import FileChunks
from tusdrive.storage.inode import Barrier, write_all

PLACE = "2024010112/" + "a" * 32
OTHER = "2024010112/" + "b" * 32
MIB = 1024 * 1024


@pytest.fixture(params=["durable", "relaxed"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FileChunks]:
    made = FileChunks(tmp_path, durability=request.param, reserve=0, threads=4)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def durable(tmp_path: Path) -> AsyncIterator[FileChunks]:
    made = FileChunks(tmp_path, durability="durable", reserve=0, threads=4)
    await made.open()
    yield made
    await made.close()


async def put(store: FileChunks, place: str, data: bytes, position: int = 0, expected: int | None = None) -> None:
    file = store.writer(place, expected=expected)
    try:
        assert await file.write(position, [data], sync=True) == len(data)
    finally:
        await file.close()


async def test_writes_at_absolute_positions(store: FileChunks, tmp_path: Path) -> None:
    file = store.writer(PLACE, expected=None)
    assert await file.write(0, [b"hello ", memoryview(b"--world--")[2:7]]) == 11
    assert await file.write(3, [b"LO"], sync=True) == 2
    assert await file.read(0, 100) == b"helLO world"
    assert await file.read(6, 3) == b"wor"
    assert await file.read(50, 3) == b""
    await file.close()
    path = tmp_path / "bytes" / PLACE
    assert path.read_bytes() == b"helLO world"
    assert await store.size(PLACE) == 11


async def test_directories_and_files_are_for_the_server_alone(store: FileChunks, tmp_path: Path) -> None:
    await put(store, PLACE, b"x")
    hour = tmp_path / "bytes" / "2024010112"
    assert stat.S_IMODE((tmp_path / "bytes").stat().st_mode) == 0o700
    assert stat.S_IMODE(hour.stat().st_mode) == 0o700
    assert stat.S_IMODE((hour / ("a" * 32)).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "place",
    [
        "", "a" * 32, "2024010112", "2024010112/", "2024010112/" + "a" * 31, "2024010112/" + "A" * 32,
        "202401011/" + "a" * 32, "2024010112/" + "a" * 32 + "\n", "../4010112/" + "a" * 32, "2024010112/../" + "a" * 29,
        "/etc/passwd", "2024010112/" + "a" * 31 + "\0", "２024010112/" + "a" * 32,
    ],
)  # fmt: skip
async def test_what_is_no_place_is_refused(store: FileChunks, place: str) -> None:
    with pytest.raises(ValueError, match="not a place"):
        store.writer(place, expected=None)
    for call in (store.size, store.remove):
        with pytest.raises(ValueError, match="not a place"):
            await call(place)
    with pytest.raises(ValueError, match="not a place"):
        store.stream(place, 0, 1)


async def test_nothing_is_made_before_the_first_write(store: FileChunks, tmp_path: Path) -> None:
    file = store.writer(PLACE, expected=10 * MIB)
    assert await file.read(0, 10) == b""
    await file.sync()
    assert await store.size(PLACE) is None
    assert os.listdir(tmp_path / "bytes") == []
    await file.close()
    assert file.allocated == 0


async def test_a_link_is_not_followed(store: FileChunks, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "bytes" / "2024010112").mkdir()
    (tmp_path / "bytes" / PLACE).symlink_to(target)
    file = store.writer(PLACE, expected=None)
    with pytest.raises(StorageFailed):
        await file.write(0, [b"x"])
    await file.close()
    with pytest.raises(StorageFailed):
        await store.digest(PLACE, 8, ["sha256"])
    assert target.read_bytes() == b"precious"


async def test_removing_and_removing_again(store: FileChunks) -> None:
    await put(store, PLACE, b"x")
    await store.remove(PLACE)
    assert await store.size(PLACE) is None
    await store.remove(PLACE)


async def test_listing_has_places_only(store: FileChunks, tmp_path: Path) -> None:
    await put(store, PLACE, b"x")
    await put(store, "2024010113/" + "c" * 32, b"y")
    (tmp_path / "bytes" / "2024010112" / "notes.txt").write_bytes(b"")
    (tmp_path / "bytes" / "lost+found").mkdir()
    (tmp_path / "bytes" / "2024010114").mkdir()
    os.utime(tmp_path / "bytes" / PLACE, (time.time() - 500, time.time() - 500))
    found = dict(await store.listing())
    assert sorted(found) == [PLACE, "2024010113/" + "c" * 32]
    assert 499 < found[PLACE] < 510
    assert 0 <= found["2024010113/" + "c" * 32] < 10


async def test_blocks_are_set_aside_in_steps_without_changing_the_size(tmp_path: Path) -> None:
    store = FileChunks(tmp_path, durability="durable", reserve=0, threads=1, step=2 * MIB)
    await store.open()
    file = store.writer(PLACE, expected=5 * MIB)
    path = tmp_path / "bytes" / PLACE
    await file.write(0, [b"x" * 100], sync=True)
    assert file.allocated == 2 * MIB
    assert path.stat().st_size == 100
    assert path.stat().st_blocks * 512 >= 2 * MIB
    await file.write(2 * MIB - 1, [b"yz"])
    assert file.allocated == 4 * MIB
    await file.write(4 * MIB, [b"end"])
    assert file.allocated == 5 * MIB
    assert path.stat().st_size == 4 * MIB + 3
    assert path.stat().st_blocks * 512 >= 5 * MIB
    await file.close()
    await store.close()


async def test_small_files_and_unknown_lengths_set_nothing_aside(durable: FileChunks) -> None:
    small = durable.writer(PLACE, expected=MIB - 1)
    unknown = durable.writer(OTHER, expected=None)
    await small.write(0, [b"x" * 100])
    await unknown.write(0, [b"x" * 2 * MIB])
    assert small.allocated == 100
    assert unknown.allocated == 2 * MIB
    await small.close()
    await unknown.close()


async def test_parallel_writers_of_one_file_share_it(store: FileChunks, tmp_path: Path) -> None:
    size = 16
    wanted = b"".join(bytes([index]) * 4096 for index in range(size))

    async def chunk(index: int) -> None:
        file = store.writer(PLACE, expected=size * 4096)
        await file.write(index * 4096, [bytes([index]) * 4096], sync=True)
        await file.close()

    before = len(os.listdir("/proc/self/fd"))
    await asyncio.gather(*[chunk(index) for index in reversed(range(size))])
    assert (tmp_path / "bytes" / PLACE).read_bytes() == wanted
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_file_stays_open_for_the_other_writer(store: FileChunks) -> None:
    first, second = store.writer(PLACE, expected=None), store.writer(PLACE, expected=None)
    await first.write(0, [b"one"])
    await first.close()
    await first.close()
    await second.write(3, [b"two"], sync=True)
    assert await second.read(0, 6) == b"onetwo"
    await second.close()


async def test_many_pieces_make_one_write(store: FileChunks, tmp_path: Path) -> None:
    pieces = [bytes([index % 251]) for index in range(5000)]
    file = store.writer(PLACE, expected=None)
    assert await file.write(7, pieces, sync=True) == 5000
    await file.close()
    assert (tmp_path / "bytes" / PLACE).read_bytes() == bytes(7) + b"".join(pieces)


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No disk here writes short on demand, so the system call is made to take 1,000 bytes at most; they are real."""
    real = os.pwritev

    def short(fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        return real(fd, [b"".join(buffers)[:1000]], offset)

    monkeypatch.setattr(os, "pwritev", short)
    pieces = [os.urandom(700), b"", os.urandom(1), memoryview(os.urandom(5000)), os.urandom(999)]
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    write_all(fd, 3, pieces, 6700)
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == bytes(3) + b"".join(pieces)


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from tusdrive.domain.errors import StorageFull
from tusdrive.storage.files import FileChunks
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
async def main():
    store = FileChunks(Path(sys.argv[1]), durability="durable", reserve=0, threads=1)
    await store.open()
    file = store.writer(sys.argv[2], expected=None)
    await file.write(0, [b"a" * 200_000], sync=True)
    try:
        await file.write(200_000, [b"b" * 200_000], sync=True)
    except StorageFull:
        print("full")
    await file.close()
    await store.close()
asyncio.run(main())
"""


async def test_a_write_that_only_fits_in_part_is_storage_full(tmp_path: Path) -> None:
    """A limit of the file's size makes the kernel write short first (100,000 bytes) and refuse then."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", LIMITED, str(tmp_path), PLACE], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("full\n", "")
    assert (tmp_path / "bytes" / PLACE).read_bytes() == b"a" * 200_000 + b"b" * 100_000


async def test_cancelled_writers_wait_for_their_write(durable: FileChunks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of a cancelled holder is free only when its last write is over (a slow disk, made of a real one)."""
    started, over = threading.Event(), []

    def slow(fd: int, position: int, pieces: Sequence[bytes | memoryview], size: int) -> None:
        started.set()
        time.sleep(0.3)
        write_all(fd, position, pieces, size)
        over.append(time.monotonic())

    monkeypatch.setattr(inode, "write_all", slow)
    lock = asyncio.Lock()

    async def holder() -> None:
        async with lock:
            file = durable.writer(PLACE, expected=None)
            try:
                await file.write(0, [b"stale"])
            finally:
                await file.close()

    task = asyncio.create_task(holder())
    await asyncio.to_thread(started.wait)
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    async with lock:
        entered = time.monotonic()
        monkeypatch.setattr(inode, "write_all", write_all)
        await put(durable, PLACE, b"fresh")
    assert over
    assert over[0] <= entered
    with pytest.raises(asyncio.CancelledError):
        await task
    assert b"".join([piece async for piece in durable.stream(PLACE, 0, 5)]) == b"fresh"


async def test_the_loop_goes_on_while_the_disk_is_slow(durable: FileChunks, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fdatasync

    def slow(fd: int) -> None:
        time.sleep(0.3)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    write = asyncio.create_task(put(durable, PLACE, b"x"))
    rounds = 0
    while not write.done():
        await asyncio.sleep(0.001)
        rounds += 1
    assert rounds > 50


class Syncs:
    """Counts real syncs, and holds them up on demand."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.go = threading.Event()
        self.fail: OSError | None = None

    def __call__(self) -> None:
        self.begun.append(len(self.begun))
        self.go.wait(5)
        if self.fail is not None:
            raise self.fail


def in_threads(barrier: Barrier, count: int) -> tuple[list[threading.Thread], list[BaseException]]:
    errors: list[BaseException] = []

    def settle() -> None:
        barrier.touch()
        try:
            barrier.settle()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=settle) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, errors


def test_one_sync_serves_all_that_came_before_it_began() -> None:
    syncs = Syncs()
    barrier = Barrier(syncs)
    first, _ = in_threads(barrier, 1)
    while not syncs.begun:
        time.sleep(0.001)
    rest, errors = in_threads(barrier, 10)
    time.sleep(0.05)
    syncs.go.set()
    for thread in first + rest:
        thread.join(5)
    assert errors == []
    assert syncs.begun == [0, 1], "those that came during the first sync need a second one, together"
    barrier.settle()
    assert syncs.begun == [0, 1], "nothing changed since"


def test_a_failed_sync_is_never_tried_again() -> None:
    syncs = Syncs()
    syncs.fail = OSError(5, "EIO")
    syncs.go.set()
    barrier = Barrier(syncs)
    with pytest.raises(OSError, match="EIO"):
        barrier.settle()
    syncs.fail = None
    barrier.touch()
    with pytest.raises(StorageFailed):
        barrier.settle()
    assert syncs.begun == [0]


def test_running_out_of_descriptors_is_not_a_failed_sync() -> None:
    syncs = Syncs()
    syncs.fail = OSError(24, "EMFILE")
    syncs.go.set()
    barrier = Barrier(syncs)
    with pytest.raises(OSError, match="EMFILE"):
        barrier.settle()
    syncs.fail = None
    barrier.settle()
    assert syncs.begun == [0, 1]


SYNCED = """
import asyncio, sys
from pathlib import Path
from tusdrive.storage.files import FileChunks
async def main():
    store = FileChunks(Path(sys.argv[1]), durability=sys.argv[2], reserve=0, threads=2)
    await store.open()
    for name in "ab":
        file = store.writer("2024010112/" + name * 32, expected=None)
        await file.write(0, [b"data"], sync=True)
        await file.close()
    await store.close()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("durability", "wanted"),
    [
        # The data and the folder for each; the new folder's name in `bytes` once, and that of `bytes` at the start.
        ("durable", ["fsync .", "fdatasync a", "fsync hour", "fsync bytes", "fdatasync b", "fsync hour"]),
        ("relaxed", []),
    ],
)
def test_what_is_synced_and_in_which_order(tmp_path: Path, durability: str, wanted: list[str]) -> None:
    """Watched from outside: the system calls of another process."""
    if subprocess.run(["which", "strace"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed")
    log = tmp_path / "log"
    data = tmp_path / "data"
    data.mkdir()
    subprocess.run(
        ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(log), sys.executable, "-c", SYNCED, str(data),
         durability],
        check=True,
    )  # fmt: skip
    names = {
        str(data): ".", f"{data}/bytes": "bytes", f"{data}/bytes/2024010112": "hour",
        f"{data}/bytes/2024010112/{'a' * 32}": "a", f"{data}/bytes/2024010112/{'b' * 32}": "b",
    }  # fmt: skip
    calls = []
    for line in log.read_text().splitlines():
        if "sync(" in line:
            call, _, rest = line.partition(" ")[2].strip().partition("(")
            calls.append(f"{call} {names[rest.split('<')[1].split('>')[0]]}")
    assert calls == wanted


async def test_closing_waits_for_what_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(fd: int, position: int, pieces: Sequence[bytes | memoryview], size: int) -> None:
        time.sleep(0.2)
        write_all(fd, position, pieces, size)

    monkeypatch.setattr(inode, "write_all", slow)
    store = FileChunks(tmp_path, durability="durable", reserve=0, threads=1)
    await store.open()
    write = asyncio.create_task(put(store, PLACE, b"data"))
    await asyncio.sleep(0.05)
    await store.close()
    await write
    assert (tmp_path / "bytes" / PLACE).read_bytes() == b"data"


async def test_a_root_that_cannot_be_written_is_storage_failed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FileChunks(tmp_path / "file", durability="durable", reserve=0, threads=1)
    with pytest.raises(StorageFailed) as caught:
        await store.open()
    assert isinstance(caught.value.__cause__, NotADirectoryError)
    with pytest.raises(StorageFailed):
        await store.free()
    await store.close()
    assert not isinstance(caught.value, StorageFull)
