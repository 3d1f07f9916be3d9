"""The quota under parallel requests: room is promised once, and given back once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rest
import tus
from harness import MIB, Response, Server

QUOTA = 10 * MIB
BIG = 6 * MIB
FULL_UP = 413  # tus: as an upload that is too large
FULL_UP_REST = 403  # the REST API's document: "insufficient permissions or quota exceeded"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "data", "--quota", "10MiB") as server:
        yield server


def at_once(count: int, call: Callable[[int], Response]) -> list[Response]:
    """`call` from `count` threads, all released together."""
    gate = threading.Barrier(count)
    answers: list[Response] = []

    def go(index: int) -> None:
        gate.wait(20)
        answers.append(call(index))

    threads = [threading.Thread(target=go, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == count
    return answers


def test_fifty_parallel_creates_of_sixty_percent(server: Server) -> None:
    for _ in range(3):
        answers = at_once(50, lambda _: tus.create(server, BIG))
        statuses = sorted(answer.status for answer in answers)
        assert statuses == [201] + [FULL_UP] * 49
        granted = next(answer for answer in answers if answer.status == 201)
        assert tus.delete(server, tus.path(granted)).status == 204


def test_both_languages_share_one_ledger(server: Server) -> None:
    def create(index: int) -> Response:
        if index % 2:
            return tus.create(server, BIG)
        return rest.create(server, BIG, hashlib.sha256(b"%d" % index).hexdigest())

    statuses = [answer.status for answer in at_once(50, create)]
    granted = [status for status in statuses if status in (200, 201)]
    assert len(granted) == 1
    assert statuses.count(FULL_UP) + statuses.count(FULL_UP_REST) == 49


def test_room_comes_back_once(server: Server) -> None:
    at = tus.new(server, BIG)
    statuses = sorted(answer.status for answer in at_once(10, lambda _: tus.delete(server, at)))
    assert statuses[0] == 204
    assert set(statuses[1:]) <= {404, 410}
    tus.new(server, BIG)
    assert tus.create(server, BIG).status == FULL_UP
    tus.new(server, QUOTA - BIG)
    assert tus.create(server, 1).status == FULL_UP


def test_a_finished_file_keeps_its_room_until_it_is_deleted(server: Server) -> None:
    at = tus.new(server, BIG)
    assert tus.patch(server, at, 0, bytes(BIG)).status == 204
    assert tus.create(server, BIG).status == FULL_UP
    assert tus.delete(server, at).status == 204
    assert tus.create(server, BIG).status == 201


def test_a_length_that_is_declared_later(server: Server) -> None:
    at = tus.new(server, None)
    assert tus.patch(server, at, 0, bytes(BIG)).status == 204
    assert tus.create(server, BIG).status == FULL_UP, "bytes that arrived without a length count too"
    late = tus.patch(server, at, BIG, b"", ("Upload-Length", QUOTA + 1))
    assert late.status == FULL_UP
    assert tus.head(server, at).header("upload-length") is None, "a refused length was not kept"
    assert tus.patch(server, at, BIG, b"", ("Upload-Length", BIG)).status == 204
    assert tus.create(server, QUOTA - BIG).status == 201


def test_bytes_beyond_the_quota_without_a_length(server: Server) -> None:
    at = tus.new(server, None)
    over = tus.patch(server, at, 0, bytes(QUOTA + MIB))
    assert over.status == FULL_UP
    assert tus.offset(server, at) <= QUOTA


def test_parallel_declarations_of_sixty_percent(server: Server) -> None:
    uploads = [tus.new(server, None) for _ in range(20)]
    answers = at_once(20, lambda index: tus.patch(server, uploads[index], 0, b"", ("Upload-Length", BIG)))
    assert sorted(answer.status for answer in answers) == [204] + [FULL_UP] * 19


def test_the_ledger_survives_a_kill(server: Server) -> None:
    at = tus.new(server, BIG)
    server.restart()
    assert tus.create(server, BIG).status == FULL_UP
    assert tus.delete(server, at).status == 204
    server.restart()
    assert tus.create(server, BIG).status == 201
