"""REST task management: listing, progress, resume, details, stats, recent, cancel, cleanup."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import tus
from asking import api, finish, make, put, refusal, task
from harness import KIB, Response, Server, eventually, token

DATA = bytes(3000)


@pytest.fixture(scope="module")
def carla(accounts: Server) -> str:
    """An account with five tasks: three under way, one completed, one cancelled."""
    carla = token(accounts, "--account", "carla")
    sizes = {"b.bin": 2000, "d.bin": 4000, "a.bin": 5000, "c.bin": 1000, "e.bin": 3000}
    ids = {}
    for name, size in sizes.items():
        ids[name] = task(accounts, bytes(size), fileName=name, token=carla)
        time.sleep(0.002)
    assert put(accounts, ids["b.bin"], 0, bytes(1024), token=carla).status == 200
    assert put(accounts, ids["c.bin"], 0, bytes(1000), token=carla).status == 200
    assert finish(accounts, ids["c.bin"], token=carla).status == 200
    assert api(accounts, "DELETE", f"/files/upload/task/{ids['e.bin']}", token=carla).status == 200
    return carla


def listed(accounts: Server, carla: str, query: str) -> tuple[list[str], int]:
    answer = api(accounts, "GET", f"/files/upload/tasks{query}", token=carla)
    assert answer.status == 200, answer
    return [each["fileName"][0] for each in answer.json()], answer.number("x-total")


QUERIES = [
    ("", "ecbad", 5),  # by last activity, the latest first
    ("?sortBy=filename", "edcba", 5),
    ("?sortBy=filename&sortDescending=false", "abcde", 5),
    ("?sortBy=fileName&sortDescending=FALSE", "abcde", 5),
    ("?sort_by=filename&sort_descending=false", "abcde", 5),
    ("?sortBy=filesize", "adebc", 5),
    ("?sortBy=filesize&sortDescending=false", "cbeda", 5),
    ("?sortBy=createdAt", "ecadb", 5),
    ("?sortBy=created&sortDescending=0", "bdace", 5),
    ("?sortBy=updatedAt", "ecbad", 5),
    ("?sortBy=lastActivity&sortDescending=false", "dabce", 5),
    ("?sortBy=filename&limit=2", "ed", 5),
    ("?sortBy=filename&limit=2&offset=2", "cb", 5),
    ("?sortBy=filename&offset=4", "a", 5),
    ("?sortBy=filename&offset=5", "", 5),
    ("?sortBy=filename&take=1", "e", 5),
    ("?status=InProgress&sortBy=filename", "dba", 3),
    ("?status=inprogress&sortBy=filename&limit=1", "d", 3),
    ("?status=in_progress&sortBy=filename", "dba", 3),
    ("?status=1&sortBy=filename", "dba", 3),
    ("?status=Completed", "c", 1),
    ("?status=3", "c", 1),
    ("?status=Cancelled", "e", 1),
    ("?status=Failed", "", 0),
    ("?status=Expired", "", 0),
    ("?status=Completed,InProgress&sortBy=filename", "dcba", 4),
    ("?status=Pending", "", 0),
]


@pytest.mark.parametrize(("query", "names", "total"), QUERIES, ids=[query or "all" for query, _, _ in QUERIES])
def test_listing(accounts: Server, carla: str, query: str, names: str, total: int) -> None:
    found, count = listed(accounts, carla, query)
    if "Activity" in query or query == "" or "updated" in query:
        # A cancellation is no sign of activity of the bytes, so the order of e is by its creation.
        found = [name for name in found if name != "e"]
        names = names.replace("e", "")
    assert ("".join(found), count) == (names, total)


WRONG = ["?status=nonsense", "?status=2", "?sortBy=nonsense", "?sortDescending=maybe", "?offset=-1", "?offset=x",
         "?limit=0", "?limit=201", "?limit=-5", "?limit=1e2", "?offset=" + "9" * 30]  # fmt: skip


@pytest.mark.parametrize("query", WRONG)
def test_queries_that_are_none(accounts: Server, carla: str, query: str) -> None:
    assert refusal(api(accounts, "GET", f"/files/upload/tasks{query}", token=carla)) == (400, "VALIDATION_ERROR")


ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    for key in [key for key in value if key in ("lastActivity", "createdAt", "updatedAt")]:
        assert ISO.fullmatch(value.pop(key))
    return value


def test_an_item_of_the_listing(server: Server) -> None:
    id = task(server, DATA, fileName="x.txt", contentType="text/plain", poolId="p-1")
    put(server, id, 2, DATA[2048:])
    found = api(server, "GET", "/files/upload/tasks?limit=1&sortBy=createdAt").json()[0]
    assert without_times(found) == {
        "taskId": id, "fileName": "x.txt", "fileSize": 3000, "contentType": "text/plain", "chunkSize": 1024,
        "chunksCount": 3, "chunksUploaded": 1, "progress": 952 * 100 / 3000, "status": "InProgress",
        "uploadedChunks": [2], "pool": {"poolId": "p-1", "name": None}, "bundle": None, "fileId": None,
        "errorMessage": None,
    }  # fmt: skip


def test_progress_and_resume(server: Server) -> None:
    id = task(server, DATA, fileName="x.txt", contentType="text/plain")
    put(server, id, 1, DATA[1024:2048])
    progress = {
        "taskId": id, "fileName": "x.txt", "fileSize": 3000, "chunksCount": 3, "chunksUploaded": 1,
        "progress": 1024 * 100 / 3000, "status": "InProgress", "uploadedChunks": [1], "fileId": None,
        "errorMessage": None,
    }  # fmt: skip
    assert without_times(api(server, "GET", f"/files/upload/progress/{id}").json()) == progress
    resume = without_times(api(server, "GET", f"/files/upload/resume/{id}").json())
    assert resume == {**progress, "contentType": "text/plain", "chunkSize": 1024}


def test_details(server: Server) -> None:
    id = task(server, DATA, fileName="x.txt", expiredAt="2999-01-01T00:00:00+01:00", bundleId="b-9")
    value = api(server, "GET", f"/files/upload/tasks/{id}/details").json()
    assert sorted(value) == ["bundle", "bytesPerSecond", "estimatedSecondsRemaining", "estimatedTimeRemaining", "pool",
                             "task", "uploadSpeed"]  # fmt: skip
    assert value["task"]["expiredAt"] == "2998-12-31T23:00:00.000000Z"
    assert (value["bundle"], value["pool"]) == ({"id": "b-9", "name": None, "description": None}, None)
    assert (value["uploadSpeed"], value["estimatedTimeRemaining"]) == (None, None)
    put(server, id, 0, DATA[:1024])
    value = api(server, "GET", f"/files/upload/tasks/{id}/details").json()
    assert re.fullmatch(r"\d+(\.\d)? (B|KB|MB)/s", value["uploadSpeed"])
    assert re.fullmatch(r"\d+(\.\d)? (seconds|minutes|hours)", value["estimatedTimeRemaining"])
    assert value["estimatedSecondsRemaining"] == pytest.approx((3000 - 1024) / value["bytesPerSecond"])


ENDED = ["completed", "cancelled"]


@pytest.mark.parametrize("how", ENDED)
def test_ended_tasks_stay_readable(server: Server, how: str) -> None:
    id = task(server, b"abc")
    put(server, id, 0, b"abc")
    if how == "completed":
        file = finish(server, id).json()["id"]
    else:
        api(server, "DELETE", f"/files/upload/task/{id}")
    expected = ("Completed", file, 100.0) if how == "completed" else ("Cancelled", None, 100.0)
    for path in (f"progress/{id}", f"resume/{id}", f"tasks/{id}/details"):
        answer = api(server, "GET", f"/files/upload/{path}")
        assert answer.status == 200
        value = answer.json().get("task", answer.json())
        assert (value["status"], value["fileId"], value["progress"]) == expected
    assert api(server, "GET", f"/files/upload/tasks/{id}/details").json()["uploadSpeed"] is None


def test_cancelling(server: Server) -> None:
    id = task(server, DATA)
    assert api(server, "DELETE", f"/files/upload/task/{id}").json() == {"message": "Upload task cancelled"}
    assert refusal(api(server, "DELETE", f"/files/upload/task/{id}")) == (410, "GONE")
    assert tus.head(server, f"/files/{id}").status == 410
    done = task(server, b"abc")
    put(server, done, 0, b"abc")
    file = finish(server, done).json()["id"]
    answer = api(server, "DELETE", f"/files/upload/task/{done}")
    assert refusal(answer) == (409, "CONFLICT")
    assert answer.json()["details"] == {"fileId": file}
    assert server.request("GET", f"/api/files/{file}").status == 200
    assert refusal(api(server, "DELETE", f"/files/upload/task/{'0' * 32}")) == (404, "NOT_FOUND")


def test_stats(accounts: Server, carla: str) -> None:
    value = api(accounts, "GET", "/files/upload/stats", token=carla).json()
    recent = value.pop("recentActivity")
    assert value == {
        "totalTasks": 5, "inProgressTasks": 3, "completedTasks": 1, "failedTasks": 0, "cancelledTasks": 1,
        "expiredTasks": 0, "totalUploadedBytes": 2024, "averageProgress": pytest.approx(51.2 / 3),
    }  # fmt: skip
    assert len(recent) == 5
    assert sorted(recent[0]) == ["fileName", "lastActivity", "progress", "status", "taskId"]
    assert [each["fileName"] for each in recent if each["fileName"] != "e.bin"] == ["c.bin", "b.bin", "a.bin", "d.bin"]


def test_stats_of_nothing(accounts: Server) -> None:
    value = api(accounts, "GET", "/files/upload/stats", token=token(accounts, "--account", "nobody")).json()
    assert value == {
        "totalTasks": 0, "inProgressTasks": 0, "completedTasks": 0, "failedTasks": 0, "cancelledTasks": 0,
        "expiredTasks": 0, "totalUploadedBytes": 0, "averageProgress": 0, "recentActivity": [],
    }  # fmt: skip


def test_recent(accounts: Server, carla: str) -> None:
    found = api(accounts, "GET", "/files/upload/tasks/recent", token=carla).json()
    assert len(found) == 5
    assert sorted(found[0]) == ["contentType", "createdAt", "fileId", "fileName", "fileSize", "lastActivity", "progress",
                                "status", "taskId"]  # fmt: skip
    assert [each["fileName"] for each in found if each["fileName"] != "e.bin"] == ["c.bin", "b.bin", "a.bin", "d.bin"]
    assert len(api(accounts, "GET", "/files/upload/tasks/recent?limit=2", token=carla).json()) == 2
    for limit in ("0", "201", "x"):
        assert api(accounts, "GET", f"/files/upload/tasks/recent?limit={limit}", token=carla).status == 400


def test_cleanup(brief: Server) -> None:
    """Failed and expired ones go; the others stay."""
    api(brief, "DELETE", "/files/upload/tasks/cleanup")
    expired = [task(brief, DATA), task(brief, DATA)]
    done = task(brief, b"abc")
    put(brief, done, 0, b"abc")
    finish(brief, done)
    cancelled = task(brief, DATA)
    api(brief, "DELETE", f"/files/upload/task/{cancelled}")
    part = make(brief, 5, ("Upload-Concat", "partial"))
    final = tus.path(brief.request("POST", "/files", (("Tus-Resumable", "1.0.0"), ("Upload-Concat", f"final;/files/{part}"))))
    tus.delete(brief, f"/files/{part}")
    assert api(brief, "GET", f"/files/upload/progress/{final[-32:]}").json()["status"] == "Failed"
    expired_now = eventually(lambda: _both_expired(brief, expired), 6, 0.2)
    assert expired_now
    answer = api(brief, "DELETE", "/files/upload/tasks/cleanup")
    assert (answer.status, answer.json()) == (200, {"message": "Cleaned up 3 failed tasks", "count": 3})
    for id in (*expired, final[-32:]):
        assert api(brief, "GET", f"/files/upload/progress/{id}").status == 404
        assert tus.head(brief, f"/files/{id}").status == 404
    for id in (done, cancelled):
        assert api(brief, "GET", f"/files/upload/progress/{id}").status == 200
    assert api(brief, "DELETE", "/files/upload/tasks/cleanup").json()["count"] == 0


def _both_expired(server: Server, ids: list[str]) -> bool:
    return all(api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == "Expired" for id in ids)


def test_an_expired_task_stays_readable(brief: Server) -> None:
    id = task(brief, DATA)
    put(brief, id, 0, DATA[:1024])
    value = eventually(lambda: _expired(brief, id), 6, 0.2)
    assert (value["status"], value["errorMessage"], value["chunksUploaded"]) == ("Expired", "the upload expired", 1)
    assert id in [each["taskId"] for each in api(brief, "GET", "/files/upload/tasks?status=6").json()]


def _expired(server: Server, id: str) -> dict[str, Any] | None:
    value = api(server, "GET", f"/files/upload/progress/{id}").json()
    return value if value["status"] == "Expired" else None


def test_uploads_of_tus_clients_are_tasks_too(server: Server) -> None:
    id = make(server, None, ("Upload-Metadata", "filename YS50eHQ=,filetype dGV4dC9wbGFpbg=="), body=b"abc")
    value = api(server, "GET", f"/files/upload/resume/{id}").json()
    assert (value["fileName"], value["contentType"], value["fileSize"]) == ("a.txt", "text/plain", None)
    assert (value["chunksCount"], value["uploadedChunks"], value["progress"]) == (0, [], 0.0)
    tus.patch(server, f"/files/{id}", 3, b"", ("Upload-Length", 6))
    value = api(server, "GET", f"/files/upload/resume/{id}").json()
    assert (value["fileSize"], value["chunksCount"], value["uploadedChunks"], value["progress"]) == (6, 1, [], 50.0)


ROUTES = [("GET", "/upload/create", "POST"), ("GET", "/upload/chunk/a/0", "POST, PUT"), ("GET", "/upload/complete/a", "POST"),
          ("POST", "/upload/tasks", "GET, HEAD"), ("GET", "/upload/tasks/cleanup", "DELETE"),
          ("GET", "/upload/task/a", "DELETE"), ("POST", "/upload/stats", "GET, HEAD"), ("POST", "/abc", "DELETE, GET, HEAD"),
          ("PUT", "/abc/name", "PATCH")]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "allow"), ROUTES, ids=[f"{row[0]} {row[1]}" for row in ROUTES])
def test_other_verbs(server: Server, method: str, path: str, allow: str) -> None:
    answer: Response = server.request(method, f"/api/files{path}")
    assert refusal(answer) == (405, "METHOD_NOT_ALLOWED")
    assert answer.header("allow") == allow


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nope", "/api/files/upload/nope", "/drive/nope", "/nope",
                                  "/api/files/upload/tasks/x/y/z"])  # fmt: skip
def test_no_such_route(server: Server, path: str) -> None:
    answer = server.request("GET", path)
    assert refusal(answer) == (404, "NOT_FOUND")
    assert answer.json()["traceId"] == answer.header("x-request-id")


def test_many_chunks_are_not_listed_everywhere(server: Server) -> None:
    id = task(server, bytes(1001 * KIB))
    found = api(server, "GET", "/files/upload/tasks?limit=1&sortBy=createdAt").json()[0]
    assert (found["taskId"], found["uploadedChunks"]) == (id, None)
    assert api(server, "GET", f"/files/upload/resume/{id}").json()["uploadedChunks"] == []
