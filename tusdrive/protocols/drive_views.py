"""Domain values as the REST API shows them, in the specification's camelCase; `snake` turns the keys round.

`status` is a name. Numbers of the same states, for clients of the original service: 1 InProgress, 3 Completed,
4 Failed, 5 Cancelled, 6 Expired. Times are ISO 8601 in UTC, sizes bytes, progress percent from 0 to 100.
`fileSize` is null, and there are no chunks, while a tus upload has not declared its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..domain.events import STATUS, iso
from ..domain.file import File
from ..domain.upload import SECOND, State, Upload
from ..ports import Stats

RUNNING = frozenset({State.ACTIVE, State.ASSEMBLING, State.VERIFYING})
"""What the REST API calls InProgress."""

LISTED_CHUNKS = 1000
"""In a listing, `uploadedChunks` is null for uploads of more chunks than this; "resume" has it always."""

QUIET = 60 * SECOND
"""After so long without a byte an upload has no speed, and nobody can say when it ends."""

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")

View = dict[str, Any]


def created_view(
    upload: Upload | None, file: File | None, upload_token: str | None = None, upload_url: str | None = None
) -> View:
    """`POST create`: either the file that is there already, or the task. `uploadUrl` is its tus address."""
    return {
        "fileExists": file is not None,
        "file": None if file is None else file_view(file),
        "taskId": None if upload is None else upload.id,
        "chunkSize": None if upload is None else upload.chunk_size,
        "chunksCount": None if upload is None else upload.chunks_total,
        "uploadToken": upload_token,
        "uploadUrl": upload_url,
    }


def chunk_view(upload: Upload, index: int) -> View:
    """`POST chunk`: which chunk arrived, and how far the task is."""
    return {
        "taskId": upload.id,
        "chunkIndex": index,
        "chunksUploaded": chunks_uploaded(upload),
        "chunksCount": upload.chunks_total,
        "progress": upload.progress,
    }


def task_view(upload: Upload) -> View:
    """An item of `GET tasks`."""
    few = upload.chunks_total <= LISTED_CHUNKS
    return {
        **_common(upload),
        "contentType": upload.content_type,
        "chunkSize": upload.chunk_size,
        "createdAt": iso(upload.created_at),
        "updatedAt": iso(upload.updated_at),
        "uploadedChunks": upload.chunks_done() if few else None,
        "pool": None if upload.pool is None else {"poolId": upload.pool, "name": None},
        "bundle": None if upload.bundle is None else {"bundleId": upload.bundle},
    }


def progress_view(upload: Upload) -> View:
    """`GET progress`."""
    return {**_common(upload), "uploadedChunks": upload.chunks_done()}


def resume_view(upload: Upload) -> View:
    """`GET resume`: what a client must know to send the rest."""
    return {**progress_view(upload), "contentType": upload.content_type, "chunkSize": upload.chunk_size}


def details_view(upload: Upload, now: int) -> View:
    """`GET details`: all of the task, its pool and bundle, speed and time left; `now` in microseconds."""
    speed = speed_of(upload, now)
    seconds = None if speed is None else ((upload.length or 0) - upload.received.total) / speed
    return {
        "task": {
            **resume_view(upload),
            "createdAt": iso(upload.created_at),
            "updatedAt": iso(upload.updated_at),
            "expiredAt": iso(upload.file_expires_at),
            "hash": None if upload.hash is None else upload.hash.hex,
        },
        "pool": _place(upload.pool),
        "bundle": _place(upload.bundle),
        "estimatedTimeRemaining": None if seconds is None else human_time(seconds),
        "uploadSpeed": None if speed is None else human_speed(speed),
        "estimatedSecondsRemaining": seconds,
        "bytesPerSecond": speed,
    }


def recent_view(upload: Upload) -> View:
    """An item of `GET tasks/recent`."""
    return {
        **_brief(upload),
        "fileSize": upload.length,
        "contentType": upload.content_type,
        "createdAt": iso(upload.created_at),
        "fileId": upload.file_id,
    }


def stats_view(stats: Stats, recent: Sequence[Upload]) -> View:
    """`GET stats`; `recent` are the latest uploads, newest first, of which five are shown."""
    count = stats.by_state
    return {
        "totalTasks": sum(count.values()),
        "inProgressTasks": sum(count.get(state, 0) for state in RUNNING),
        "completedTasks": count.get(State.COMPLETED, 0),
        "failedTasks": count.get(State.FAILED, 0),
        "cancelledTasks": count.get(State.CANCELLED, 0),
        "expiredTasks": count.get(State.EXPIRED, 0),
        "totalUploadedBytes": stats.uploaded_bytes,
        "averageProgress": stats.average_progress,
        "recentActivity": [_brief(upload) for upload in recent[:5]],
    }


def cancelled_view() -> View:
    """`DELETE task`."""
    return {"message": "Upload task cancelled"}


def cleanup_view(count: int) -> View:
    """`DELETE tasks/cleanup`."""
    return {"message": f"Cleaned up {count} failed tasks", "count": count}


def file_view(file: File) -> View:
    """A CloudFile. The blob behind it is never named: it would tell that somebody else has the same bytes."""
    return {
        "id": file.id,
        "name": file.name,
        "description": None,
        "fileMeta": None,
        "userMeta": None,
        "sensitiveMarks": [],
        "mimeType": file.content_type or "application/octet-stream",
        "hash": file.sha256 or file.md5,
        "expiredAt": iso(file.expires_at),
        "size": file.size,
        "uploadedAt": iso(file.created_at),
        "hasCompression": False,
        "hasThumbnail": False,
        "isEncrypted": False,
        "pool": _place(file.pool),
        "poolId": file.pool,
        "bundleId": file.bundle,
        "isMarkedRecycle": False,
        "storageId": None,
        "storageUrl": None,
        "references": [],
        "accountId": file.account,
        "resourceIdentifier": f"file:{file.id}",
        "createdAt": iso(file.created_at),
        "updatedAt": iso(file.updated_at),
        "deletedAt": iso(file.deleted_at),
    }


def chunks_uploaded(upload: Upload) -> int:
    """How many chunks arrived, without listing them."""
    return upload.chunks_total - sum(last - first + 1 for first, last in upload.chunks_missing())


def speed_of(upload: Upload, now: int) -> float | None:
    """Bytes per second from creation to the last byte; None when it ended, began only now, or fell quiet."""
    spent = upload.active_at - upload.created_at
    if upload.state is not State.ACTIVE or spent <= 0 or not upload.received.total or now - upload.active_at > QUIET:
        return None
    return upload.received.total * SECOND / spent


def human_time(seconds: float) -> str:
    """`42 seconds`, `3 minutes`, `1.5 hours`."""
    if seconds < 60:
        return f"{seconds:.0f} seconds"
    if seconds < 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def human_speed(speed: float) -> str:
    """`900 B/s`, `12 KB/s`, `3.2 MB/s`; K and M are 1024 and its square."""
    if speed < 1024:
        return f"{speed:.0f} B/s"
    if speed < 1024 * 1024:
        return f"{speed / 1024:.0f} KB/s"
    return f"{speed / 1024 / 1024:.1f} MB/s"


def snake(value: Any) -> Any:
    """`value` with the keys of all its objects in snake_case; `traceId` stays, as it did in the original service."""
    if isinstance(value, dict):
        return {snake_key(key): snake(item) for key, item in value.items()}
    if isinstance(value, list):
        return [snake(item) for item in value]
    return value


@lru_cache(maxsize=512)
def snake_key(key: str) -> str:
    return key if key == "traceId" else _HUMP.sub(r"_\1", key).lower()


def _brief(upload: Upload) -> View:
    return {
        "taskId": upload.id,
        "fileName": upload.file_name,
        "progress": upload.progress,
        "status": STATUS[upload.state],
        "lastActivity": iso(upload.active_at),
    }


def _common(upload: Upload) -> View:
    return {
        **_brief(upload),
        "fileSize": upload.length,
        "chunksCount": upload.chunks_total,
        "chunksUploaded": chunks_uploaded(upload),
        "fileId": upload.file_id,
        "errorMessage": upload.error,
    }


def _place(id: str | None) -> View | None:
    """A pool or bundle of which only the id is known."""
    return None if id is None else {"id": id, "name": None, "description": None}
