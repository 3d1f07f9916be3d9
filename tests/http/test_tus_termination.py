"""Conformance checks 85 to 89: termination."""

from __future__ import annotations

import time

import pytest
import tus
from asking import BODY, NOWHERE, Row, V, api, make, offset, places, stands, told
from harness import MIB, Server, eventually

PARTIAL = ("Upload-Concat", "partial")


@pytest.mark.parametrize(("size", "body"), [(10, b"abc"), (3, b"abc"), (10, b""), (0, b"")],
                         ids=["check-085-unfinished", "check-085-finished", "check-085-untouched", "check-085-empty"])
def test_delete(server: Server, size: int, body: bytes) -> None:
    id = make(server, size, body=body)
    answer = tus.delete(server, f"/files/{id}")
    assert (answer.status, answer.body) == (204, b"")
    assert places(server, id) == []


@pytest.mark.parametrize("finished", [False, True], ids=["unfinished", "finished"])
@pytest.mark.parametrize("method", ["HEAD", "PATCH", "GET", "DELETE"])
def test_check_086_gone_afterwards(server: Server, method: str, finished: bool) -> None:
    id = make(server, 3 if finished else 10, body=b"abc")
    assert len(places(server, id)) == 1
    assert tus.delete(server, f"/files/{id}").status == 204
    headers = (V, BODY, offset(3)) if method == "PATCH" else (V,)
    answer = server.request(method, f"/files/{id}", headers)
    assert (answer.status, answer.header("upload-offset")) == (410, None)
    assert method == "HEAD" or answer.body.startswith(b"GONE: ")
    assert places(server, id) == []


def test_check_086_the_file_goes_with_it(server: Server) -> None:
    id = make(server, 3, body=b"abc")
    file = api(server, "GET", f"/files/upload/progress/{id}").json()["fileId"]
    assert server.request("GET", f"/api/files/{file}").body == b"abc"
    assert tus.delete(server, f"/files/{id}").status == 204
    assert server.request("GET", f"/api/files/{file}").status == 410


ROWS = [
    Row(id="check-087-unknown", method="DELETE", path=f"/files/{NOWHERE}", headers=(V,), status=404, code="NOT_FOUND"),
    Row(id="check-087-no-version", method="DELETE", status=412, code="UNSUPPORTED_VERSION"),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_delete_refused(server: Server, row: Row) -> None:
    id = make(server, 10, body=b"abc")
    row.ask(server, id)
    assert stands(server, id) == 3


def test_check_088_while_a_patch_runs(server: Server) -> None:
    id = make(server, 4 * MIB)
    with tus.hung(server, f"/files/{id}", 0, 4 * MIB, bytes(MIB)) as connection:
        time.sleep(0.2)
        assert tus.delete(server, f"/files/{id}").status == 204
        old = connection.response("PATCH")
        assert old.status in (410, 423), old
    assert told(server, id).status == 410
    assert eventually(lambda: places(server, id) == [])


def test_check_088_while_a_chunk_is_put(server: Server) -> None:
    asked = {"fileName": "a", "fileSize": 2048, "contentType": "text/plain", "chunkSize": 1024}
    id = api(server, "POST", "/files/upload/create", asked).json()["taskId"]
    with server.connect() as connection:
        connection.start("POST", f"/api/files/upload/chunk/{id}/1",
                         (("Content-Type", "application/octet-stream"), ("Content-Length", 1024)))  # fmt: skip
        connection.send(bytes(100))
        time.sleep(0.2)
        assert tus.delete(server, f"/files/{id}").status == 204
        assert connection.response("POST").status in (409, 410)
    assert eventually(lambda: places(server, id) == [])


def test_check_089_a_part_that_a_final_waits_for(server: Server) -> None:
    part, other = make(server, 3, PARTIAL), make(server, 3, PARTIAL, body=b"abc")
    final = server.request("POST", "/files", (V, ("Upload-Concat", f"final;/files/{part} /files/{other}")))
    assert final.status == 201
    id = tus.path(final)[-32:]
    assert tus.delete(server, f"/files/{part}").status == 204
    assert told(server, id).status == 410
    status = api(server, "GET", f"/files/upload/progress/{id}").json()
    assert (status["status"], status["errorMessage"]) == ("Failed", f"its part {part} is gone")
    assert stands(server, other) == 3, "the other part is nobody's victim"


def test_check_089_a_part_that_was_joined_already(server: Server) -> None:
    part = make(server, 3, PARTIAL, body=b"abc")
    final = server.request("POST", "/files", (V, ("Upload-Concat", f"final;/files/{part}")))
    assert tus.delete(server, f"/files/{part}").status == 204
    assert tus.get(server, tus.path(final)).body == b"abc"
