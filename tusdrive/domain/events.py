"""Facts that listeners are told, in the payloads that the REST API promises ("WebSocket Events", "Task Notifications").

Events are made in the transaction that makes them true, and published after it committed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from .upload import Kind, State, Upload

STEP = 5.0
"""Percent that must have gone by since the last progress that was told."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

STATUS: dict[State, str] = {
    State.ACTIVE: "InProgress",
    State.ASSEMBLING: "InProgress",
    State.VERIFYING: "InProgress",
    State.COMPLETED: "Completed",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
    State.EXPIRED: "Expired",
}
"""The status names of the REST API."""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact for one account. `seq` is its place in that account's order, 0 until it is stored."""

    account: str
    type: str
    data: dict[str, Any]
    at: int
    seq: int = 0


def iso(at: int | None) -> str | None:
    """Microseconds since 1970 as `2025-11-09T01:56:00.000000Z`."""
    if at is None:
        return None
    seconds, micro = divmod(at, 1_000_000)
    return f"{_second(seconds)}.{micro:06d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """The part that stays the same for a second; kept, since every event has a time or two."""
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def is_told(upload: Upload) -> bool:
    """Parts of a final upload are nobody's task; their final is."""
    return upload.kind is not Kind.PARTIAL


def progress_due(upload: Upload) -> bool:
    """Whether progress moved a step since it was last told, or reached the end."""
    progress = upload.progress
    if progress == upload.emitted:
        return False
    return progress >= 100.0 or progress - upload.emitted >= STEP


def created(upload: Upload) -> Event:
    return _event(upload, "task.created", upload.created_at, name=upload.file_name, type="FileUpload",
                  createdAt=iso(upload.created_at))


def progressed(upload: Upload) -> Event:
    whole = upload.is_whole
    return _event(
        upload, "upload.progress", upload.updated_at, fileName=upload.file_name, fileSize=upload.length or 0,
        chunksUploaded=upload.chunks_total if whole else len(upload.chunks_done()), chunksTotal=upload.chunks_total,
        progress=upload.progress, status=STATUS[upload.state], lastActivity=iso(upload.active_at),
    )


def completed(upload: Upload) -> Event:
    return _event(upload, "upload.completed", upload.updated_at, fileId=upload.file_id, fileName=upload.file_name,
                  fileSize=upload.length or 0, completedAt=iso(upload.updated_at))


def failed(upload: Upload, message: str) -> Event:
    return _event(upload, "upload.failed", upload.updated_at, fileName=upload.file_name, fileSize=upload.length or 0,
                  failedAt=iso(upload.updated_at), errorMessage=message)


def cancelled(upload: Upload) -> Event:
    return _event(upload, "task.cancelled", upload.updated_at, name=upload.file_name, type="FileUpload",
                  cancelledAt=iso(upload.updated_at))


def _event(upload: Upload, type_: str, at: int, **data: Any) -> Event:
    return Event(upload.account, type_, {"taskId": upload.id, **data}, at)
