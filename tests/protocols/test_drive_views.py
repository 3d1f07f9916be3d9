"""What the REST API answers, key by key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusdrive.domain.checksum import FileHash
from tusdrive.domain.file import File
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Kind, State, Upload
from tusdrive.ports import Stats
from tusdrive.protocols import drive_views as views

AT = 1_762_653_360_000_000
ISO = "2025-11-09T01:56:00.000000Z"
TASK = "0123456789abcdef0123456789abcdef"
SECOND = 1_000_000
MIB = 1024 * 1024


def upload(**fields: object) -> Upload:
    values = {
        "id": TASK, "account": "ann", "place": "h/a", "file_name": "a.mp4", "content_type": "video/mp4",
        "length": 12_000_000, "chunk_size": 5 * MIB, "received": Ranges(5 * MIB), "created_at": AT, "updated_at": AT,
        "active_at": AT, **fields,
    }  # fmt: skip
    return Upload(**values)  # type: ignore[arg-type]


FILE = File(
    id="f" * 32, account="ann", upload=TASK, blob="b" * 32, name="a.mp4", content_type="video/mp4", size=9,
    sha256="ab" * 32, pool="p1", bundle="b1", expires_at=AT, created_at=AT, updated_at=AT,
)  # fmt: skip
FILE_VIEW = {
    "id": "f" * 32, "name": "a.mp4", "description": None, "fileMeta": None, "userMeta": None, "sensitiveMarks": [],
    "mimeType": "video/mp4", "hash": "ab" * 32, "expiredAt": ISO, "size": 9, "uploadedAt": ISO,
    "hasCompression": False, "hasThumbnail": False, "isEncrypted": False,
    "pool": {"id": "p1", "name": None, "description": None}, "poolId": "p1", "bundleId": "b1",
    "isMarkedRecycle": False, "storageId": None, "storageUrl": None, "references": [], "accountId": "ann",
    "resourceIdentifier": "file:" + "f" * 32, "createdAt": ISO, "updatedAt": ISO, "deletedAt": None,
}  # fmt: skip
PROGRESS = {
    "taskId": TASK, "fileName": "a.mp4", "fileSize": 12_000_000, "chunksCount": 3, "chunksUploaded": 1,
    "progress": 100 * 5 * MIB / 12_000_000, "status": "InProgress", "lastActivity": ISO, "uploadedChunks": [0],
    "fileId": None, "errorMessage": None,
}  # fmt: skip


def test_created() -> None:
    assert views.created_view(upload(), None, "token", "https://h/files/x") == {
        "fileExists": False, "file": None, "taskId": TASK, "chunkSize": 5 * MIB, "chunksCount": 3,
        "uploadToken": "token", "uploadUrl": "https://h/files/x",
    }  # fmt: skip
    assert views.created_view(None, FILE) == {
        "fileExists": True, "file": FILE_VIEW, "taskId": None, "chunkSize": None, "chunksCount": None,
        "uploadToken": None, "uploadUrl": None,
    }  # fmt: skip


def test_a_zero_byte_task_has_no_chunks() -> None:
    assert views.created_view(upload(length=0, received=Ranges()), None)["chunksCount"] == 0


def test_chunk() -> None:
    assert views.chunk_view(upload(), 0) == {
        "taskId": TASK, "chunkIndex": 0, "chunksUploaded": 1, "chunksCount": 3, "progress": PROGRESS["progress"],
    }  # fmt: skip


def test_progress() -> None:
    assert views.progress_view(upload()) == PROGRESS


def test_ended_tasks_tell_how() -> None:
    done = views.progress_view(upload(state=State.COMPLETED, received=Ranges(12_000_000), file_id="f" * 32))
    assert done == {
        **PROGRESS, "status": "Completed", "progress": 100.0, "chunksUploaded": 3, "uploadedChunks": [0, 1, 2],
        "fileId": "f" * 32,
    }  # fmt: skip
    failed = views.progress_view(upload(state=State.FAILED, error="broken"))
    assert (failed["status"], failed["errorMessage"]) == ("Failed", "broken")


def test_resume() -> None:
    assert views.resume_view(upload()) == {**PROGRESS, "contentType": "video/mp4", "chunkSize": 5 * MIB}


TASK_VIEW = {
    **PROGRESS, "contentType": "video/mp4", "chunkSize": 5 * MIB, "createdAt": ISO, "updatedAt": ISO,
    "pool": {"poolId": "p1", "name": None}, "bundle": {"bundleId": "b1"},
}  # fmt: skip


def test_task() -> None:
    assert views.task_view(upload(pool="p1", bundle="b1")) == TASK_VIEW
    assert views.task_view(upload()) == {**TASK_VIEW, "pool": None, "bundle": None}


def test_a_listing_does_not_spell_out_thousands_of_chunks() -> None:
    many = upload(length=1001, chunk_size=1, received=Ranges(7))
    assert views.task_view(many)["uploadedChunks"] is None
    assert views.task_view(many)["chunksUploaded"] == 7
    assert views.resume_view(many)["uploadedChunks"] == [0, 1, 2, 3, 4, 5, 6]
    assert views.task_view(upload(length=1000, chunk_size=1, received=Ranges(2)))["uploadedChunks"] == [0, 1]


def test_a_tus_upload_without_length() -> None:
    seen = views.resume_view(upload(length=None, received=Ranges(7)))
    assert (seen["fileSize"], seen["chunksCount"], seen["uploadedChunks"], seen["progress"]) == (None, 0, [], 0.0)


@given(
    st.integers(0, 60), st.integers(1, 9), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)
)
def test_counting_chunks_is_listing_them(length: int, size: int, spans: list[tuple[int, int]]) -> None:
    received = Ranges()
    for start, end in spans:
        received = received.add(min(start, length), min(end, length))
    some = upload(length=length, chunk_size=size, received=received)
    assert views.chunks_uploaded(some) == len(some.chunks_done())


def test_details() -> None:
    some = upload(
        length=8 * MIB, received=Ranges(2 * MIB), active_at=AT + 4 * SECOND, hash=FileHash("md5", "ab" * 16),
        pool="p1", bundle="b1", file_expires_at=AT,
    )  # fmt: skip
    assert views.details_view(some, AT + 5 * SECOND) == {
        "task": {
            **PROGRESS, "fileSize": 8 * MIB, "chunksCount": 2, "chunksUploaded": 0, "uploadedChunks": [],
            "progress": 25.0, "lastActivity": "2025-11-09T01:56:04.000000Z", "contentType": "video/mp4",
            "chunkSize": 5 * MIB, "createdAt": ISO, "updatedAt": ISO, "expiredAt": ISO, "hash": "ab" * 16,
        },
        "pool": {"id": "p1", "name": None, "description": None},
        "bundle": {"id": "b1", "name": None, "description": None},
        "estimatedTimeRemaining": "12 seconds",
        "uploadSpeed": "512 KB/s",
        "estimatedSecondsRemaining": 12.0,
        "bytesPerSecond": 524_288.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "waited", "speed"),
    [
        ({}, 0, 5.0),
        ({}, 60, 5.0),
        ({}, 61, None),
        ({"received": Ranges(0, ((10, 20),))}, 0, 5.0),
        ({"received": Ranges()}, 0, None),
        ({"active_at": AT}, 0, None),
        ({"state": State.COMPLETED}, 0, None),
        ({"state": State.VERIFYING}, 0, None),
    ],
)
def test_speed(fields: dict[str, object], waited: int, speed: float | None) -> None:
    some = upload(**{"length": 100, "received": Ranges(10), "active_at": AT + 2 * SECOND, **fields})
    assert views.speed_of(some, AT + (2 + waited) * SECOND) == speed
    nothing = views.details_view(some, AT + 999 * SECOND)
    assert (nothing["uploadSpeed"], nothing["estimatedTimeRemaining"]) == (None, None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 seconds"), (42, "42 seconds"), (60, "1 minutes"), (180, "3 minutes"), (3600, "1.0 hours")],
)
def test_human_time(seconds: float, text: str) -> None:
    assert views.human_time(seconds) == text


@pytest.mark.parametrize(
    ("speed", "text"), [(0.4, "0 B/s"), (900, "900 B/s"), (12 * 1024, "12 KB/s"), (3.2 * MIB, "3.2 MB/s")]
)
def test_human_speed(speed: float, text: str) -> None:
    assert views.human_speed(speed) == text


RECENT = {key: PROGRESS[key] for key in ("taskId", "fileName", "status", "lastActivity", "progress")}


def test_recent() -> None:
    assert views.recent_view(upload()) == {
        **RECENT, "fileSize": 12_000_000, "contentType": "video/mp4", "createdAt": ISO, "fileId": None,
    }  # fmt: skip


def test_stats() -> None:
    counts = {
        State.ACTIVE: 1, State.ASSEMBLING: 1, State.VERIFYING: 1, State.COMPLETED: 20, State.FAILED: 1,
        State.CANCELLED: 2, State.EXPIRED: 4,
    }  # fmt: skip
    stats = Stats(by_state=counts, uploaded_bytes=5_368_709_120, average_progress=67.5)
    assert views.stats_view(stats, [upload()] * 6) == {
        "totalTasks": 30, "inProgressTasks": 3, "completedTasks": 20, "failedTasks": 1, "cancelledTasks": 2,
        "expiredTasks": 4, "totalUploadedBytes": 5_368_709_120, "averageProgress": 67.5, "recentActivity": [RECENT] * 5,
    }  # fmt: skip
    empty = views.stats_view(Stats(by_state={}, uploaded_bytes=0, average_progress=0.0), [])
    assert (empty["totalTasks"], empty["inProgressTasks"], empty["recentActivity"]) == (0, 0, [])


def test_messages() -> None:
    assert views.cancelled_view() == {"message": "Upload task cancelled"}
    assert views.cleanup_view(3) == {"message": "Cleaned up 3 failed tasks", "count": 3}


def test_file() -> None:
    assert views.file_view(FILE) == FILE_VIEW
    assert FILE.blob not in str(views.file_view(FILE))


def test_file_that_is_not_hashed_yet() -> None:
    bare = File(id="f", account="ann", upload=TASK, blob="b", name="n", content_type="", size=0, md5="cd" * 16)
    seen = views.file_view(bare)
    assert (seen["hash"], seen["mimeType"], seen["pool"], seen["expiredAt"]) == (
        "cd" * 16, "application/octet-stream", None, None,
    )  # fmt: skip


def test_snake() -> None:
    value = {"fileExists": False, "file": {"resourceIdentifier": "x"}, "list": [{"chunksCount": 1}, "aB", 5]}
    assert views.snake(value) == {
        "file_exists": False, "file": {"resource_identifier": "x"}, "list": [{"chunks_count": 1}, "aB", 5],
    }  # fmt: skip
    assert views.snake({"traceId": "x", "is_snake": 1, "aBC2D": 2}) == {"traceId": "x", "is_snake": 1, "a_bc2_d": 2}


def test_partial_uploads_look_like_any_other() -> None:
    assert views.progress_view(upload(kind=Kind.PARTIAL)) == PROGRESS
