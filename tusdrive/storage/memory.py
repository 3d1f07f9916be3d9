"""State in dicts: the StateStore of tests and examples. Everything is gone when the process ends.

It is a full implementation and passes the same contract suite as the others. Queries walk over everything there is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, TypeVar

from ..domain.account import Account, Space
from ..domain.errors import ShuttingDown
from ..domain.events import Event
from ..domain.file import Blob, File
from ..domain.upload import Kind, State, Upload
from ..ports import Now, Page, Stats, Tx
from . import matching
from .unit import SPACE, Entry, Unit

T = TypeVar("T")
V = TypeVar("V")


class _Tables:
    """What is committed. It is the unit.Loader."""

    def __init__(self) -> None:
        self.uploads: dict[str, Upload] = {}
        self.files: dict[str, File] = {}
        self.blobs: dict[str, Blob] = {}
        self.accounts: dict[str, Account] = {}
        self.spaces: dict[str, Space] = {}
        self.sequences: dict[str, int] = {}
        self.entries: list[Entry] = []

    def upload(self, id: str) -> Upload | None:
        return self.uploads.get(id)

    def file(self, id: str) -> File | None:
        return self.files.get(id)

    def blob(self, id: str) -> Blob | None:
        return self.blobs.get(id)

    def account(self, id: str) -> Account | None:
        return self.accounts.get(id)

    def space(self, id: str) -> Space | None:
        return self.spaces.get(id)

    def sequence(self, account: str) -> int | None:
        return self.sequences.get(account)

    def waiting_on(self, part: str) -> list[Upload]:
        return [upload for upload in self.uploads.values() if matching.waits_for(upload, part)]

    def file_by_hash(
        self, account: str, algorithm: str, hex: str, size: int, now: int, but: Collection[str]
    ) -> File | None:
        mine = (f for f in self.files.values() if f.account == account and f.id not in but)
        found = (f for f in mine if matching.has_hash(f, algorithm, hex, size) and matching.is_there(f, now))
        return max(found, key=matching.age, default=None)

    def files_of_blob(self, blob: str) -> list[File]:
        return [file for file in self.files.values() if file.blob == blob]

    def blob_by_hash(self, sha256: str, size: int) -> Blob | None:
        return next((b for b in self.blobs.values() if b.sha256 == sha256 and b.size == size), None)

    def merge(self, unit: Unit) -> None:
        _merge(self.uploads, unit.uploads.batch)
        _merge(self.files, unit.files.batch)
        _merge(self.blobs, unit.blobs.batch)
        _merge(self.accounts, unit.accounts.batch)
        _merge(self.spaces, unit.spaces.batch)
        _merge(self.sequences, unit.sequences.batch)
        self.entries += unit.entries


def _merge(table: dict[str, V], batch: dict[str, V | None]) -> None:
    for id, value in batch.items():
        if value is None:
            table.pop(id, None)
        else:
            table[id] = value


class MemoryState:
    """ports.StateStore in memory. What was stored stays over `close` and `open`, as long as the object lives."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._tables = _Tables()
        self._is_open = False

    async def open(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False

    async def apply(self, change: Callable[[Tx], T], *, frees: bool = False) -> T:
        """Raises what the change raises, and ShuttingDown when the store is not open."""
        if not self._is_open:
            raise ShuttingDown()
        unit = Unit(self._tables, self._now())
        result = unit.run(change)
        self._tables.merge(unit)
        return result

    async def upload(self, id: str) -> Upload | None:
        return self._tables.upload(id)

    async def file(self, id: str) -> File | None:
        return self._tables.file(id)

    async def blob(self, id: str) -> Blob | None:
        return self._tables.blob(id)

    async def account(self, id: str) -> Account:
        return self._tables.account(id) or Account(id=id)

    async def list_uploads(
        self, account: str, states: frozenset[State] | None, page: Page
    ) -> tuple[list[Upload], int]:
        """Ties of equal sort values go by id, in the same direction."""
        found = [u for u in self._told(account) if states is None or u.state in states]
        found.sort(key=lambda upload: matching.upload_key(page.sort, upload), reverse=page.descending)
        return found[page.offset : page.offset + page.limit], len(found)

    async def list_files(self, account: str, page: Page, now: int) -> tuple[list[File], int]:
        """Ties of equal sort values go by id, in the same direction. ACTIVE sorts as UPDATED does."""
        found = [f for f in self._tables.files.values() if f.account == account and matching.is_there(f, now)]
        found.sort(key=lambda file: matching.file_key(page.sort, file), reverse=page.descending)
        return found[page.offset : page.offset + page.limit], len(found)

    async def stats(self, account: str) -> Stats:
        """`by_state` has every state, with 0 where there is none."""
        told = self._told(account)
        progress = [u.progress for u in told if matching.is_open(u)]
        return Stats(
            by_state={state: sum(u.state is state for u in told) for state in State},
            uploaded_bytes=sum(u.received.total for u in told if u.state not in matching.ENDED_BADLY),
            average_progress=sum(progress) / len(progress) if progress else 0.0,
        )

    async def open_uploads(self) -> list[Upload]:
        return sorted(filter(matching.is_open, self._tables.uploads.values()), key=matching.age)

    async def expired_uploads(self, now: int, limit: int) -> list[str]:
        """Soonest expired first. One that is being verified does not expire."""
        dated = [(u.expires_at, u.id) for u in self._tables.uploads.values() if matching.can_expire(u)]
        return [id for _, id in sorted((at, id) for at, id in dated if at is not None and at <= now)][:limit]

    async def stale_ended(self, before: int, limit: int) -> list[str]:
        dated = [(u.ended_at, u.id) for u in self._tables.uploads.values() if u.state in matching.ENDED_BADLY]
        return [id for _, id in sorted((at, id) for at, id in dated if at is not None and at < before)][:limit]

    async def expired_files(self, now: int, limit: int) -> list[str]:
        dated = [(f.expires_at, f.id) for f in self._tables.files.values() if f.deleted_at is None]
        return [id for _, id in sorted((at, id) for at, id in dated if at is not None and at <= now)][:limit]

    async def unhashed_blobs(self, limit: int) -> list[Blob]:
        return sorted((b for b in self._tables.blobs.values() if b.sha256 is None), key=matching.age)[:limit]

    async def places(self) -> dict[str, int]:
        owned = {u.place: u.received.end for u in self._tables.uploads.values() if matching.owns_bytes(u)}
        return owned | {blob.place: blob.size for blob in self._tables.blobs.values()}

    async def events(self, account: str, after: int, limit: int) -> list[Event]:
        found = [entry for entry in self._tables.entries if entry.account == account and entry.seq > after]
        return [entry.event() for entry in found[:limit]]

    async def trim_events(self, before: int) -> int:
        kept = [entry for entry in self._tables.entries if entry.at >= before]
        trimmed = len(self._tables.entries) - len(kept)
        self._tables.entries = kept
        return trimmed

    async def recount(self) -> dict[str, tuple[Account, Account]]:
        """The sums are those of sqlite.SqliteState.recount."""
        uploads, tables = self._tables.uploads.values(), self._tables
        counted: dict[str, Account] = {id: replace(a, used=0, promised=0) for id, a in tables.accounts.items()}
        for file in tables.files.values():
            if file.deleted_at is None:
                account = counted.get(file.account) or Account(id=file.account)
                counted[file.account] = replace(account, used=account.used + file.size)
        for upload in filter(matching.owns_bytes, uploads):
            account = counted.get(upload.account) or Account(id=upload.account)
            counted[upload.account] = replace(account, promised=account.promised + upload.reserved)
        pairs = {id: (tables.accounts.get(id) or Account(id=id), account) for id, account in counted.items()}
        space = (tables.space(SPACE) or Space()).promised
        outstanding = sum(upload.outstanding for upload in uploads)
        pairs[SPACE] = Account(id=SPACE, promised=space), Account(id=SPACE, promised=outstanding)
        return {id: pair for id, pair in pairs.items() if pair[0] != pair[1]}

    def facts(self) -> dict[str, Any]:
        return {"engine": "memory", "durability": "none", "queue": 0}

    def _told(self, account: str) -> list[Upload]:
        return [u for u in self._tables.uploads.values() if u.account == account and u.kind is not Kind.PARTIAL]
