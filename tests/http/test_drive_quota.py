"""Room: promised when an upload is created, given back exactly once, told apart in both protocols."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tus
from asking import BODY, V, api, at_once, content, end, finish, id_of, length, make, put, refusal, stands, task
from harness import KIB, MIB, Server, chunked

ROOM = MIB


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server where an account has 1 MiB."""
    with Server(tmp_path / "data", "--quota", "1MiB", auth="none") as server:
        yield server
        end(server)


def create(server: Server, size: int) -> tuple[int, str]:
    answer = api(server, "POST", "/files/upload/create", {"fileName": "a", "fileSize": size, "contentType": "a/b"})
    return (200, answer.json()["taskId"]) if answer.status == 200 else refusal(answer)


def test_rest_says_403_and_how_much(small: Server) -> None:
    assert create(small, ROOM - 10)[0] == 200
    asked = {"fileName": "a", "fileSize": 11, "contentType": "a/b"}
    answer = api(small, "POST", "/files/upload/create", asked)
    assert refusal(answer) == (403, "QUOTA_EXCEEDED")
    assert answer.json()["details"] == {"used": 0, "promised": ROOM - 10, "requested": 11, "quota": ROOM}
    assert create(small, 10)[0] == 200
    assert create(small, 0)[0] == 200


def test_tus_says_413(small: Server) -> None:
    answer = tus.create(small, ROOM + 1)
    assert (answer.status, answer.body.partition(b":")[0]) == (413, b"QUOTA_EXCEEDED")
    assert tus.create(small, ROOM).status == 201


def test_room_comes_back(small: Server) -> None:
    for _ in range(3):
        id = make(small, ROOM, body=bytes(100))
        assert tus.create(small, 1).status == 413
        assert tus.delete(small, f"/files/{id}").status == 204
    data = bytes(ROOM)
    id = task(small, data, MIB)
    assert put(small, id, 0, data).status == 200
    file = finish(small, id).json()["id"]
    assert tus.create(small, 1).status == 413, "a file takes room too"
    assert api(small, "DELETE", f"/files/{file}").status == 204
    assert tus.create(small, ROOM).status == 201


def test_fifty_at_once(small: Server) -> None:
    statuses = [status for status, _ in at_once(lambda _: create(small, ROOM * 6 // 10), 50)]
    assert sorted(statuses) == [200] + [403] * 49


def test_what_is_refused_in_the_end_takes_no_room(small: Server) -> None:
    for _ in range(3):
        refused = small.request("POST", "/files", (V, BODY, length(ROOM), ("Upload-Checksum", "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=")),
                                b"abc")  # fmt: skip
        assert refused.status == 460
    assert tus.create(small, ROOM).status == 201


def test_an_upload_of_unknown_length_takes_room_as_it_grows(small: Server) -> None:
    id = make(small, None)
    for at in range(4):
        assert tus.patch(small, f"/files/{id}", at * 256 * KIB, bytes(256 * KIB)).status == 204
    refused = tus.patch(small, f"/files/{id}", ROOM, b"x")
    assert (refused.status, refused.body.partition(b":")[0]) == (413, b"QUOTA_EXCEEDED")
    assert stands(small, id) == ROOM
    assert tus.patch(small, f"/files/{id}", ROOM, b"", length(ROOM)).status == 204
    assert len(content(small, id)) == ROOM


def test_a_stream_of_unknown_length_ends_where_the_room_ends(small: Server) -> None:
    id = make(small, None)
    headers = (V, BODY, ("Upload-Offset", 0), ("Transfer-Encoding", "chunked"))
    answer = small.request("PATCH", f"/files/{id}", headers, chunked(*[bytes(64 * KIB)] * 32))
    assert answer.status == 413
    assert stands(small, id) <= ROOM


def test_a_final_needs_room_beside_its_parts(small: Server) -> None:
    part = make(small, ROOM // 2, ("Upload-Concat", "partial"), body=bytes(ROOM // 2))
    final = ("Upload-Concat", f"final;/files/{part}")
    made = small.request("POST", "/files", (V, final))
    assert made.status == 201
    refused = small.request("POST", "/files", (V, final))
    assert (refused.status, refused.body.partition(b":")[0]) == (413, b"QUOTA_EXCEEDED")
    assert tus.delete(small, f"/files/{part}").status == 204
    assert tus.delete(small, f"/files/{id_of(tus.path(made))}").status == 204
    assert tus.create(small, ROOM).status == 201
