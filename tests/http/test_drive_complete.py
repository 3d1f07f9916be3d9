"""REST "complete": nothing is lost by asking too early, too often or all at once, and hashes mean something."""

from __future__ import annotations

import hashlib

import pytest
import tus
from asking import api, at_once, finish, places, put, refusal, stands, task
from harness import KIB, MIB, Pattern, Server

DATA = Pattern(8, 10_000).read(0)  # ten chunks
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture(autouse=True)
def nothing_is_there_already(server: Server) -> None:
    """Every test begins without a file of these bytes, which "create" would find."""
    for file in api(server, "GET", "/files/me?limit=200").json():
        if file["hash"] == SHA256:
            assert api(server, "DELETE", f"/files/{file['id']}").status == 204


def piece(index: int) -> bytes:
    return DATA[index * KIB : (index + 1) * KIB]


def send(server: Server, id: str, *indices: int) -> None:
    for index in indices or range(10):
        assert put(server, id, index, piece(index)).status == 200


def progress(server: Server, id: str) -> dict[str, object]:
    return dict(api(server, "GET", f"/files/upload/progress/{id}").json())


def download(server: Server, file: str) -> bytes:
    answer = server.request("GET", f"/api/files/{file}")
    assert answer.status == 200, answer
    return answer.body


def test_the_cloud_file(server: Server) -> None:
    id = task(server, DATA, hash=SHA256, fileName="a.bin", contentType="image/png",
              poolId="550e8400-e29b-41d4-a716-446655440000", bundleId="b-1")  # fmt: skip
    send(server, id)
    file = finish(server, id).json()
    stamps = {key: file.pop(key) for key in ("createdAt", "updatedAt", "uploadedAt")}
    assert len(set(stamps.values())) == 1
    assert len(file["id"]) == 32
    assert file == {
        "id": file["id"], "name": "a.bin", "description": None, "fileMeta": None, "userMeta": None,
        "sensitiveMarks": [], "mimeType": "image/png", "hash": SHA256, "expiredAt": None, "size": 10_000,
        "hasCompression": False, "hasThumbnail": False, "isEncrypted": False,
        "pool": {"id": "550e8400-e29b-41d4-a716-446655440000", "name": None, "description": None},
        "poolId": "550e8400-e29b-41d4-a716-446655440000", "bundleId": "b-1", "isMarkedRecycle": False,
        "storageId": None, "storageUrl": None, "references": [], "accountId": "local",
        "resourceIdentifier": f"file:{file['id']}", "deletedAt": None,
    }  # fmt: skip


MISSING = [
    ((), [[0, 9]], 10_000), ((0,), [[1, 9]], 8976), ((9,), [[0, 8]], 9216), ((1, 2, 5, 8), [[0, 0], [3, 4], [6, 7], [9, 9]], 5904),
    ((0, 1, 2, 3, 4, 5, 6, 7, 8), [[9, 9]], 784),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "missing", "count"), MISSING, ids=["all", "but-first", "but-last", "holes", "last"])
def test_too_early_says_what_is_missing(server: Server, sent: tuple[int, ...], missing: object, count: int) -> None:
    id = task(server, DATA, hash=SHA256)
    if sent:
        send(server, id, *sent)
    for _ in range(2):
        answer = finish(server, id)
        assert refusal(answer) == (409, "CHUNKS_MISSING")
        assert answer.json()["details"] == {"missingChunks": missing, "missingBytes": count, "taskId": id}
    assert progress(server, id)["uploadedChunks"] == list(sent)
    send(server, id, *[index for index in range(10) if index not in sent])
    assert download(server, finish(server, id).json()["id"]) == DATA


def test_twice(server: Server) -> None:
    id = task(server, DATA, hash=SHA256)
    send(server, id)
    first, second = finish(server, id), finish(server, id)
    assert (first.status, second.status) == (200, 200)
    assert first.json() == second.json()


@pytest.mark.parametrize("hash", [SHA256, MD5, None], ids=["sha256", "md5", "none"])
def test_eight_at_once(server: Server, hash: str | None) -> None:
    before = api(server, "GET", "/files/me").number("x-total")
    data = DATA + (hash or "none").encode()  # no other test's file
    wanted = {"hash": hashlib.new("md5" if hash == MD5 else "sha256", data).hexdigest()} if hash else {}
    id = task(server, data, **wanted)
    for index in range(10):
        put(server, id, index, data[index * KIB : (index + 1) * KIB])
    answers = at_once(lambda _: finish(server, id), 8)
    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.body for answer in answers}) == 1
    assert api(server, "GET", "/files/me").number("x-total") == before + 1


