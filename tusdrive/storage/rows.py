"""Domain values to rows and back, for SQL stores.

A row of an upload is its fixed part, then what changes while bytes come; an upload's islands and parts are rows of
their own, which a SELECT returns as two JSON columns at the end.

Text that clients may fill with anything is packed: SQLite's JSON functions end a string at NUL, so NUL is stored as
SUB 0, and SUB itself as SUB 1. Everything else is stored as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from ..domain.account import Account, Space
from ..domain.checksum import FileHash
from ..domain.file import Blob, File
from ..domain.ranges import Ranges
from ..domain.upload import Kind, State, Upload

Row = Sequence[Any]

FIXED = (
    "id", "account", "place", "kind", "auto_finish", "file_name", "content_type", "metadata", "chunk_size",
    "hash_algorithm", "hash", "pool", "bundle", "concat", "file_expires_at", "created_at",
)  # fmt: skip
PROGRESS = (
    "state", "length", "offset", "allocated", "reserved", "file_id", "error", "emitted", "expires_at", "updated_at",
    "active_at", "ended_at",
)  # fmt: skip
FILE = (
    "id", "account", "upload", "blob", "name", "content_type", "size", "sha256", "md5", "pool", "bundle",
    "expires_at", "created_at", "updated_at", "deleted_at",
)  # fmt: skip
BLOB = ("id", "place", "size", "refs", "sha256", "created_at")


def pack(text: str | None) -> str | None:
    if text is None or ("\0" not in text and "\x1a" not in text):
        return text
    return text.replace("\x1a", "\x1a1").replace("\0", "\x1a0")


def unpack(text: str | None) -> str | None:
    if text is None or "\x1a" not in text:
        return text
    return text.replace("\x1a0", "\0").replace("\x1a1", "\x1a")


def _unpack(text: str) -> str:
    return unpack(text) or ""


def fixed_row(u: Upload) -> list[Any]:
    """FIXED"""
    algorithm, hex = (u.hash.algorithm, u.hash.hex) if u.hash else (None, None)
    return [
        u.id, u.account, u.place, u.kind.value, u.auto_finish, pack(u.file_name), pack(u.content_type),
        pack(u.metadata), u.chunk_size, algorithm, hex, pack(u.pool), pack(u.bundle), pack(u.concat),
        u.file_expires_at, u.created_at,
    ]  # fmt: skip


def progress_row(u: Upload) -> list[Any]:
    """PROGRESS"""
    return [
        u.state.value, u.length, u.received.prefix, u.allocated, u.reserved, u.file_id, pack(u.error), u.emitted,
        u.expires_at, u.updated_at, u.active_at, u.ended_at,
    ]  # fmt: skip


def to_upload(row: Row) -> Upload:
    """FIXED, PROGRESS, islands as JSON [[start, end], ...] in order, parts as JSON [id, ...] in order."""
    (
        id, account, place, kind, auto_finish, file_name, content_type, metadata, chunk_size, algorithm, hex, pool,
        bundle, concat, file_expires_at, created_at, state, length, offset, allocated, reserved, file_id, error,
        emitted, expires_at, updated_at, active_at, ended_at, islands, parts,
    ) = row  # fmt: skip
    return Upload(
        id=id,
        account=account,
        place=place,
        kind=Kind(kind),
        state=State(state),
        length=length,
        received=Ranges(offset, tuple((start, end) for start, end in orjson.loads(islands))),
        allocated=allocated,
        reserved=reserved,
        auto_finish=bool(auto_finish),
        file_name=_unpack(file_name),
        content_type=_unpack(content_type),
        metadata=unpack(metadata),
        chunk_size=chunk_size,
        hash=None if algorithm is None else FileHash(algorithm, hex),
        pool=unpack(pool),
        bundle=unpack(bundle),
        parts=tuple(orjson.loads(parts)),
        concat=unpack(concat),
        file_id=file_id,
        error=unpack(error),
        emitted=emitted,
        expires_at=expires_at,
        file_expires_at=file_expires_at,
        created_at=created_at,
        updated_at=updated_at,
        active_at=active_at,
        ended_at=ended_at,
    )


def file_row(f: File) -> list[Any]:
    """FILE"""
    return [
        f.id, f.account, f.upload, f.blob, pack(f.name), pack(f.content_type), f.size, f.sha256, f.md5, pack(f.pool),
        pack(f.bundle), f.expires_at, f.created_at, f.updated_at, f.deleted_at,
    ]  # fmt: skip


def to_file(row: Row) -> File:
    """FILE"""
    (
        id, account, upload, blob, name, content_type, size, sha256, md5, pool, bundle, expires_at, created_at,
        updated_at, deleted_at,
    ) = row  # fmt: skip
    return File(
        id=id,
        account=account,
        upload=upload,
        blob=blob,
        name=_unpack(name),
        content_type=_unpack(content_type),
        size=size,
        sha256=sha256,
        md5=md5,
        pool=unpack(pool),
        bundle=unpack(bundle),
        expires_at=expires_at,
        created_at=created_at,
        updated_at=updated_at,
        deleted_at=deleted_at,
    )


def blob_row(b: Blob) -> list[Any]:
    """BLOB"""
    return [b.id, b.place, b.size, b.refs, b.sha256, b.created_at]


def to_blob(row: Row) -> Blob:
    """BLOB"""
    id, place, size, refs, sha256, created_at = row
    return Blob(id=id, place=place, size=size, refs=refs, sha256=sha256, created_at=created_at)


def account_row(a: Account) -> list[Any]:
    return [a.id, a.quota, a.used, a.promised]


def to_account(row: Row) -> Account:
    id, quota, used, promised = row
    return Account(id=id, quota=quota, used=used, promised=promised)


def to_space(row: Row) -> Space:
    return Space(promised=row[0])


def to_sequence(row: Row) -> int:
    return int(row[0])
