"""Knowing a hash gets nobody a file, and tells nobody that somebody else has it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from guarded import JSON, OCTETS, VERSION, Guarded
from harness import Response

SECRET = b"the quarterly figures, before they are public" * 50


def _wish(guarded: Guarded, token: str, hash: str, size: int = len(SECRET)) -> Response:
    wish = {"fileName": "x", "fileSize": size, "contentType": "text/plain", "hash": hash}
    return guarded.ask(token, "POST", "/api/files/upload/create", (JSON,), json.dumps(wish).encode())


def _upload(guarded: Guarded, token: str, hash: str) -> dict[str, Any]:
    """A finished file of the secret; what the server says of it."""
    told = _wish(guarded, token, hash).json()
    if told["fileExists"]:
        return dict(told["file"])
    task = told["taskId"]
    assert guarded.ask(token, "POST", f"/api/files/upload/chunk/{task}/0", (OCTETS,), SECRET).status == 200
    return dict(guarded.ask(token, "POST", f"/api/files/upload/complete/{task}").json())


def _shape(answer: Response) -> Any:
    """All of an answer but what is made anew for every request."""
    told = answer.json()
    fresh = {"taskId", "uploadToken", "uploadUrl"}
    assert fresh <= set(told)
    kept = {name: type(value).__name__ if name in fresh else value for name, value in told.items()}
    headers = [(name, value) for name, value in answer.headers if name not in ("date", "x-request-id")]
    return answer.status, kept, headers, {name: len(told[name] or "") for name in fresh}


@pytest.fixture(params=["sha256", "md5"])
def hash(request: pytest.FixtureRequest) -> str:
    return hashlib.new(request.param, SECRET).hexdigest()


def test_the_owner_is_told_of_the_own_file(guarded: Guarded, hash: str) -> None:
    file = _upload(guarded, guarded.ann, hash)
    told = _wish(guarded, guarded.ann, hash).json()
    assert (told["fileExists"], told["file"]["id"], told["taskId"]) == (True, file["id"], None)


def test_a_stranger_is_told_the_same_for_a_hash_that_is_known_and_one_that_is_not(guarded: Guarded, hash: str) -> None:
    _upload(guarded, guarded.ann, hash)
    unknown = hash[::-1]
    assert unknown != hash
    answers = [_shape(_wish(guarded, token, each)) for token in (guarded.bob, guarded.root) for each in (hash, unknown)]
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert answers[0][1]["fileExists"] is False
    assert answers[0][1]["file"] is None


def test_a_hash_alone_never_becomes_a_file(guarded: Guarded, hash: str) -> None:
    _upload(guarded, guarded.ann, hash)
    task = _wish(guarded, guarded.bob, hash).json()["taskId"]
    assert guarded.ask(guarded.bob, "POST", f"/api/files/upload/complete/{task}").status == 409
    wrong = bytes(len(SECRET))
    assert guarded.ask(guarded.bob, "POST", f"/api/files/upload/chunk/{task}/0", (OCTETS,), wrong).status == 200
    answer = guarded.ask(guarded.bob, "POST", f"/api/files/upload/complete/{task}")
    assert (answer.status, answer.json()["code"]) == (422, "HASH_MISMATCH")
    again = guarded.ask(guarded.bob, "POST", f"/api/files/upload/chunk/{task}/0", (OCTETS,), SECRET)
    assert (again.status, again.json()["details"]["identical"]) == (409, False)  # of Bob's own zeros, not of Ann's bytes
    assert guarded.ask(guarded.bob, "GET", f"/files/{task}", (VERSION,)).status == 409


def test_whoever_has_the_bytes_gets_a_file_of_their_own(guarded: Guarded, hash: str) -> None:
    """The bytes may be kept once; nothing that either is told says so, and neither can take them from the other."""
    ann, bob = _upload(guarded, guarded.ann, hash), _upload(guarded, guarded.bob, hash)
    assert ann["id"] != bob["id"]
    assert (bob["accountId"], bob["size"]) == ("bob", len(SECRET))
    own = {"id", "accountId", "resourceIdentifier", "createdAt", "updatedAt", "uploadedAt"}
    assert {name for name in bob if bob[name] != ann[name]} <= own
    assert guarded.ask(guarded.bob, "GET", f"/api/files/{ann['id']}").status == 404
    assert guarded.ask(guarded.ann, "DELETE", f"/api/files/{ann['id']}").status == 204
    assert guarded.ask(guarded.bob, "GET", f"/api/files/{bob['id']}").body == SECRET
    stats = guarded.ask(guarded.bob, "GET", "/api/files/upload/stats").json()
    assert stats["totalUploadedBytes"] >= len(SECRET)
