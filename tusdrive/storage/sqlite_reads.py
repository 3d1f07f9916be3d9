"""Reads of committed state through aiosqlite: values that are in no cache, listings and sums.

A connection of these can only read, and never copies the WAL into the database: two connections doing that at once
is what corrupts SQLite before 3.51.3 (https://sqlite.org/wal.html, "the WAL-reset bug").
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiosqlite
import orjson

from ..domain.account import Account
from ..domain.errors import ShuttingDown
from ..domain.events import Event
from ..domain.file import Blob, File
from ..domain.upload import State, Upload
from ..ports import Page, Stats
from . import matching, rows, statements
from .checks import LARGEST
from .rows import Row
from .sqlite_errors import translate
from .unit import Entry


class Reader:
    """A read-only connection on aiosqlite's thread."""

    def __init__(self, path: Path, busy_ms: int) -> None:
        self._uri = path.absolute().as_uri() + "?mode=ro"
        self._busy_ms = busy_ms
        self._connection: aiosqlite.Connection | None = None

    async def open(self) -> None:
        """Raises StorageFailed. Must be closed, also on failure."""
        connecting = aiosqlite.connect(self._uri, uri=True, isolation_level=None, timeout=self._busy_ms / 1000)
        # A process that ends without closing would otherwise wait for this thread for ever.
        connecting._thread.daemon = True
        try:
            self._connection = await connecting
            for pragma in ("query_only = ON", "wal_autocheckpoint = 0", "temp_store = MEMORY"):
                await self._connection.execute_fetchall(f"PRAGMA {pragma}")
        except sqlite3.Error as exc:
            raise translate(exc) from exc

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def rows(self, sql: str, *parameters: Any) -> list[Row]:
        """All rows of a SELECT, from one snapshot. Raises ShuttingDown when closed."""
        if self._connection is None:
            raise ShuttingDown()
        try:
            return list(await self._connection.execute_fetchall(sql, parameters))
        except UnicodeEncodeError:
            return []  # nothing can be stored under what SQLite cannot take
        except sqlite3.Error as exc:
            raise translate(exc) from exc


class Queries:
    """The queries of ports.StateStore over a reader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def list_uploads(
        self, account: str, states: frozenset[State] | None, page: Page
    ) -> tuple[list[Upload], int]:
        chosen = None if states is None else orjson.dumps(sorted(state.value for state in states)).decode()
        sql = statements.LIST_UPLOADS[page.sort, page.descending]
        found = await self._reader.rows(sql, account, chosen, *_slice(page))
        if found:
            return [rows.to_upload(row[1:]) for row in found], found[0][0]
        return [], await self._count(statements.COUNT_UPLOADS, account, chosen)

    async def list_files(self, account: str, page: Page, now: int) -> tuple[list[File], int]:
        sql = statements.LIST_FILES[page.sort, page.descending]
        found = await self._reader.rows(sql, account, now, *_slice(page))
        if found:
            return [rows.to_file(row[1:]) for row in found], found[0][0]
        return [], await self._count(statements.COUNT_FILES, account, now)

    async def _count(self, sql: str, *parameters: Any) -> int:
        """For an empty page: there may be others."""
        found = await self._reader.rows(sql, *parameters)
        return found[0][0] if found else 0

    async def stats(self, account: str) -> Stats:
        by_state = dict.fromkeys(State, 0)
        uploaded, progress = 0, 0.0
        for value, count, received, percent in await self._reader.rows(statements.STATS, account):
            state = State(value)
            by_state[state] = count
            uploaded += received if state not in matching.ENDED_BADLY else 0
            progress += percent if state in matching.OPEN else 0.0
        under_way = sum(by_state[state] for state in matching.OPEN)
        return Stats(
            by_state=by_state,
            uploaded_bytes=uploaded,
            average_progress=progress / under_way if under_way else 0.0,
        )

    async def open_uploads(self) -> list[Upload]:
        return [rows.to_upload(row) for row in await self._reader.rows(statements.OPEN_UPLOADS)]

    async def expired_uploads(self, now: int, limit: int) -> list[str]:
        return _first(await self._reader.rows(statements.EXPIRED_UPLOADS, now, limit))

    async def stale_ended(self, before: int, limit: int) -> list[str]:
        return _first(await self._reader.rows(statements.STALE_ENDED, before, limit))

    async def expired_files(self, now: int, limit: int) -> list[str]:
        return _first(await self._reader.rows(statements.EXPIRED_FILES, now, limit))

    async def unhashed_blobs(self, limit: int) -> list[Blob]:
        return [rows.to_blob(row) for row in await self._reader.rows(statements.UNHASHED_BLOBS, limit)]

    async def places(self) -> dict[str, int]:
        return {row[0]: row[1] for row in await self._reader.rows(statements.PLACES)}

    async def events(self, account: str, after: int, limit: int) -> list[Event]:
        found = await self._reader.rows(statements.EVENTS, account, min(after, LARGEST), limit)
        return [Entry(*row).event() for row in found]

    async def recount(self) -> dict[str, tuple[Account, Account]]:
        found: dict[str, tuple[Account, Account]] = {}
        for id, quota, used, promised, counted_used, counted_promised in await self._reader.rows(statements.RECOUNT):
            stored = Account(id=id, quota=quota, used=used, promised=promised)
            found[id] = stored, Account(id=id, quota=quota, used=counted_used, promised=counted_promised)
        return found


def _slice(page: Page) -> tuple[int, int]:
    """LIMIT and OFFSET. SQLite takes a negative limit for none."""
    return min(max(page.limit, 0), LARGEST), min(max(page.offset, 0), LARGEST)


def _first(found: Iterable[Row]) -> list[str]:
    return [row[0] for row in found]
