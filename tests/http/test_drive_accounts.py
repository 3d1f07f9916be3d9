"""Two accounts: what belongs to one is not there for the other, not even as a hint."""

from __future__ import annotations

import hashlib
import time

import pytest
import tus
from asking import BODY, V, api, content, finish, id_of, length, places, put, refusal, task
from harness import KIB, Pattern, Response, Server, eventually, token


def bearer(token: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {token}"


def upload(server: Server, data: bytes, token: str, **more: str) -> dict[str, object]:
    """A file by REST; the CloudFile."""
    id = task(server, data, 64 * KIB, token=token, **more)
    for index in range(-(-len(data) // (64 * KIB))):
        assert put(server, id, index, data[index * 65536 : (index + 1) * 65536], token=token).status == 200
    answer = finish(server, id, token=token)
    assert answer.status == 200, answer
    return dict(answer.json())


def copies(server: Server, size: int) -> int:
    """How many files on disk have exactly so many bytes."""
    return sum(path.stat().st_size == size for path in places(server))


def of_hash(server: Server, data: bytes, hash: str, token: str) -> dict[str, object]:
    asked = {"fileName": "mine", "fileSize": len(data), "contentType": "a/b", "hash": hash}
    return dict(api(server, "POST", "/files/upload/create", asked, token=token).json())


def test_the_same_bytes_are_stored_once_and_nobody_can_tell(accounts: Server, anna: str, bert: str) -> None:
    data = Pattern(77, 100_003).read(0)
    hash = hashlib.sha256(data).hexdigest()
    first = upload(accounts, data, anna, hash=hash)
    answer = of_hash(accounts, data, hash, bert)
    assert (answer["fileExists"], answer["file"]) == (False, None), "Bert has no such file"
    assert sorted(answer) == sorted(of_hash(accounts, data, hashlib.sha256(b"new").hexdigest(), bert))
    api(accounts, "DELETE", f"/files/upload/task/{answer['taskId']}", token=bert)
    second = upload(accounts, data, bert, hash=hash)
    assert copies(accounts, 100_003) == 1
    assert second["id"] != first["id"]
    assert (second["accountId"], second["storageId"], second["references"]) == ("bert", None, [])
    assert of_hash(accounts, data, hash, bert)["file"] == second
    assert api(accounts, "DELETE", f"/files/{first['id']}", token=anna).status == 204
    assert accounts.request("GET", f"/api/files/{second['id']}", (bearer(bert),)).body == data
    assert api(accounts, "DELETE", f"/files/{second['id']}", token=bert).status == 204
    assert copies(accounts, 100_003) == 0


def test_the_same_bytes_by_tus_are_stored_once_by_and_by(accounts: Server, anna: str, bert: str) -> None:
    data = Pattern(78, 100_005).read(0)
    ids = []
    for account in (anna, bert):
        made = accounts.request("POST", "/files", (V, BODY, length(len(data)), bearer(account)), data)
        ids.append(id_of(tus.path(made)))
    assert copies(accounts, 100_005) == 2, "nobody has looked yet"
    assert eventually(lambda: copies(accounts, 100_005) == 1, 30, 0.25)
    for id, account in zip(ids, (anna, bert), strict=True):
        assert content(accounts, id, bearer(account)) == data


def test_an_account_may_have_it_twice(accounts: Server, anna: str) -> None:
    data = Pattern(79, 100_007).read(0)
    hash = hashlib.sha256(data).hexdigest()
    ids = [task(accounts, data, 64 * KIB, token=anna, hash=hash) for _ in range(2)]
    files = []
    for id in ids:
        for index in range(2):
            assert put(accounts, id, index, data[index * 65536 : (index + 1) * 65536], token=anna).status == 200
        files.append(finish(accounts, id, token=anna).json()["id"])
    assert files[0] != files[1]
    assert copies(accounts, 100_007) == 1
    assert put(accounts, ids[1], 0, data[:65536], token=anna).json()["details"]["identical"] is True


def test_a_claimed_hash_gives_nobody_anything(accounts: Server, anna: str, bert: str) -> None:
    """Bert knows the hash and size of Anna's file, and sends other bytes."""
    data = Pattern(80, 5000).read(0)
    hash = hashlib.sha256(data).hexdigest()
    upload(accounts, data, anna, hash=hash)
    id = task(accounts, bytes(5000), 64 * KIB, token=bert, hash=hash)
    assert put(accounts, id, 0, bytes(5000), token=bert).status == 200
    assert refusal(finish(accounts, id, token=bert)) == (422, "HASH_MISMATCH")
    assert accounts.request("GET", f"/files/{id}", (bearer(bert),)).status == 409


FOREIGN = [
    ("GET", "/api/files/{file}"), ("HEAD", "/api/files/{file}"), ("GET", "/api/files/{file}/info"),
    ("PATCH", "/api/files/{file}/name"), ("DELETE", "/api/files/{file}"), ("GET", "/files/{done}"),
    ("HEAD", "/files/{done}"), ("PATCH", "/files/{open}"), ("DELETE", "/files/{done}"), ("HEAD", "/files/{open}"),
    ("POST", "/api/files/upload/chunk/{open}/0"), ("POST", "/api/files/upload/complete/{open}"),
    ("GET", "/api/files/upload/progress/{open}"), ("GET", "/api/files/upload/resume/{open}"),
    ("GET", "/api/files/upload/tasks/{open}/details"), ("DELETE", "/api/files/upload/task/{open}"),
    ("POST", "/api/files/upload/complete/{done}"), ("DELETE", "/files/{open}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def annas(accounts: Server, anna: str) -> dict[str, str]:
    """Anna's file, the upload it came from, and an upload under way."""
    done, open_ = task(accounts, b"anna", token=anna), task(accounts, b"anna", token=anna)
    assert put(accounts, done, 0, b"anna", token=anna).status == 200
    file = finish(accounts, done, token=anna).json()["id"]
    return {"done": done, "open": open_, "file": file}


def ask(server: Server, method: str, path: str, *headers: tuple[str, str]) -> Response:
    body = b'"b.txt"' if path.endswith("/name") else b"bert" if method in ("PATCH", "POST") and "chunk" in path else b""
    kind = BODY if path.startswith("/files") else ("Content-Type", "application/octet-stream")
    return server.request(method, path, (V, kind, ("Upload-Offset", 0), *headers), body)


@pytest.mark.parametrize(("method", "path"), FOREIGN, ids=[" ".join(row) for row in FOREIGN])
def test_foreign_things_are_as_unknown_ones(
    accounts: Server, anna: str, bert: str, annas: dict[str, str], method: str, path: str
) -> None:
    foreign = ask(accounts, method, path.format(**annas), bearer(bert))
    unknown = ask(accounts, method, path.format(done="0" * 32, open="0" * 32, file="0" * 32), bearer(bert))
    assert foreign.status == unknown.status == 404
    if method != "HEAD" and not path.startswith("/files"):
        values = [answer.json() for answer in (foreign, unknown)]
        for value in values:
            del value["traceId"]
        assert values[0] == values[1]
    else:
        assert foreign.body == unknown.body
    nobody = ask(accounts, method, path.format(**annas), ("Authorization", "Bearer x"))
    assert nobody.status == 401
    assert accounts.request("GET", f"/api/files/{annas['file']}", (bearer(anna),)).body == b"anna"
    assert api(accounts, "GET", f"/files/upload/progress/{annas['open']}", token=anna).json()["chunksUploaded"] == 0


def test_the_admin_may(accounts: Server, annas: dict[str, str]) -> None:
    assert accounts.request("GET", f"/api/files/{annas['file']}").body == b"anna"
    assert api(accounts, "GET", f"/files/upload/progress/{annas['open']}").status == 200


@pytest.mark.parametrize("path", ["/files/me", "/files/upload/tasks", "/files/upload/tasks/recent", "/files/upload/stats"])
def test_lists_are_ones_own(accounts: Server, anna: str, annas: dict[str, str], path: str) -> None:
    stranger = token(accounts, "--account", f"stranger{time.monotonic_ns()}")
    answer = api(accounts, "GET", path, token=stranger)
    assert answer.status == 200
    assert (annas["file"] if path == "/files/me" else annas["open"]).encode() not in answer.body
    assert refusal(api(accounts, "GET", path, token="x")) == (401, "UNAUTHORIZED")


def test_a_refusal_without_login_is_of_the_one_shape(accounts: Server) -> None:
    for method, path in (("POST", "/files/upload/create"), ("GET", "/files/me"), ("DELETE", "/files/upload/tasks/cleanup")):
        answer = api(accounts, method, path, token="")
        assert refusal(answer) == (401, "UNAUTHORIZED")
        assert answer.header("www-authenticate") == "Bearer"


def test_the_upload_token_of_create(accounts: Server, anna: str) -> None:
    """It is good for this upload after the login has ended, and for nothing else."""
    asked = {"fileName": "a", "fileSize": 3, "contentType": "a/b"}
    value = api(accounts, "POST", "/files/upload/create", asked, token=anna).json()
    id, shown = value["taskId"], ("X-Upload-Token", value["uploadToken"])
    late = ("Authorization", f"Bearer {token(accounts, '--account', 'anna', '--lifetime', '1s')}")
    time.sleep(1.5)
    raw = ("Content-Type", "application/octet-stream")
    assert accounts.request("GET", "/api/files/me", (late,)).status == 401
    assert accounts.request("GET", f"/api/files/upload/resume/{id}", (late, shown)).status == 200
    assert accounts.request("POST", f"/api/files/upload/chunk/{id}/0", (late, shown, raw), b"abc").status == 200
    answer = accounts.request("POST", f"/api/files/upload/complete/{id}", (late, shown))
    assert answer.status == 200
    for path in ("/api/files/me", f"/api/files/{answer.json()['id']}", "/api/files/upload/tasks", f"/files/{id}"):
        assert accounts.request("GET", path, (late, shown)).status == 401, path
    assert value["uploadUrl"].endswith(f"/files/{id}?uploadToken={value['uploadToken']}")
