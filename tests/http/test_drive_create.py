"""REST "create": what is asked for, what is refused, and the file that is there already."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
import rest
from asking import JSON, api, finish, put, refusal, task
from harness import KIB, MIB, Server

SHA256 = hashlib.sha256(b"abc").hexdigest()
ASKED = {"fileName": "large-video.mp4", "fileSize": 1073741824, "contentType": "video/mp4", "chunkSize": 8388608}


def create(server: Server, **asked: Any) -> Any:
    return api(server, "POST", "/files/upload/create", {"fileName": "a.bin", "fileSize": 3, "contentType": "a/b", **asked})


def test_as_in_the_quick_start(server: Server) -> None:
    answer = create(server, **ASKED, poolId="550e8400-e29b-41d4-a716-446655440000")
    assert answer.status == 200
    value = answer.json()
    assert sorted(value) == ["chunkSize", "chunksCount", "file", "fileExists", "taskId", "uploadToken", "uploadUrl"]
    assert (value["fileExists"], value["file"]) == (False, None)
    assert (value["chunkSize"], value["chunksCount"]) == (8388608, 128)
    assert value["uploadUrl"] == f"{server.tus}/{value['taskId']}"
    assert value["uploadToken"] is None, "nobody is asked who they are"


@pytest.mark.parametrize(("size", "asked", "chunk", "count"), [
    (12_000_000, None, 5_242_880, 3), (0, None, 5_242_880, 0), (1, None, 5_242_880, 1), (10_485_760, None, 5_242_880, 2),
    (4096, 1024, 1024, 4), (4097, 1024, 1024, 5), (20_000_000, 16_777_216, 16_777_216, 2),
])  # fmt: skip
def test_chunks(server: Server, size: int, asked: int | None, chunk: int, count: int) -> None:
    value = create(server, fileSize=size, **({} if asked is None else {"chunkSize": asked})).json()
    assert (value["chunkSize"], value["chunksCount"]) == (chunk, count)


@pytest.mark.parametrize("prefix", ["/api", "/drive"])
def test_both_prefixes(server: Server, prefix: str) -> None:
    body = json.dumps({"fileName": "a", "fileSize": 3, "contentType": "text/plain"}).encode()
    answer = server.request("POST", f"{prefix}/files/upload/create", (JSON,), body)
    assert answer.status == 200
    id = answer.json()["taskId"]
    raw = (("Content-Type", "application/octet-stream"),)
    assert server.request("POST", f"{prefix}/files/upload/chunk/{id}/0", raw, b"abc").status == 200
    file = server.request("POST", f"{prefix}/files/upload/complete/{id}").json()["id"]
    assert server.request("GET", f"{prefix}/files/{file}").body == b"abc"
    for path in ("upload/tasks", "upload/stats", "upload/tasks/recent", f"upload/progress/{id}", "me",
                 f"upload/resume/{id}", f"upload/tasks/{id}/details", f"{file}/info"):  # fmt: skip
        assert server.request("GET", f"{prefix}/files/{path}").status == 200, path


def test_snake_case_is_understood(server: Server) -> None:
    asked = {"file_name": "a.txt", "file_size": 5000, "content_type": "text/plain", "chunk_size": 2048,
             "expired_at": "2999-01-01T00:00:00Z", "pool_id": None, "bundle_id": None, "encrypt_password": None,
             "hash": SHA256}  # fmt: skip
    value = api(server, "POST", "/files/upload/create", asked).json()
    assert (value["chunkSize"], value["chunksCount"]) == (2048, 3)
    told = api(server, "GET", f"/files/upload/tasks/{value['taskId']}/details").json()["task"]
    assert (told["fileName"], told["hash"], told["expiredAt"]) == ("a.txt", SHA256, "2999-01-01T00:00:00.000000Z")


def test_snake_case_is_spoken_where_that_is_set(snake: Server) -> None:
    asked = {"fileName": "a.txt", "fileSize": 3, "contentType": "text/plain", "chunkSize": 1024}
    value = api(snake, "POST", "/files/upload/create", asked).json()
    assert sorted(value) == ["chunk_size", "chunks_count", "file", "file_exists", "task_id", "upload_token", "upload_url"]
    id = value["task_id"]
    assert put(snake, id, 0, b"abc").json()["chunks_uploaded"] == 1
    file = finish(snake, id).json()
    assert (file["mime_type"], file["resource_identifier"]) == ("text/plain", f"file:{file['id']}")
    refused = api(snake, "POST", f"/files/upload/chunk/{id}/7").json()
    assert refused["details"]["chunks_count"] == 1
    assert "traceId" in refused
    for path in ("tasks", "tasks/recent", "stats", f"progress/{id}", f"resume/{id}", f"tasks/{id}/details"):
        text = api(snake, "GET", f"/files/upload/{path}").body.decode()
        assert '"task_id":' in text, path
        assert not re.search(r'"[a-z]+[A-Z]\w*":', text), path


REFUSED = [
    ("no-name", {"fileName": None}, 400, "VALIDATION_ERROR", "fileName"),
    ("empty-name", {"fileName": ""}, 400, "VALIDATION_ERROR", "fileName"),
    ("name-no-text", {"fileName": 5}, 400, "VALIDATION_ERROR", "fileName"),
    ("name-with-newline", {"fileName": "a\nb"}, 400, "VALIDATION_ERROR", "fileName"),
    ("name-with-nul", {"fileName": "a\0b"}, 400, "VALIDATION_ERROR", "fileName"),
    ("name-too-long", {"fileName": "x" * 1025}, 400, "VALIDATION_ERROR", "fileName"),
    ("no-size", {"fileSize": None}, 400, "VALIDATION_ERROR", "fileSize"),
    ("size-negative", {"fileSize": -1}, 400, "VALIDATION_ERROR", "fileSize"),
    ("size-text", {"fileSize": "3"}, 400, "VALIDATION_ERROR", "fileSize"),
    ("size-bool", {"fileSize": True}, 400, "VALIDATION_ERROR", "fileSize"),
    ("size-fraction", {"fileSize": 1.5}, 400, "VALIDATION_ERROR", "fileSize"),
    ("size-2-63", {"fileSize": 2**63}, 413, "TOO_LARGE", "fileSize"),
    ("chunk-zero", {"chunkSize": 0}, 400, "VALIDATION_ERROR", "chunkSize"),
    ("chunk-negative", {"chunkSize": -5}, 400, "VALIDATION_ERROR", "chunkSize"),
    ("chunk-one", {"chunkSize": 1}, 400, "VALIDATION_ERROR", "chunkSize"),
    ("chunk-over-the-largest", {"chunkSize": 16 * MIB + 1}, 400, "VALIDATION_ERROR", "chunkSize"),
    ("chunk-2-40", {"chunkSize": 2**40}, 400, "VALIDATION_ERROR", "chunkSize"),
    ("too-many-chunks", {"fileSize": 200 * 1024 * 1024, "chunkSize": 1024}, 400, "VALIDATION_ERROR", "chunkSize"),
    ("hash-no-hex", {"hash": "z" * 64}, 400, "VALIDATION_ERROR", "hash"),
    ("hash-of-another-length", {"hash": "a" * 40}, 400, "VALIDATION_ERROR", "hash"),
    ("expired", {"expiredAt": "2001-01-01T00:00:00Z"}, 400, "VALIDATION_ERROR", "expiredAt"),
    ("expiry-no-time", {"expiredAt": "tomorrow"}, 400, "VALIDATION_ERROR", "expiredAt"),
    ("pool-no-id", {"poolId": "../x"}, 400, "VALIDATION_ERROR", "poolId"),
    ("bundle-no-id", {"bundleId": "a b"}, 400, "VALIDATION_ERROR", "bundleId"),
    ("password", {"encryptPassword": "secret"}, 400, "VALIDATION_ERROR", "encryptPassword"),
]


@pytest.mark.parametrize(("asked", "status", "code", "field"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(server: Server, asked: dict[str, Any], status: int, code: str, field: str) -> None:
    before = api(server, "GET", "/files/upload/tasks").number("x-total")
    answer = create(server, **asked)
    assert refusal(answer) == (status, code)
    assert answer.json()["details"]["field"] == field
    assert api(server, "GET", "/files/upload/tasks").number("x-total") == before


BODIES = [
    (b"", 400), (b"{", 400), (b"[]", 400), (b"null", 400), (b'"a"', 400), (b"\xff\xfe", 400), (b"{}", 400),
    (b'{"fileName":"a","file_name":"b","fileSize":3}', 400), (b"[" * 50_000, 400), (b" " * 70_000, 413),
    (b'{"fileName":"a","fileSize":NaN}', 400), (b'{"fileName":"\\ud800","fileSize":3}', 400),
    (b'{"fileName":"a","fileSize":1' + b"0" * 400 + b"}", 413),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), BODIES, ids=lambda value: str(value)[:30])
def test_bodies_that_are_none(server: Server, body: bytes, status: int) -> None:
    assert refusal(server.request("POST", "/api/files/upload/create", (JSON,), body))[0] == status


def test_larger_than_the_largest_is_413(limited: Server) -> None:
    assert refusal(create(limited, fileSize=204_801)) == (413, "TOO_LARGE")
    assert create(limited, fileSize=204_800).status == 200


def test_more_than_the_disk_has_is_507(server: Server) -> None:
    assert refusal(create(server, fileSize=10**15)) == (507, "STORAGE_FULL")


NAMES = ["../../etc/passwd", "..\\..\\x", "/etc/passwd", "C:\\x", "%2e%2e%2f", "CON", "a.", "a ", " a", "\u202egpj.exe",
         "e\u0301", "\u00e9", '"; rm -rf', "\U0001f680", "x" * 1024, "&#x27;", "${jndi:x}"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
def test_names_are_data(server: Server, name: str) -> None:
    id = task(server, b"abc", fileName=name)
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["fileName"] == name
    assert put(server, id, 0, b"abc").status == 200
    assert finish(server, id).json()["name"] == name


def test_the_content_type_is_data_too(server: Server) -> None:
    for given, kept in (("text/html; charset=utf-8", "text/html; charset=utf-8"), ("nonsense", ""), ("a/b\r\nX: y", "")):
        id = task(server, b"abc", contentType=given)
        assert api(server, "GET", f"/files/upload/resume/{id}").json()["contentType"] == kept


def test_the_file_is_there_already(server: Server) -> None:
    data = b"there already" * 100
    hash = hashlib.sha256(data).hexdigest()
    id = task(server, data, 1024, hash=hash)
    for index in range(2):
        assert put(server, id, index, data[index * KIB : (index + 1) * KIB]).status == 200
    first = finish(server, id).json()
    value = create(server, fileSize=len(data), fileName="other.bin", hash=hash.upper()).json()
    assert (value["fileExists"], value["taskId"], value["chunksCount"]) == (True, None, None)
    assert value["file"] == first
    assert create(server, fileSize=len(data) + 1, hash=hash).json()["fileExists"] is False, "another size"
    assert api(server, "DELETE", f"/files/{first['id']}").status == 204
    assert create(server, fileSize=len(data), hash=hash).json()["fileExists"] is False, "it is gone"


def test_the_file_is_there_already_by_md5(server: Server) -> None:
    data = b"by md5"
    md5 = hashlib.md5(data).hexdigest()
    id = task(server, data, hash=md5)
    assert put(server, id, 0, data).status == 200
    file = finish(server, id).json()
    value = create(server, fileSize=len(data), hash=md5).json()
    assert (value["fileExists"], value["file"]["id"]) == (True, file["id"])


def test_a_hash_that_only_a_tus_upload_had(server: Server) -> None:
    """Nobody declared one; the server hashes it by and by, and then knows."""
    from asking import file_of
    from harness import eventually

    data = b"hashed later" * 7
    file = file_of(server, data)
    hash = hashlib.sha256(data).hexdigest()
    assert eventually(lambda: api(server, "GET", f"/files/{file}/info").json()["hash"] == hash, 20, 0.2)
    value = create(server, fileSize=len(data), hash=hash).json()
    assert (value["fileExists"], value["file"]["id"]) == (True, file)


def test_the_harness_says_the_same(server: Server) -> None:
    """The requests that other suites send are the ones that are tested here."""
    id = rest.new(server, 3, hashlib.sha256(b"xyz").hexdigest())
    assert rest.chunk(server, id, 0, b"xyz").status == 200
    assert rest.file(server, rest.complete(server, id).json()["id"]).body == b"xyz"
