"""Events: the payloads of the REST API's "WebSocket Events", and when progress is told."""

from __future__ import annotations

import pytest

from tusdrive.domain import events
from tusdrive.domain.events import Event
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Kind, State, Upload

AT = 1_762_653_360_000_000
TASK = "0123456789abcdef0123456789abcdef"


def upload(**fields: object) -> Upload:
    values = {
        "id": TASK, "account": "ann", "place": "h/a", "file_name": "document.pdf", "length": 10_485_760,
        "chunk_size": 1_048_576, "created_at": AT, "updated_at": AT, "active_at": AT, **fields,
    }  # fmt: skip
    return Upload(**values)  # type: ignore[arg-type]


def test_iso() -> None:
    assert events.iso(None) is None
    assert events.iso(0) == "1970-01-01T00:00:00.000000Z"
    assert events.iso(AT + 7) == "2025-11-09T01:56:00.000007Z"


def test_created() -> None:
    assert events.created(upload()) == Event(
        "ann",
        "task.created",
        {"taskId": TASK, "name": "document.pdf", "type": "FileUpload", "createdAt": "2025-11-09T01:56:00.000000Z"},
        AT,
    )


def test_progressed() -> None:
    assert events.progressed(upload(received=Ranges(5_242_880))) == Event(
        "ann",
        "upload.progress",
        {
            "taskId": TASK, "fileName": "document.pdf", "fileSize": 10_485_760, "chunksUploaded": 5,
            "chunksTotal": 10, "progress": 50.0, "status": "InProgress", "lastActivity": "2025-11-09T01:56:00.000000Z",
        },
        AT,
    )  # fmt: skip
    whole = events.progressed(upload(received=Ranges(10_485_760), state=State.VERIFYING))
    assert (whole.data["chunksUploaded"], whole.data["progress"], whole.data["status"]) == (10, 100.0, "InProgress")


def test_ends() -> None:
    assert events.completed(upload(file_id="f1", state=State.COMPLETED)).data == {
        "taskId": TASK, "fileId": "f1", "fileName": "document.pdf", "fileSize": 10_485_760,
        "completedAt": "2025-11-09T01:56:00.000000Z",
    }  # fmt: skip
    assert events.failed(upload(), "it broke").data == {
        "taskId": TASK, "fileName": "document.pdf", "fileSize": 10_485_760,
        "failedAt": "2025-11-09T01:56:00.000000Z", "errorMessage": "it broke",
    }  # fmt: skip
    assert events.cancelled(upload()).data == {
        "taskId": TASK, "name": "document.pdf", "type": "FileUpload", "cancelledAt": "2025-11-09T01:56:00.000000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arrived", "emitted", "due"),
    [(0, 0.0, False), (4, 0.0, False), (5, 0.0, True), (54, 50.0, False), (55, 50.0, True), (100, 99.0, True),
     (100, 100.0, False)],
)  # fmt: skip
def test_progress_is_told_every_five_percent(arrived: int, emitted: float, due: bool) -> None:
    assert events.progress_due(upload(length=100, received=Ranges(arrived), emitted=emitted)) is due


def test_parts_are_not_told() -> None:
    assert [events.is_told(upload(kind=kind)) for kind in Kind] == [True, False, True]


def test_every_state_has_a_status() -> None:
    assert {state.value: name for state, name in events.STATUS.items()} == {
        "active": "InProgress", "assembling": "InProgress", "verifying": "InProgress", "completed": "Completed",
        "failed": "Failed", "cancelled": "Cancelled", "expired": "Expired",
    }  # fmt: skip