def test_nothing_at_all(server: Server) -> None:
    for more in ({}, {"hash": hashlib.sha256(b"").hexdigest()}, {"hash": hashlib.md5(b"").hexdigest()}):
        for standing in api(server, "GET", "/files/me?limit=200&sortBy=size&sortDescending=false").json():
            if standing["size"] == 0:
                assert api(server, "DELETE", f"/files/{standing['id']}").status == 204
        id = task(server, b"", **more)
        assert api(server, "GET", f"/files/upload/resume/{id}").json()["chunksCount"] == 0
        assert refusal(put(server, id, 0, b"")) == (400, "CHUNK_OUT_OF_RANGE")
        file = finish(server, id).json()
        assert (file["size"], download(server, file["id"])) == (0, b"")
        assert progress(server, id)["progress"] == 100.0


@pytest.mark.parametrize("wrong", [hashlib.sha256(b"x").hexdigest(), hashlib.md5(b"x").hexdigest()], ids=["sha256", "md5"])
@pytest.mark.parametrize("right", [SHA256, MD5, SHA256.upper()], ids=["sha256", "md5", "upper-case"])
def test_a_wrong_hash_is_refused_and_can_be_corrected(server: Server, wrong: str, right: str) -> None:
    id = task(server, DATA, hash=wrong)
    send(server, id)
    algorithm = "sha256" if len(wrong) == 64 else "md5"
    for _ in range(2):
        answer = finish(server, id)
        assert refusal(answer) == (422, "HASH_MISMATCH")
        actual = SHA256 if algorithm == "sha256" else MD5
        assert answer.json()["details"] == {"algorithm": algorithm, "expected": wrong, "actual": actual}
    now = progress(server, id)
    assert (now["status"], now["chunksUploaded"]) == ("InProgress", 10), "nothing is lost"
    assert refusal(finish(server, id, hash="nonsense")) == (400, "VALIDATION_ERROR")
    assert refusal(finish(server, id, hash=hashlib.sha256(b"y").hexdigest())) == (422, "HASH_MISMATCH")
    file = finish(server, id, hash=right).json()
    assert file["hash"] == SHA256, "what the server computed"
    assert download(server, file["id"]) == DATA
    assert progress(server, id)["errorMessage"] is None


def test_a_correction_comes_too_late(server: Server) -> None:
    """The file stands; whoever completes again with another hash gets the file that there is."""
    id = task(server, DATA, hash=SHA256)
    send(server, id)
    file = finish(server, id).json()
    assert finish(server, id, hash=hashlib.sha256(b"x").hexdigest()).json() == file


def test_a_wrong_hash_many_ask_at_once(server: Server) -> None:
    id = task(server, DATA, hash=hashlib.sha256(b"x").hexdigest())
    send(server, id)
    assert {refusal(answer) for answer in at_once(lambda _: finish(server, id), 8)} == {(422, "HASH_MISMATCH")}
    assert progress(server, id)["status"] == "InProgress"
    assert finish(server, id, hash=SHA256).status == 200


def test_a_wrong_hash_found_by_a_tus_client(server: Server) -> None:
    """The last bytes come by PATCH, which makes it whole."""
    id = task(server, b"abc", hash=hashlib.sha256(b"x").hexdigest())
    answer = tus.patch(server, f"/files/{id}", 0, b"abc")
    assert (answer.status, answer.body.partition(b":")[0]) == (422, b"HASH_MISMATCH")
    assert stands(server, id) == 3
    assert finish(server, id, hash=hashlib.sha256(b"abc").hexdigest()).status == 200


def test_cancelled(server: Server) -> None:
    id = task(server, DATA)
    send(server, id)
    assert api(server, "DELETE", f"/files/upload/task/{id}").json() == {"message": "Upload task cancelled"}
    assert refusal(finish(server, id)) == (410, "GONE")
    assert places(server, id) == []


def test_a_task_whose_file_was_deleted(server: Server) -> None:
    id = task(server, b"abc")
    put(server, id, 0, b"abc")
    file = finish(server, id).json()["id"]
    assert api(server, "DELETE", f"/files/{file}").status == 204
    assert refusal(finish(server, id)) == (410, "GONE")
    now = progress(server, id)
    assert (now["status"], now["fileId"]) == ("Completed", file)


def test_unknown(server: Server) -> None:
    assert refusal(finish(server, "0" * 32)) == (404, "NOT_FOUND")


def test_a_large_one_verified(server: Server) -> None:
    """Long enough to be asked about while it is being hashed."""
    pattern = Pattern(5, 96 * MIB)
    id = task(server, b"", chunk_size=16 * MIB, fileSize=pattern.length, hash=pattern.sha256())
    for index in range(6):
        data = pattern.read(index * 16 * MIB, (index + 1) * 16 * MIB)
        assert put(server, id, index, data).status == 200
    answers = at_once(lambda n: finish(server, id) if n < 3 else api(server, "GET", f"/files/upload/progress/{id}"), 6)
    assert [answer.status for answer in answers] == [200] * 6
    assert answers[0].json()["hash"] == pattern.sha256()
    assert answers[0].body == answers[1].body == answers[2].body
