"""REST "chunk": any order, any parallelism, exact lengths, and nothing written over."""

from __future__ import annotations

import random
import time

import pytest
import rest
from asking import NOWHERE, api, at_once, finish, put, refusal, stands, task
from harness import KIB, MIB, Pattern, Server, chunked, eventually

DATA = Pattern(7, 4500).read(0)  # four chunks of 1 KiB and one of 404 bytes
FORM = ("Content-Type", "multipart/form-data; boundary=b0")


def piece(index: int) -> bytes:
    return DATA[index * KIB : (index + 1) * KIB]


def uploaded(server: Server, id: str) -> list[int]:
    found = api(server, "GET", f"/files/upload/resume/{id}").json()["uploadedChunks"]
    assert isinstance(found, list)
    return found


def test_one_after_the_other(server: Server) -> None:
    id = task(server, DATA)
    for index in range(5):
        answer = put(server, id, index, piece(index))
        assert answer.status == 200
        assert answer.json() == {
            "taskId": id, "chunkIndex": index, "chunksUploaded": index + 1, "chunksCount": 5,
            "progress": [1024, 2048, 3072, 4096, 4500][index] * 100 / 4500,
        }  # fmt: skip
    assert finish(server, id).json()["size"] == 4500


def test_in_any_order(server: Server) -> None:
    id = task(server, DATA)
    for index, offset, done in ((4, 0, [4]), (1, 0, [1, 4]), (0, 2048, [0, 1, 4]), (3, 2048, [0, 1, 3, 4]),
                                (2, 4500, [0, 1, 2, 3, 4])):  # fmt: skip
        assert put(server, id, index, piece(index)).status == 200
        assert uploaded(server, id) == done
        assert stands(server, id) == offset, "what tus clients are told is the contiguous prefix"
    file = finish(server, id).json()["id"]
    assert server.request("GET", f"/api/files/{file}").body == DATA


def test_sixteen_at_once(server: Server) -> None:
    data = Pattern(16, 16 * 64 * KIB - 5).read(0)
    id = task(server, data, 64 * KIB)
    order = random.Random(1).sample(range(16), 16)
    answers = at_once(lambda n: put(server, id, order[n], data[order[n] * 65536 : order[n] * 65536 + 65536]), 16)
    assert [answer.status for answer in answers] == [200] * 16
    assert max(answer.json()["chunksUploaded"] for answer in answers) == 16
    assert uploaded(server, id) == list(range(16))
    file = finish(server, id).json()["id"]
    assert server.request("GET", f"/api/files/{file}").body == data


def test_the_same_chunk_sixteen_times_at_once(server: Server) -> None:
    id = task(server, DATA)
    answers = at_once(lambda n: put(server, id, 2, piece(2)), 16)
    statuses = sorted(answer.status for answer in answers)
    assert set(statuses) <= {200, 409}, statuses
    codes = {answer.json()["code"] for answer in answers if answer.status == 409}
    assert codes <= {"CHUNK_EXISTS", "UPLOAD_INTERRUPTED"}
    assert uploaded(server, id) == [2]


def test_two_versions_of_a_chunk_at_once(server: Server) -> None:
    """One stands, the other is told so; never a mixture."""
    for _ in range(10):
        data = b"x" * (64 * KIB)
        id = task(server, data, 64 * KIB)
        letters = (b"x", b"y")
        answers = at_once(lambda n: put(server, id, 0, letters[n] * 65536), 2)  # noqa: B023
        assert sorted(answer.status for answer in answers) == [200, 409]
        file = finish(server, id).json()["id"]
        winner = letters[[answer.status for answer in answers].index(200)]
        assert server.request("GET", f"/api/files/{file}").body == winner * 65536


def test_again_with_the_same_bytes(server: Server) -> None:
    id = task(server, DATA)
    assert put(server, id, 1, piece(1)).status == 200
    answer = put(server, id, 1, piece(1))
    assert refusal(answer) == (409, "CHUNK_EXISTS")
    assert answer.json()["details"] == {"chunkIndex": 1, "identical": True}


@pytest.mark.parametrize("at", [0, 500, 1023])
def test_again_with_other_bytes(server: Server, at: int) -> None:
    id = task(server, DATA)
    assert put(server, id, 1, piece(1)).status == 200
    other = bytearray(piece(1))
    other[at] ^= 1
    answer = put(server, id, 1, bytes(other))
    assert refusal(answer) == (409, "CHUNK_EXISTS")
    assert (answer.json()["details"]["identical"], answer.json()["details"]["chunkIndex"]) == (False, 1)
    for index in (0, 2, 3, 4):
        assert put(server, id, index, piece(index)).status == 200
    file = finish(server, id).json()["id"]
    assert server.request("GET", f"/api/files/{file}").body == DATA, "nothing was written over"


