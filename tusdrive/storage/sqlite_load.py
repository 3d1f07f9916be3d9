"""Committed state for the writer: the cache first, then its own connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import orjson

from ..domain.account import Account, Space
from ..domain.file import Blob, File
from ..domain.upload import Upload
from . import rows, statements
from .cache import Cache, Caches
from .rows import Row
from .sqlite_errors import translate

V = TypeVar("V")


class SqliteLoader:
    """unit.Loader over the writer's connection. To be used on the writer's thread, between commits."""

    def __init__(self, connection: sqlite3.Connection, caches: Caches) -> None:
        self._connection = connection
        self._caches = caches

    def upload(self, id: str) -> Upload | None:
        return self._value(self._caches.uploads, id, statements.UPLOAD, rows.to_upload)

    def file(self, id: str) -> File | None:
        return self._value(self._caches.files, id, statements.FILE, rows.to_file)

    def blob(self, id: str) -> Blob | None:
        return self._value(self._caches.blobs, id, statements.BLOB, rows.to_blob)

    def account(self, id: str) -> Account | None:
        return self._value(self._caches.accounts, id, statements.ACCOUNT, rows.to_account)

    def space(self, id: str) -> Space | None:
        return self._value(self._caches.spaces, id, statements.SPACE, rows.to_space)

    def sequence(self, account: str) -> int | None:
        return self._value(self._caches.sequences, account, statements.SEQUENCE, rows.to_sequence)

    def waiting_on(self, part: str) -> list[Upload]:
        return [rows.to_upload(row) for row in self._rows(statements.WAITING_ON, part)]

    def file_by_hash(
        self, account: str, algorithm: str, hex: str, size: int, now: int, but: Collection[str]
    ) -> File | None:
        skipped = orjson.dumps(list(but)).decode()
        found = self._rows(statements.FILE_BY_HASH[algorithm], account, hex, size, now, skipped)
        return rows.to_file(found[0]) if found else None

    def files_of_blob(self, blob: str) -> list[File]:
        return [rows.to_file(row) for row in self._rows(statements.FILES_OF_BLOB, blob)]

    def blob_by_hash(self, sha256: str, size: int) -> Blob | None:
        found = self._rows(statements.BLOB_BY_HASH, sha256, size)
        return rows.to_blob(found[0]) if found else None

    def _value(self, cache: Cache[V], id: str, sql: str, convert: Callable[[Row], V]) -> V | None:
        value = cache.get(id)
        if value is None:
            found = self._rows(sql, id)
            if found:
                value = convert(found[0])
                cache.put(id, value)
        return value

    def _rows(self, sql: str, *parameters: Any) -> list[Row]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except (UnicodeEncodeError, OverflowError):
            return []  # nothing can be stored under what SQLite cannot take
        except sqlite3.Error as exc:
            raise translate(exc) from exc
