"""What the queries of ports.StateStore and ports.Tx mean, as predicates over values.

The SQL in `sql/` and `statements.py` says the same; the contract suite holds the two together.
"""

from __future__ import annotations

from typing import Any

from ..domain.file import Blob, File
from ..domain.upload import Kind, State, Upload
from ..ports import Sort

OPEN = frozenset({State.ACTIVE, State.ASSEMBLING, State.VERIFYING})
"""Under way: bytes may still come, or are being joined or verified."""

ENDED_BADLY = frozenset({State.FAILED, State.CANCELLED, State.EXPIRED})


def is_open(upload: Upload) -> bool:
    return upload.state in OPEN


def is_whole_part(upload: Upload) -> bool:
    """A finished part that waits to be joined; it still owns its bytes."""
    return upload.state is State.COMPLETED and upload.kind is Kind.PARTIAL


def owns_bytes(upload: Upload) -> bool:
    return is_open(upload) or is_whole_part(upload)


def can_expire(upload: Upload) -> bool:
    """Not yet ended, or a whole part. One that is being verified cannot (domain.upload.TRANSITIONS)."""
    return upload.state in (State.ACTIVE, State.ASSEMBLING) or is_whole_part(upload)


def waits_for(upload: Upload, part: str) -> bool:
    return upload.state is State.ASSEMBLING and part in upload.parts


def is_there(file: File, now: int) -> bool:
    """Neither deleted nor expired."""
    return file.deleted_at is None and (file.expires_at is None or file.expires_at > now)


def has_hash(file: File, algorithm: str, hex: str, size: int) -> bool:
    return file.size == size and (file.sha256 if algorithm == "sha256" else file.md5) == hex


def age(value: Upload | File | Blob) -> tuple[int, str]:
    """Sort key: oldest first."""
    return value.created_at, value.id


def upload_key(sort: Sort, upload: Upload) -> tuple[Any, ...]:
    """Sort key of a listing. A length that is not known yet comes before all others."""
    if sort is Sort.NAME:
        return upload.file_name, upload.id
    if sort is Sort.SIZE:
        return upload.length is not None, upload.length or 0, upload.id
    if sort is Sort.CREATED:
        return upload.created_at, upload.id
    return (upload.updated_at if sort is Sort.UPDATED else upload.active_at), upload.id


def file_key(sort: Sort, file: File) -> tuple[Any, ...]:
    """Sort key of a listing. A file is active when it is changed."""
    if sort is Sort.NAME:
        return file.name, file.id
    if sort is Sort.SIZE:
        return file.size, file.id
    if sort is Sort.CREATED:
        return file.created_at, file.id
    return file.updated_at, file.id
