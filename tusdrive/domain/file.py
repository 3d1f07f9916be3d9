"""Files: what an upload becomes. A file belongs to one account; its bytes are a blob that several files may share."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes that stand. Shared by reference count, never written again.

    `sha256` is what the server computed (hex), None while it has not. Two blobs never have the same one.
    """

    id: str
    place: str
    size: int
    refs: int = 1
    sha256: str | None = None
    created_at: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An account's file (the CloudFile of the REST API)."""

    id: str
    account: str
    upload: str  # the upload it came from
    blob: str
    name: str
    content_type: str
    size: int
    sha256: str | None = None  # as computed by the server
    md5: str | None = None  # as verified by the server, when the client declared one
    pool: str | None = None
    bundle: str | None = None
    expires_at: int | None = None
    created_at: int = 0
    updated_at: int = 0
    deleted_at: int | None = None


def refuse_absent(file: File, now: int) -> None:
    """Raises Gone when the file was deleted or its time is up."""
    if file.deleted_at is not None:
        raise Gone("the file was deleted")
    if file.expires_at is not None and file.expires_at <= now:
        raise Gone("the file has expired")