def test_again_after_completion(server: Server) -> None:
    id = task(server, b"abc")
    put(server, id, 0, b"abc")
    file = finish(server, id).json()["id"]
    assert put(server, id, 0, b"abc").json()["details"]["identical"] is True
    assert put(server, id, 0, b"abd").json()["details"]["identical"] is False
    assert server.request("GET", f"/api/files/{file}").body == b"abc"


LENGTHS = [
    ("short", 0, 1023, 400, "CHUNK_OUT_OF_RANGE"),
    ("empty", 0, 0, 400, "CHUNK_OUT_OF_RANGE"),
    ("long", 0, 1025, 413, "SIZE_EXCEEDED"),
    ("very-long", 0, 200_000, 413, "SIZE_EXCEEDED"),
    ("last-short", 4, 403, 400, "CHUNK_OUT_OF_RANGE"),
    ("last-long", 4, 405, 413, "SIZE_EXCEEDED"),
    ("last-as-long-as-the-others", 4, 1024, 413, "SIZE_EXCEEDED"),
]


@pytest.mark.parametrize("how", ["raw", "form", "chunked"])
@pytest.mark.parametrize(("index", "size", "status", "code"), [row[1:] for row in LENGTHS], ids=[r[0] for r in LENGTHS])
def test_the_exact_length(server: Server, how: str, index: int, size: int, status: int, code: str) -> None:
    id = task(server, DATA)
    if how == "raw":
        answer = put(server, id, index, bytes(size))
    elif how == "form":
        answer = rest.chunk(server, id, index, bytes(size))
    else:
        headers = (("Content-Type", "application/octet-stream"), ("Transfer-Encoding", "chunked"))
        body = chunked(bytes(size)) if size else chunked()
        answer = server.request("POST", f"/api/files/upload/chunk/{id}/{index}", headers, body)
    assert refusal(answer) == (status, code)
    assert uploaded(server, id) == []
    right = piece(index)
    assert put(server, id, index, right).status == 200, "a refused chunk is in nobody's way"


@pytest.mark.parametrize(("size", "status"), [(1023, 400), (1025, 413), (10**9, 413)])
def test_a_wrong_length_is_refused_before_the_body_is_read(server: Server, size: int, status: int) -> None:
    id = task(server, DATA)
    headers = (("Content-Type", "application/octet-stream"), ("Content-Length", size), ("Expect", "100-continue"))
    with server.connect(5) as connection:
        connection.start("POST", f"/api/files/upload/chunk/{id}/0", headers)
        answer = connection.response("POST")
    assert (answer.status, answer.interim) == (status, ())


@pytest.mark.parametrize("index", ["5", "-1", "99999999999999999999", "a", "1.0", "+1", "%31x", "0x0", " 1"])
def test_chunks_that_there_are_not(server: Server, index: str) -> None:
    id = task(server, DATA)
    assert refusal(put(server, id, index.replace(" ", "%20"), piece(0))) == (400, "CHUNK_OUT_OF_RANGE")


def test_unknown_tasks(server: Server) -> None:
    assert refusal(put(server, NOWHERE, 0, b"abc")) == (404, "NOT_FOUND")
    assert refusal(put(server, "nope", 0, b"abc")) == (404, "NOT_FOUND")


def test_cancelled_tasks(server: Server) -> None:
    id = task(server, DATA)
    api(server, "DELETE", f"/files/upload/task/{id}")
    assert refusal(put(server, id, 0, piece(0))) == (410, "GONE")


