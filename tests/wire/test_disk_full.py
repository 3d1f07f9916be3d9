"""A disk that is full: refused early, nothing acknowledged is lost, and it goes on when there is room again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import rest
import tus
from disk import Disk, require_loop_mounts
from harness import MIB, Pattern, Server

NO_ROOM = 507


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    require_loop_mounts()
    with Disk(tmp_path, 64 * MIB) as disk:
        yield disk


@pytest.fixture
def server(disk: Disk, tmp_path: Path) -> Iterator[Server]:
    with Server(disk.mount / "data", "--reserve", "4MiB", log=tmp_path / "server.log") as server:
        yield server


def test_more_than_the_disk_has_is_refused_before_the_body(server: Server, disk: Disk) -> None:
    before = disk.free()
    with server.connect(timeout=3) as connection:
        size = 1024 * MIB
        headers = (tus.VERSION, tus.BODY, ("Upload-Length", size), ("Content-Length", size))
        connection.start("POST", server.path, server.signed((*headers, ("Expect", "100-continue"))))
        answer = connection.response()
    assert answer.status == NO_ROOM
    assert answer.interim == (), "the body was not asked for"
    assert rest.create(server, size, "0" * 64).status == NO_ROOM
    assert disk.free() == before


def test_promises_are_counted_against_the_disk(server: Server, disk: Disk) -> None:
    free = disk.free()
    assert tus.create(server, free * 6 // 10).status == 201
    assert tus.create(server, free * 6 // 10).status == NO_ROOM


def test_a_disk_that_somebody_else_fills(server: Server, disk: Disk) -> None:
    pattern = Pattern(79, 12 * MIB)
    first, second = tus.new(server, pattern.length), tus.new(server, None)
    assert tus.patch(server, first, 0, pattern.read(0, 2 * MIB)).status == 204
    assert tus.patch(server, second, 0, bytes(1000)).status == 204
    hog = disk.fill()
    offset = _until_full(server, second, 1000)
    assert tus.offset(server, first) >= 2 * MIB
    assert tus.offset(server, second) == offset
    assert tus.create(server, 30 * MIB).status == NO_ROOM
    assert tus.delete(server, second).status == 204, "deleting must work on a full disk"
    hog.unlink()
    offset = tus.offset(server, first)
    assert tus.patch(server, first, offset, pattern.read(offset)).status == 204
    assert pattern.differs(tus.get(server, first).body) is None
    assert tus.create(server, 10 * MIB).status == 201


def _until_full(server: Server, at: str, offset: int) -> int:
    """Append until there is no room; the offset that is acknowledged then."""
    for _ in range(200):
        answer = tus.patch(server, at, offset, bytes(MIB))
        if answer.status != 204:
            assert answer.status == NO_ROOM, answer
            return tus.offset(server, at)
        offset = answer.number("upload-offset")
    raise AssertionError("it never got full")


def test_chunks_on_a_full_disk(server: Server, disk: Disk) -> None:
    pattern = Pattern(83, 20 * MIB)
    task = rest.new(server, pattern.length, pattern.sha256(), MIB)
    assert rest.chunk(server, task, 0, pattern.read(0, MIB)).status == 200
    hog = disk.fill()
    done = {0}
    for index in range(19, 0, -1):
        answer = rest.raw_chunk(server, task, index, pattern.read(index * MIB, (index + 1) * MIB))
        assert answer.status in (200, NO_ROOM), answer
        done |= {index} if answer.status == 200 else set()
    assert set(rest.resume(server, task).json()["uploadedChunks"]) == done
    hog.unlink()
    for index in set(range(20)) - done:
        assert rest.raw_chunk(server, task, index, pattern.read(index * MIB, (index + 1) * MIB)).status == 200
    finished = rest.complete(server, task)
    assert finished.status == 200, finished
    assert pattern.differs(rest.file(server, finished.json()["id"]).body) is None


def test_the_server_can_start_on_a_full_disk(server: Server, disk: Disk) -> None:
    pattern = Pattern(89, 4 * MIB)
    at = tus.new(server, pattern.length)
    assert tus.patch(server, at, 0, pattern.read(0, MIB)).status == 204
    hog = disk.fill()
    server.restart()
    assert tus.offset(server, at) == MIB
    hog.unlink()
    assert tus.patch(server, at, MIB, pattern.read(MIB)).status == 204
    assert json.loads(server.request("GET", "/health").body)


def test_a_small_disk_is_not_all_reserve(disk: Disk, tmp_path: Path) -> None:
    with Server(disk.mount / "data", log=tmp_path / "server.log") as server:
        assert tus.create(server, 30 * MIB).status == 201, "at most a tenth of a disk is kept free"
