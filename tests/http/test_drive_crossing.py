"""An upload begun in one protocol, continued and finished in the other."""

from __future__ import annotations

import hashlib

import pytest
import tus
from asking import BODY, V, api, content, finish, length, make, offset, put, refusal, stands, task, told
from harness import KIB, MIB, Pattern, Server, chunked

DATA = Pattern(9, 8 * KIB).read(0)  # eight chunks


def piece(index: int) -> bytes:
    return DATA[index * KIB : (index + 1) * KIB]


def at(index: int) -> int:
    return index * KIB


def test_head_of_a_rest_task(server: Server) -> None:
    id = task(server, DATA, fileName="Zürich.txt", contentType="text/plain")
    put(server, id, 0, piece(0))
    put(server, id, 3, piece(3))
    answer = told(server, id)
    assert (answer.header("upload-offset"), answer.header("upload-length")) == ("1024", "8192")
    assert answer.header("upload-metadata") == "filename WsO8cmljaC50eHQ=,filetype dGV4dC9wbGFpbg=="


def test_a_patch_finishes_a_rest_task(server: Server) -> None:
    id = task(server, DATA)
    put(server, id, 0, piece(0))
    answer = tus.patch(server, f"/files/{id}", at(1), DATA[at(1) :])
    assert (answer.status, answer.header("upload-offset")) == (204, "8192")
    now = api(server, "GET", f"/files/upload/progress/{id}").json()
    assert (now["status"], now["chunksUploaded"]) == ("Completed", 8)
    file = finish(server, id).json()
    assert file["id"] == now["fileId"]
    assert server.request("GET", f"/api/files/{file['id']}").body == DATA
    assert content(server, id) == DATA


def test_a_patch_finishes_a_rest_task_and_its_hash_is_checked(server: Server) -> None:
    data = Pattern(10, 3 * MIB).read(0)
    id = task(server, data, 1 * MIB, hash=hashlib.sha256(data).hexdigest())
    assert tus.patch(server, f"/files/{id}", 0, data).status == 204
    assert finish(server, id).json()["hash"] == hashlib.sha256(data).hexdigest()


def test_all_by_chunks_is_not_finished_before_it_is_told_to(server: Server) -> None:
    id = task(server, DATA)
    for index in range(8):
        put(server, id, index, piece(index))
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == "InProgress"
    assert told(server, id).header("upload-offset") == "8192"
    assert server.request("GET", f"/files/{id}").status == 409
    assert tus.patch(server, f"/files/{id}", at(8), b"").status == 204, "a tus client that asks is told it is done"
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == "Completed"


def test_chunks_into_a_tus_upload(server: Server) -> None:
    """Its chunks have the server's size; it is finished by its last byte, as tus clients expect."""
    data = Pattern(11, 12 * MIB).read(0)
    id = make(server, len(data))
    assert tus.patch(server, f"/files/{id}", 0, data[: 1 * MIB]).status == 204
    told_ = api(server, "GET", f"/files/upload/resume/{id}").json()
    assert (told_["chunkSize"], told_["chunksCount"], told_["uploadedChunks"]) == (5 * MIB, 3, [])
    assert put(server, id, 2, data[10 * MIB :]).status == 200
    assert put(server, id, 1, data[5 * MIB : 10 * MIB]).status == 200
    assert stands(server, id) == MIB
    assert put(server, id, 0, data[: 5 * MIB]).status == 200, "its first part is there, and the same"
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == "Completed"
    assert content(server, id) == data
    assert finish(server, id).status == 200


def test_a_chunk_over_a_prefix_that_differs(server: Server) -> None:
    data = Pattern(12, 6 * MIB).read(0)
    id = make(server, len(data))
    assert tus.patch(server, f"/files/{id}", 0, data[: 1 * MIB]).status == 204
    answer = put(server, id, 0, bytes(5 * MIB))
    assert refusal(answer) == (409, "CHUNK_EXISTS")
    assert answer.json()["details"]["identical"] is False
    assert stands(server, id) == MIB
    assert tus.patch(server, f"/files/{id}", MIB, data[MIB:]).status == 204
    assert content(server, id) == data


def test_no_chunks_without_a_length(server: Server) -> None:
    assert refusal(put(server, make(server, None), 0, b"abc")) == (409, "WRONG_STATE")