def test_as_in_the_javascript(server: Server) -> None:
    """FormData with the one field `chunk`, as fetch sends it."""
    id = task(server, DATA)
    body = (b'--b0\r\nContent-Disposition: form-data; name="chunk"; filename="blob"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n" + piece(0) + b"\r\n--b0--\r\n")  # fmt: skip
    assert server.request("POST", f"/api/files/upload/chunk/{id}/0", (FORM,), body).status == 200
    assert server.request("POST", f"/api/files/upload/chunk/{id}/0", (FORM,), body).status == 409
    assert uploaded(server, id) == [0]


def test_put_is_as_good_as_post(server: Server) -> None:
    id = task(server, b"abc")
    headers = (("Content-Type", "application/octet-stream"),)
    assert server.request("PUT", f"/api/files/upload/chunk/{id}/0", headers, b"abc").status == 200


FORMS = [
    ("another-field-before", b'--b0\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b0\r\n'
     b'Content-Disposition: form-data; name="chunk"; filename="b"\r\n\r\nabc\r\n--b0--\r\n', 200),
    ("another-field-after", b'--b0\r\nContent-Disposition: form-data; name="chunk"; filename="b"\r\n\r\nabc\r\n--b0\r\n'
     b'Content-Disposition: form-data; name="x"\r\n\r\n1\r\n--b0--\r\n', 200),
    ("no-field", b'--b0\r\nContent-Disposition: form-data; name="x"\r\n\r\nabc\r\n--b0--\r\n', 400),
    ("nothing", b"", 400),
    ("no-form", b"abc", 400),
    ("cut", b'--b0\r\nContent-Disposition: form-data; name="chunk"; filename="b"\r\n\r\nabc', 400),
    ("twice", b'--b0\r\nContent-Disposition: form-data; name="chunk"; filename="b"\r\n\r\nabc\r\n--b0\r\n'
     b'Content-Disposition: form-data; name="chunk"; filename="b"\r\n\r\nabc\r\n--b0--\r\n', 400),
    ("boundary-inside", b'--b0\r\nContent-Disposition: form-data; name="chunk"; filename="b"\r\n\r\n--b\r\n--b0--\r\n',
     200),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), [row[1:] for row in FORMS], ids=[row[0] for row in FORMS])
def test_forms(server: Server, body: bytes, status: int) -> None:
    id = task(server, b"abc")
    answer = server.request("POST", f"/api/files/upload/chunk/{id}/0", (FORM,), body)
    assert answer.status == status, answer
    assert uploaded(server, id) == ([0] if status == 200 else [])


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" +
                                  "b" * 200])  # fmt: skip
def test_forms_without_a_boundary(server: Server, kind: str) -> None:
    id = task(server, b"abc")
    answer = server.request("POST", f"/api/files/upload/chunk/{id}/0", (("Content-Type", kind),), b"--b0\r\n")
    assert 400 <= answer.status < 500


@pytest.mark.parametrize("cut", ["raw", "form"])
def test_a_chunk_that_breaks_off_did_not_arrive(server: Server, cut: str) -> None:
    id = task(server, DATA)
    body = piece(0) if cut == "raw" else b'--b0\r\nContent-Disposition: form-data; name="chunk"\r\n\r\n' + piece(0)
    kind = ("Content-Type", "application/octet-stream") if cut == "raw" else FORM
    with server.connect() as connection:
        connection.start("POST", f"/api/files/upload/chunk/{id}/0", (kind, ("Content-Length", len(body))))
        connection.send(body[:-100])
        time.sleep(0.2)
    assert put(server, id, 0, piece(0)).status == 200
    assert uploaded(server, id) == [0]


def test_a_hanging_chunk_lets_go_of_a_newer_one(server: Server) -> None:
    id = task(server, DATA)
    with server.connect() as connection:
        headers = (("Content-Type", "application/octet-stream"), ("Content-Length", 1024))
        connection.start("POST", f"/api/files/upload/chunk/{id}/0", headers)
        connection.send(piece(0)[:100])
        time.sleep(0.2)
        began = time.monotonic()
        assert put(server, id, 1, piece(1)).status == 200, "other chunks do not care"
        assert put(server, id, 0, piece(0)).status == 200
        assert time.monotonic() - began < 2
        assert connection.response("POST").status == 409
    assert uploaded(server, id) == [0, 1]


def test_large_chunks(server: Server) -> None:
    data = Pattern(99, 33 * MIB).read(0)
    id = task(server, data, 16 * MIB)
    for index in (2, 0, 1):
        send = rest.chunk if index else rest.raw_chunk
        assert send(server, id, index, data[index * 16 * MIB : (index + 1) * 16 * MIB]).status == 200
    file = finish(server, id).json()["id"]
    assert rest.file(server, file).body == data


def test_expired_tasks(brief: Server) -> None:
    id = task(brief, DATA)
    assert put(brief, id, 0, piece(0)).status == 200
    eventually(lambda: api(brief, "GET", f"/files/upload/progress/{id}").json()["status"] == "Expired", 6, 0.2)
    assert refusal(put(brief, id, 1, piece(1))) == (410, "GONE")
    assert refusal(finish(brief, id)) == (410, "GONE")
