"""What listeners will be told, as it stands in the outbox: types and payloads of the specification, each fact once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tus
from asking import BODY, V, api, at_once, end, finish, id_of, length, make, outbox, put, task, told
from harness import KIB, MIB, Server, eventually

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
NAMED = ("Upload-Metadata", "filename YS5iaW4=")
PARTIAL = ("Upload-Concat", "partial")


def told_by(server: Server, id: str) -> list[tuple[str, dict[str, Any]]]:
    """Stop the server; the events about one upload, their times checked and taken out."""
    end(server)
    found = []
    for type_, data in outbox(server.data):
        if data.pop("taskId") == id:
            for key in [key for key in data if key.endswith("At") or key == "lastActivity"]:
                assert ISO.fullmatch(data.pop(key))
            found.append((type_, data))
    return found


def types(events: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [type_ for type_, _ in events]


def steps(events: list[tuple[str, dict[str, Any]]]) -> list[float]:
    return [data["progress"] for type_, data in events if type_ == "upload.progress"]


def test_a_rest_upload(fresh: Server) -> None:
    id = task(fresh, bytes(4096), fileName="a.bin")
    for index in range(4):
        put(fresh, id, index, bytes(1024))
    file = finish(fresh, id).json()["id"]
    finish(fresh, id)
    common = {"fileName": "a.bin", "fileSize": 4096, "chunksTotal": 4, "status": "InProgress"}
    assert told_by(fresh, id) == [
        ("task.created", {"name": "a.bin", "type": "FileUpload"}),
        ("upload.progress", {**common, "chunksUploaded": 1, "progress": 25.0}),
        ("upload.progress", {**common, "chunksUploaded": 2, "progress": 50.0}),
        ("upload.progress", {**common, "chunksUploaded": 3, "progress": 75.0}),
        ("upload.progress", {**common, "chunksUploaded": 4, "progress": 100.0}),
        ("upload.completed", {"fileId": file, "fileName": "a.bin", "fileSize": 4096}),
    ]


def test_the_names_of_the_times(fresh: Server) -> None:
    id = task(fresh, b"abc", fileName="a.bin")
    put(fresh, id, 0, b"abc")
    finish(fresh, id)
    other = task(fresh, b"abc")
    api(fresh, "DELETE", f"/files/upload/task/{other}")
    wrong = task(fresh, b"abc", hash="0" * 64)
    put(fresh, wrong, 0, b"abc")
    finish(fresh, wrong)
    end(fresh)
    keys = {type_: [key for key in data if key.endswith("At") or key == "lastActivity"]
            for type_, data in outbox(fresh.data)}  # fmt: skip
    assert keys == {
        "task.created": ["createdAt"], "upload.progress": ["lastActivity"], "upload.completed": ["completedAt"],
        "task.cancelled": ["cancelledAt"], "upload.failed": ["failedAt"],
    }  # fmt: skip


def test_progress_is_told_each_five_percent_since_it_was_last_told(fresh: Server) -> None:
    """128 chunks of 0.78 % each: told at every seventh, and at the end."""
    id = task(fresh, bytes(128 * KIB))
    for index in range(128):
        assert put(fresh, id, index, bytes(KIB)).status == 200
    found = steps(told_by(fresh, id))
    assert found == [each * 7 * 100 / 128 for each in range(1, 19)] + [100.0]


def test_progress_of_parallel_chunks(fresh: Server) -> None:
    id = task(fresh, bytes(64 * KIB))
    assert [answer.status for answer in at_once(lambda index: put(fresh, id, index, bytes(KIB)), 64)] == [200] * 64
    finish(fresh, id)
    found = steps(told_by(fresh, id))
    assert found[-1] == 100.0
    gaps = [after - before for before, after in zip([0.0, *found], found, strict=False)]
    assert all(gap >= 5 for gap in gaps[:-1])
    assert 0 < gaps[-1] < 10
    assert len(found) >= 13, "one for each step of four chunks at least"


def test_a_tus_upload(fresh: Server) -> None:
    """Two requests; the second of several commits, each of which may be told."""
    id = make(fresh, 20 * MIB, NAMED, body=bytes(MIB // 2))
    answer = tus.patch(fresh, f"/files/{id}", MIB // 2, bytes(20 * MIB - MIB // 2), timeout=60)
    assert answer.status == 204
    file = api(fresh, "GET", f"/files/upload/progress/{id}").json()["fileId"]
    events = told_by(fresh, id)
    assert events[0] == ("task.created", {"name": "a.bin", "type": "FileUpload"})
    assert events[-1] == ("upload.completed", {"fileId": file, "fileName": "a.bin", "fileSize": 20 * MIB})
    assert set(types(events[1:-1])) == {"upload.progress"}
    found = steps(events)
    assert found == sorted(set(found)), "half a megabyte of twenty is no news"
    assert found[0] > 5
    assert found[-1] == 100.0
    assert events[-2][1]["chunksUploaded"] == events[-2][1]["chunksTotal"] == 4


def test_an_upload_of_unknown_length(fresh: Server) -> None:
    """Nobody can say how far it is before the length is there."""
    id = make(fresh, None, NAMED, body=b"abc")
    assert tus.patch(fresh, f"/files/{id}", 3, b"", length(6)).status == 204
    assert tus.patch(fresh, f"/files/{id}", 6 - 3, b"def").status == 204
    events = told_by(fresh, id)
    assert types(events) == ["task.created", "upload.progress", "upload.progress", "upload.completed"]
    assert steps(events) == [50.0, 100.0]
    assert [data["fileSize"] for _, data in events if "fileSize" in data] == [6, 6, 6]


def test_check_043_nothing_is_finished_once_too(fresh: Server) -> None:
    events = told_by(fresh, make(fresh, 0, NAMED))
    assert types(events) == ["task.created", "upload.progress", "upload.completed"]
    assert events[1][1]["progress"] == 100.0


def test_check_061_with_the_creation(fresh: Server) -> None:
    answer = fresh.request("POST", "/files", (V, length(3), BODY, NAMED), b"abc")
    events = told_by(fresh, id_of(tus.path(answer)))
    assert types(events) == ["task.created", "upload.progress", "upload.completed"]


def test_check_030_one_finish_however_often_it_is_asked_for(fresh: Server) -> None:
    id = make(fresh, 3, NAMED, body=b"abc")
    for _ in range(3):
        assert tus.patch(fresh, f"/files/{id}", 3, b"").status == 204
    assert types(told_by(fresh, id)).count("upload.completed") == 1


def test_check_079_none_for_a_wrong_last_chunk(fresh: Server) -> None:
    id = make(fresh, 3, NAMED)
    wrong = ("Upload-Checksum", "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=")
    assert tus.patch(fresh, f"/files/{id}", 0, b"abc", wrong).status == 460
    assert types(told_by(fresh, id)) == ["task.created"]


def test_eight_completions_are_one(fresh: Server) -> None:
    id = task(fresh, b"abc", hash="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    put(fresh, id, 0, b"abc")
    assert {answer.status for answer in at_once(lambda _: finish(fresh, id), 8)} == {200}
    assert types(told_by(fresh, id)) == ["task.created", "upload.progress", "upload.completed"]


def test_a_wrong_hash(fresh: Server) -> None:
    id = task(fresh, b"abc", fileName="a.bin", hash="0" * 64)
    put(fresh, id, 0, b"abc")
    message = finish(fresh, id).json()["message"]
    assert finish(fresh, id, hash="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").status == 200
    events = told_by(fresh, id)
    assert types(events) == ["task.created", "upload.progress", "upload.failed", "upload.completed"]
    assert events[2][1] == {"fileName": "a.bin", "fileSize": 3, "errorMessage": message}


def test_cancelled_and_refused(fresh: Server) -> None:
    """A cancellation is no failure; what was refused is no fact at all."""
    id = task(fresh, bytes(2048), fileName="a.bin")
    put(fresh, id, 0, bytes(10))
    put(fresh, id, 9, bytes(1024))
    finish(fresh, id)
    api(fresh, "DELETE", f"/files/upload/task/{id}")
    assert told_by(fresh, id) == [
        ("task.created", {"name": "a.bin", "type": "FileUpload"}),
        ("task.cancelled", {"name": "a.bin", "type": "FileUpload"}),
    ]


def test_expired(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--expire-after", "1s", auth="none") as server:
        id = make(server, 3, NAMED)
        eventually(lambda: told(server, id).status == 410, 6, 0.2)
        events = told_by(server, id)
    assert types(events) == ["task.created", "upload.failed"]
    assert events[1][1] == {"fileName": "a.bin", "fileSize": 3, "errorMessage": "the upload expired"}


def test_check_101_parts_are_nobodys_business(fresh: Server) -> None:
    parts = [make(fresh, 3, PARTIAL, NAMED, body=b"abc") for _ in range(2)]
    names = " ".join(f"/files/{part}" for part in parts)
    answer = fresh.request("POST", "/files", (V, ("Upload-Concat", f"final;{names}"), NAMED))
    id = id_of(tus.path(answer))
    waiting = make(fresh, 3, PARTIAL)
    lost = fresh.request("POST", "/files", (V, ("Upload-Concat", f"final;/files/{waiting}"), NAMED))
    tus.delete(fresh, f"/files/{waiting}")
    end(fresh)
    found = [(data["taskId"], type_) for type_, data in outbox(fresh.data) if type_ != "upload.progress"]
    other = id_of(tus.path(lost))
    assert found == [(id, "task.created"), (id, "upload.completed"), (other, "task.created"), (other, "upload.failed")]
    assert {data["taskId"] for _, data in outbox(fresh.data)} == {id, other}


def test_each_account_has_its_own_order(tmp_path: Path) -> None:
    import sqlite3

    from harness import token

    with Server(tmp_path / "data") as server:
        for account in ("anna", "bert", "anna"):
            id = task(server, b"abc", token=(shown := token(server, "--account", account)))
            put(server, id, 0, b"abc", token=shown)
            finish(server, id, token=shown)
        end(server)
    state = sqlite3.connect(server.data / "tusdrive.db")
    rows = state.execute("SELECT account, seq, type FROM outbox ORDER BY account, seq").fetchall()
    state.close()
    three = ["task.created", "upload.progress", "upload.completed"]
    assert rows == [("anna", at, type_) for at, type_ in enumerate(three * 2, 1)] + [
        ("bert", at, type_) for at, type_ in enumerate(three, 1)]  # fmt: skip
