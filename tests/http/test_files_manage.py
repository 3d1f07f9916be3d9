"""Files: facts, rename, list, delete, expiry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import tus
from asking import api, file_of, finish, make, places, put, refusal, task
from harness import Server, eventually, token

TEXT = ("Content-Type", "application/json")


def gone(server: Server, file: str) -> list[int]:
    """What each verb answers for a file."""
    asked = [("GET", ""), ("HEAD", ""), ("GET", "/info"), ("PATCH", "/name"), ("DELETE", "")]
    return [
        server.request(verb, f"/api/files/{file}{path}", (TEXT,), b'"x"' if verb == "PATCH" else b"").status
        for verb, path in asked
    ]


def test_facts(server: Server) -> None:
    file = file_of(server, b"abc", "a.txt", "text/plain")
    value = api(server, "GET", f"/files/{file}/info").json()
    assert (value["id"], value["name"], value["size"], value["mimeType"]) == (file, "a.txt", 3, "text/plain")
    assert (value["accountId"], value["resourceIdentifier"], value["deletedAt"]) == ("local", f"file:{file}", None)


RENAMES = [
    (b'"new.txt"', "new.txt"), (b'{"name":"new.txt"}', "new.txt"), (b'{"fileName":"new.txt"}', "new.txt"),
    (b'{"file_name":"new.txt"}', "new.txt"), ('"Zürich 🚀"'.encode(), "Zürich 🚀"), (b'"../x"', "../x"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "name"), RENAMES, ids=[str(row[0]) for row in RENAMES])
def test_rename(server: Server, body: bytes, name: str) -> None:
    file = file_of(server, b"abc", "a.txt")
    before = api(server, "GET", f"/files/{file}/info").json()
    answer = server.request("PATCH", f"/api/files/{file}/name", (TEXT,), body)
    assert (answer.status, answer.json()["name"]) == (200, name)
    after = api(server, "GET", f"/files/{file}/info").json()
    assert after["name"] == name
    assert after["updatedAt"] > before["updatedAt"]
    assert {**after, "name": "", "updatedAt": ""} == {**before, "name": "", "updatedAt": ""}


@pytest.mark.parametrize("body", [b"", b"5", b"null", b'""', b"{}", b'{"name":5}', b"abc", b'"a\\nb"', b'"\\ud800"',
                                  b'"' + b"x" * 1025 + b'"'], ids=lambda body: str(body)[:20])  # fmt: skip
def test_names_that_are_none(server: Server, body: bytes) -> None:
    file = file_of(server, b"abc", "a.txt")
    assert refusal(server.request("PATCH", f"/api/files/{file}/name", (TEXT,), body)) == (400, "VALIDATION_ERROR")
    assert api(server, "GET", f"/files/{file}/info").json()["name"] == "a.txt"


def test_delete(server: Server) -> None:
    id = task(server, b"abc")
    put(server, id, 0, b"abc")
    file = finish(server, id).json()["id"]
    assert len(places(server, id)) == 1
    assert gone(server, file)[:4] == [200, 200, 200, 200]
    # The last of the five verbs has deleted it.
    assert gone(server, file) == [410, 410, 410, 410, 410]
    assert places(server, id) == []
    assert server.request("GET", f"/files/{id}").status == 410
    assert tus.head(server, f"/files/{id}").status == 410
    assert file not in [each["id"] for each in api(server, "GET", "/files/me?limit=200").json()]


def test_delete_answers_204_and_then_410(server: Server) -> None:
    file = file_of(server, b"abc")
    first, second = api(server, "DELETE", f"/files/{file}"), api(server, "DELETE", f"/files/{file}")
    assert (first.status, first.body) == (204, b"")
    assert refusal(second) == (410, "GONE")


def test_unknown(server: Server) -> None:
    for id in ("0" * 32, "nope", "..%2f..", "%00", "a" * 300):
        assert gone(server, id) == [404, 404, 404, 404, 404]


def test_deleted_while_it_is_read(server: Server) -> None:
    data = bytes(range(256)) * 32 * 1024
    file = file_of(server, data)
    with server.connect() as connection:
        connection.start("GET", f"/api/files/{file}")
        connection.socket.recv(100, 2)  # MSG_PEEK: the answer has begun
        assert api(server, "DELETE", f"/files/{file}").status == 204
        assert connection.response().body == data


@pytest.fixture(scope="module")
def dora(accounts: Server) -> str:
    """An account with three files."""
    dora = token(accounts, "--account", "dora")
    for name, size in (("b", 300), ("a", 100), ("c", 200)):
        id = task(accounts, bytes(size), fileName=name, token=dora)
        assert put(accounts, id, 0, bytes(size), token=dora).status == 200
        assert finish(accounts, id, token=dora).status == 200
    return dora


LISTS = [
    ("", "cab"), ("?sortBy=filename", "cba"), ("?sortBy=filename&sortDescending=false", "abc"),
    ("?sortBy=filesize&sortDescending=false", "acb"), ("?order=name&orderDesc=false", "abc"), ("?order=size", "bca"),
    ("?order=date&orderDesc=false", "bac"), ("?limit=2", "ca"), ("?take=1", "c"), ("?offset=1", "ab"),
    ("?offset=1&take=1", "a"), ("?offset=3", ""),
]  # fmt: skip


@pytest.mark.parametrize(("query", "names"), LISTS, ids=[row[0] or "all" for row in LISTS])
def test_listing(accounts: Server, dora: str, query: str, names: str) -> None:
    answer = api(accounts, "GET", f"/files/me{query}", token=dora)
    assert ("".join(each["name"] for each in answer.json()), answer.header("x-total")) == (names, "3")


@pytest.mark.parametrize("query", ["?limit=0", "?take=201", "?offset=-1", "?order=colour", "?orderDesc=2"])
def test_queries_that_are_none(accounts: Server, dora: str, query: str) -> None:
    assert refusal(api(accounts, "GET", f"/files/me{query}", token=dora)) == (400, "VALIDATION_ERROR")


def test_a_file_whose_time_is_up_is_gone(server: Server) -> None:
    until = datetime.now(UTC) + timedelta(seconds=1.5)
    id = task(server, b"abc", expiredAt=until.isoformat())
    put(server, id, 0, b"abc")
    file = finish(server, id).json()
    assert file["expiredAt"] == until.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert server.request("GET", f"/api/files/{file['id']}").body == b"abc"
    eventually(lambda: datetime.now(UTC) > until, 5)
    assert gone(server, file["id"]) == [410, 410, 410, 410, 410]
    assert server.request("GET", f"/files/{id}").status == 410
    assert tus.head(server, f"/files/{id}").status == 410
    assert file["id"] not in [each["id"] for each in api(server, "GET", "/files/me?limit=200").json()]


def test_and_its_bytes_go_with_the_next_sweep(brief: Server) -> None:
    until = datetime.now(UTC) + timedelta(seconds=1)
    id = task(brief, b"abc", expiredAt=until.isoformat())
    put(brief, id, 0, b"abc")
    finish(brief, id)
    assert len(places(brief, id)) == 1
    assert eventually(lambda: places(brief, id) == [], 6)


def test_an_expired_file_is_no_file_that_is_there_already(server: Server) -> None:
    hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # hello
    until = datetime.now(UTC) + timedelta(seconds=1.5)
    id = task(server, b"hello", hash=hash, expiredAt=until.isoformat())
    put(server, id, 0, b"hello")
    finish(server, id)
    asked = {"fileName": "a", "fileSize": 5, "contentType": "a/b", "hash": hash}
    assert api(server, "POST", "/files/upload/create", asked).json()["fileExists"] is True
    eventually(lambda: datetime.now(UTC) > until, 5)
    assert api(server, "POST", "/files/upload/create", asked).json()["fileExists"] is False


def test_a_tus_client_is_told_when_its_file_goes(server: Server) -> None:
    id = task(server, b"abc", expiredAt="2999-01-01T00:00:00Z")
    assert tus.patch(server, f"/files/{id}", 0, b"abc").header("upload-expires") == "Tue, 01 Jan 2999 00:00:00 GMT"


def test_deleting_one_of_two_that_share_bytes(server: Server) -> None:
    hash = "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"  # world
    ids = [task(server, b"world", hash=hash) for _ in range(2)]
    files = []
    for id in ids:
        assert put(server, id, 0, b"world").status == 200
        files.append(finish(server, id).json()["id"])
    assert api(server, "DELETE", f"/files/{files[0]}").status == 204
    assert server.request("GET", f"/api/files/{files[1]}").body == b"world"
    assert api(server, "DELETE", f"/files/{files[1]}").status == 204
    assert [places(server, id) for id in ids] == [[], []]


def test_a_tus_upload_is_a_file_when_it_is_whole(server: Server) -> None:
    id = make(server, 3, ("Upload-Metadata", "filename d2hvbGUudHh0"), body=b"abc")
    listed = api(server, "GET", "/files/me?limit=1").json()[0]
    assert (listed["name"], listed["size"]) == ("whole.txt", 3)
    assert listed["id"] == api(server, "GET", f"/files/upload/progress/{id}").json()["fileId"]
