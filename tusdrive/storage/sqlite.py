"""State in one SQLite file: the StateStore of a single machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..domain.account import Account
from ..domain.events import Event
from ..domain.file import Blob, File
from ..domain.upload import State, Upload
from ..ports import Now, Page, Stats, Tx
from . import rows, statements
from .cache import Cache, Caches
from .rows import Row
from .sqlite_open import Database
from .sqlite_reads import Queries, Reader
from .writer import Writer

T = TypeVar("T")
V = TypeVar("V")

TRIM = 5000
"""Events dropped in one go; changes that wait get in between."""


class SqliteState:
    """ports.StateStore in the SQLite file `path`, in WAL mode. One process at a time may have it open.

    `durability` "durable": `apply` returns when the change would survive a power cut (synchronous=FULL). "relaxed":
    it survives the end of the process, but the last changes may be lost with the power (synchronous=NORMAL).
    `fresh_ok`: whether `open` may make a new database; say no when there are bytes that it would not know of.
    `cache`: how many values of each kind are kept in memory. `busy_ms`: how long to wait for a lock that another
    program holds, per try.

    After an I/O error that may have lost data, `apply` raises StorageFailed until the store was closed and opened.
    Ids and accounts that hold a lone surrogate are not there for reads, and Invalid when they are saved.
    """

    def __init__(
        self,
        path: Path,
        *,
        durability: str,
        now: Now,
        fresh_ok: bool = True,
        cache: int = 8192,
        busy_ms: int = 5000,
    ) -> None:
        self._path = path
        self._durability = durability
        self._now = now
        self.fresh_ok = fresh_ok  # counts when it is opened
        self._cache_size = cache
        self._busy_ms = busy_ms
        self._begin()

    def _begin(self) -> None:
        """Everything that belongs to one opening."""
        self._database = Database(
            self._path, durability=self._durability, fresh_ok=self.fresh_ok, busy_ms=self._busy_ms
        )
        self._caches = Caches(self._cache_size)
        self._writer = Writer(self._database, self._caches, self._now)
        self._values = Reader(self._path, self._busy_ms)
        self._lists = Reader(self._path, self._busy_ms)  # so that no value waits for a long listing
        self._queries = Queries(self._lists)

    async def open(self) -> None:
        """Check the file, bring it to this version, begin. Raises StorageFailed, with what to do, or StorageFull."""
        self._begin()
        try:
            await self._writer.start()
            await self._values.open()
            await self._lists.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was asked for, then close. The writer last: it copies the WAL into the database."""
        self._writer.end()
        await self._values.close()
        await self._lists.close()
        await self._writer.stop()
        self._begin()

    async def apply(self, change: Callable[[Tx], T], *, frees: bool = False) -> T:
        """As the port says. When the caller is cancelled, that is raised after the change is decided.

        Raises what the change raises; StorageFull, StorageFailed or Busy when it could not be committed (then nothing
        of it is there); ShuttingDown when the store is closed.
        """
        return await self._writer.apply(change, frees)

    async def upload(self, id: str) -> Upload | None:
        return await self._value(self._caches.uploads, id, statements.UPLOAD, rows.to_upload)

    async def file(self, id: str) -> File | None:
        return await self._value(self._caches.files, id, statements.FILE, rows.to_file)

    async def blob(self, id: str) -> Blob | None:
        return await self._value(self._caches.blobs, id, statements.BLOB, rows.to_blob)

    async def account(self, id: str) -> Account:
        found = await self._value(self._caches.accounts, id, statements.ACCOUNT, rows.to_account)
        return found or Account(id=id)

    async def _value(self, cache: Cache[V], id: str, sql: str, convert: Callable[[Row], V]) -> V | None:
        value = cache.get(id)
        if value is not None:
            return value
        ticket = cache.miss(id)
        try:
            found = await self._values.rows(sql, id)
            return cache.fill(id, ticket, convert(found[0]) if found else None)
        finally:
            cache.forget(id, ticket)

    async def list_uploads(
        self, account: str, states: frozenset[State] | None, page: Page
    ) -> tuple[list[Upload], int]:
        """Ties of equal sort values go by id, in the same direction."""
        return await self._queries.list_uploads(account, states, page)

    async def list_files(self, account: str, page: Page, now: int) -> tuple[list[File], int]:
        """Ties of equal sort values go by id, in the same direction. ACTIVE sorts as UPDATED does."""
        return await self._queries.list_files(account, page, now)

    async def stats(self, account: str) -> Stats:
        """`by_state` has every state, with 0 where there is none."""
        return await self._queries.stats(account)

    async def open_uploads(self) -> list[Upload]:
        return await self._queries.open_uploads()

    async def expired_uploads(self, now: int, limit: int) -> list[str]:
        """Soonest expired first. One that is being verified does not expire."""
        return await self._queries.expired_uploads(now, limit)

    async def stale_ended(self, before: int, limit: int) -> list[str]:
        return await self._queries.stale_ended(before, limit)

    async def expired_files(self, now: int, limit: int) -> list[str]:
        return await self._queries.expired_files(now, limit)

    async def unhashed_blobs(self, limit: int) -> list[Blob]:
        return await self._queries.unhashed_blobs(limit)

    async def places(self) -> dict[str, int]:
        return await self._queries.places()

    async def events(self, account: str, after: int, limit: int) -> list[Event]:
        return await self._queries.events(account, after, limit)

    async def trim_events(self, before: int) -> int:
        """Sequence numbers go on where they were."""

        def trim(connection: sqlite3.Connection) -> int:
            return connection.execute(statements.TRIM_EVENTS, (before, TRIM)).rowcount

        total = 0
        while (trimmed := await self._writer.alone(trim)) > 0:
            total += trimmed
        return total

    async def recount(self) -> dict[str, tuple[Account, Account]]:
        """The ledgers that are not the sum of their rows. The engine keeps them so that

        - `used` of an account is the sum of `size` over its files that are not deleted;
        - `promised` of an account is the sum of `reserved` over its uploads that are ACTIVE, ASSEMBLING or VERIFYING,
          and over its partial uploads that are COMPLETED;
        - `promised` of the one Space is the sum of `outstanding` over all uploads that are ACTIVE, ASSEMBLING or
          VERIFYING. It is returned as the `promised` of an account with the id "", which no real account has.
        """
        return await self._queries.recount()

    def facts(self) -> dict[str, Any]:
        """`synchronous` is what SQLite has in force; `writable` is false after an error that may have lost data."""
        return {
            "engine": "sqlite",
            "version": sqlite3.sqlite_version,
            "durability": self._durability,
            "synchronous": {1: "normal", 2: "full"}.get(self._database.synchronous),
            "queue": self._writer.waiting,
            "commits": self._writer.commits,
            "writable": not self._writer.is_broken,
        }