@pytest.mark.parametrize("how", ["length", "chunked", "checksum"])
@pytest.mark.parametrize("islands", [(2,), (2, 3), (1, 4, 6), (7,), (1, 2, 3, 4, 5, 6, 7)], ids=str)
def test_a_patch_over_islands_that_are_the_same(server: Server, how: str, islands: tuple[int, ...]) -> None:
    id = task(server, DATA)
    for index in islands:
        assert put(server, id, index, piece(index)).status == 200
    headers = [V, BODY, offset(0)]
    if how == "checksum":
        headers.append(tus.checksum(DATA))
    if how == "chunked":
        body = chunked(*[DATA[each : each + 700] for each in range(0, 8192, 700)])
        answer = server.request("PATCH", f"/files/{id}", [*headers, ("Transfer-Encoding", "chunked")], body)
    else:
        answer = server.request("PATCH", f"/files/{id}", headers, DATA)
    assert (answer.status, answer.header("upload-offset")) == (204, "8192")
    assert content(server, id) == DATA


@pytest.mark.parametrize("where", [2048, 2500, 3071])
def test_a_patch_over_an_island_that_differs(server: Server, where: int) -> None:
    """What is there stays as it is; the client is told where the upload stands, and can go on or give up."""
    id = task(server, DATA)
    assert put(server, id, 2, piece(2)).status == 200
    other = bytearray(DATA)
    other[where] ^= 0xFF
    answer = tus.patch(server, f"/files/{id}", 0, bytes(other))
    assert (answer.status, answer.body.partition(b":")[0]) == (409, b"BYTES_DIFFER")
    assert answer.header("upload-offset") == str(stands(server, id))
    reached = stands(server, id)
    assert reached in (0, 2048, 3072)
    assert tus.patch(server, f"/files/{id}", reached, DATA[reached:]).status == 204
    assert content(server, id) == DATA


def test_a_checksummed_patch_over_an_island_that_differs(server: Server) -> None:
    id = task(server, DATA)
    assert put(server, id, 2, piece(2)).status == 200
    other = b"x" * 8192
    answer = server.request("PATCH", f"/files/{id}", (V, BODY, offset(0), tus.checksum(other)), other)
    assert answer.status == 409
    assert stands(server, id) == 0, "a request under a checksum counts whole or not at all"
    assert tus.patch(server, f"/files/{id}", 0, DATA).status == 204
    assert content(server, id) == DATA


def test_a_patch_that_ends_inside_an_island(server: Server) -> None:
    id = task(server, DATA)
    assert put(server, id, 2, piece(2)).status == 200
    answer = tus.patch(server, f"/files/{id}", 0, DATA[:2500])
    assert answer.status == 204
    assert answer.header("upload-offset") == "3072", "it ends where the island ends"
    assert stands(server, id) == 3072
    assert tus.patch(server, f"/files/{id}", 3072, DATA[3072:]).status == 204
    assert content(server, id) == DATA


def test_a_patch_too_long_over_an_island_at_the_end(server: Server) -> None:
    id = task(server, DATA)
    assert put(server, id, 7, piece(7)).status == 200
    body = chunked(DATA, b"x")
    answer = server.request("PATCH", f"/files/{id}", (V, BODY, offset(0), ("Transfer-Encoding", "chunked")), body)
    assert answer.status == 413
    reached = stands(server, id)
    assert tus.patch(server, f"/files/{id}", reached, DATA[reached:]).status == 204
    assert content(server, id) == DATA


def test_a_chunk_while_a_patch_hangs(server: Server) -> None:
    """Whoever writes by chunks asks the hanging PATCH to let go, whose bytes are kept."""
    id = task(server, DATA)
    with tus.hung(server, f"/files/{id}", 0, 8192, DATA[:1500]) as connection:
        import time

        time.sleep(0.2)
        assert put(server, id, 5, piece(5)).status == 200
        assert connection.response("PATCH").status == 423
    assert stands(server, id) == 1500
    assert tus.patch(server, f"/files/{id}", 1500, DATA[1500:]).status == 204
    assert content(server, id) == DATA


def test_a_rest_task_declares_no_other_length(server: Server) -> None:
    id = task(server, DATA)
    assert tus.patch(server, f"/files/{id}", 0, piece(0), length(9000)).status == 400
    assert stands(server, id) == 0


def test_delete_cancels_a_rest_task(server: Server) -> None:
    id = task(server, DATA)
    assert tus.delete(server, f"/files/{id}").status == 204
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == "Cancelled"
