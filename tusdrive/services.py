"""The composition root: settings in, a server out. The only place that knows which adapter fills which port."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from . import __version__
from .domain.errors import StorageFailed, TusdriveError
from .engine.assembly import Assembly
from .engine.library import Library
from .engine.upkeep import Findings, Upkeep
from .engine.uploads import Uploads
from .engine.verify import Verification
from .engine.writing import Writing
from .http.context import Context, Options
from .http.jwks import key_source
from .http.tokens import Tokens
from .protocols.algorithms import ALGORITHMS
from .protocols.dialect import Offer
from .protocols.tus import Tus
from .settings import Settings, limits
from .storage.datadir import Claim, claim, signing_secret
from .storage.files import FileChunks
from .storage.locks import ProcessLocks
from .storage.sqlite import SqliteState

logger = logging.getLogger(__name__)

HASH_PAUSE = {"auto": 5.0, "eager": 0.2}
"""Seconds between two rounds of hashing what nobody declared."""

COARSE = 64 * 1024 * 1024

SWEEP_MOST = 60.0
"""Seconds: a short expiry is swept more often than the cleanup interval, at least this often."""


def now() -> int:
    """The wall clock in microseconds."""
    return time.time_ns() // 1000


_POOL = 64
_random: list[str] = []


def new_id() -> str:
    """An id: 8 hex digits of the second it is made in, and 96 random bits.

    Random bits alone would put the rows of one batch on as many pages of each index, and all of them into the WAL:
    with the second in front, what is new is side by side. They are drawn many at a time, since each draw is a system
    call that lets the interpreter lock go.
    """
    if not _random:
        drawn = secrets.token_hex(12 * _POOL)
        _random.extend(drawn[at : at + 24] for at in range(0, len(drawn), 24))
    return f"{int(time.time()) & 0xFFFFFFFF:08x}{_random.pop()}"


class Services:
    """All the parts of one server, put together. Nothing is opened before `open`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        rules = limits(settings)
        self._database = settings.data / "tusdrive.db"
        self.state = SqliteState(self._database, durability=settings.durability, now=now)
        self.chunks = FileChunks(
            settings.data, durability=settings.durability, reserve=settings.reserve, threads=settings.write_threads
        )
        self.locks = ProcessLocks(settings.lock_timeout)
        shared: dict[str, Any] = {"state": self.state, "chunks": self.chunks, "limits": rules, "new_id": new_id}
        self.verification = Verification(**shared)
        self.assembly = Assembly(**shared)
        shared |= {"locks": self.locks, "verification": self.verification, "assembly": self.assembly}
        self.uploads = Uploads(**shared, now=now, default_pool=settings.default_pool)
        self.writing = Writing(**shared, get=self.uploads.get, step=settings.sync_every)
        self.library = Library(state=self.state, chunks=self.chunks, now=now)
        self.upkeep = Upkeep(
            state=self.state, chunks=self.chunks, uploads=self.uploads, library=self.library,
            verification=self.verification, assembly=self.assembly, limits=rules, now=now,
        )
        self.context = Context(
            uploads=self.uploads, writing=self.writing, library=self.library, dialects=(Tus(),), now=now,
            offer=Offer(limits=rules, algorithms=ALGORITHMS), options=_options(settings),
            facts=self.facts, opener=self.open,
        )
        self._claim: Claim | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Open everything and recover, once. Raises StorageFailed, with what to do about it."""
        async with self._opening:
            if self.context.is_open:
                return
            try:
                await self._open_storage()
                self.context.tokens = await self._tokens()
                await self.upkeep.recover()
            except BaseException:
                await self._close_storage()
                raise
            self._start_upkeep()
            self.locks.start_anew()
            self.context.is_stopping = False
            self.context.is_open = True

    async def close(self) -> None:
        """Close everything in reverse order. What is under way is finished or left for the next start."""
        self.context.is_open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.verification.close()
        await self.assembly.close()
        await self._close_storage()

    async def drain(self) -> None:
        """Take no more requests, and ask every body that is being read to stop; what it brought is committed."""
        self.context.is_stopping = True
        self.locks.stop_all()

    async def facts(self) -> Mapping[str, Any]:
        """For /health. `status` is "ok" when the database and the disk answer."""
        state = dict(self.state.facts())
        facts: dict[str, Any] = {
            "status": "ok",
            "version": __version__,
            "durability": self.settings.durability,
            "database": {"status": "ok", "sqliteVersion": sqlite3.sqlite_version, **state},
            "disk": {"status": "ok"},
            "queues": {"writer": state.get("queue", 0)},
        }
        try:
            await self.state.expired_uploads(0, 1)
            # Not to the byte: who watched it while uploading could tell whether somebody else has the same bytes.
            facts["disk"]["freeBytes"] = await self.chunks.free() // COARSE * COARSE
        except TusdriveError as exc:
            facts["status"] = facts["database"]["status"] = exc.code
        return facts

    # ------------------------------------------------------------------------------------------ pieces

    async def _open_storage(self) -> None:
        data = self.settings.data
        self._claim = await asyncio.to_thread(claim, data)
        await self.chunks.open()
        # Looking at every file takes a while, and is of use only where the database is missing.
        is_missing = await asyncio.to_thread(_is_missing, self._database)
        self.state.fresh_ok = not is_missing or not await self.chunks.listing()
        await self.state.open()

    async def _close_storage(self) -> None:
        await self.state.close()
        await self.chunks.close()
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    async def _tokens(self) -> Tokens | None:
        settings = self.settings
        if settings.auth == "none":
            return None
        try:
            secret = await asyncio.to_thread(signing_secret, settings.secret_file)
            tokens = Tokens(
                secret, jwks=key_source(settings.jwks) if settings.jwks else None, audience=settings.jwt_audience,
                issuer=settings.jwt_issuer, leeway=settings.jwt_leeway,
            )
            await tokens.open()
        except (OSError, ValueError) as exc:
            raise StorageFailed(f"the signing keys cannot be read: {exc}") from exc
        return tokens

    def _start_upkeep(self) -> None:
        settings, upkeep = self.settings, self.upkeep
        often = min(settings.cleanup_interval, max(1.0, (settings.expire_after or SWEEP_MOST) / 2))
        self._tasks.append(asyncio.create_task(upkeep.every(often, upkeep.sweep)))
        self._tasks.append(asyncio.create_task(upkeep.every(settings.cleanup_interval, upkeep.remove_orphans)))
        if settings.hash in HASH_PAUSE:
            self._tasks.append(asyncio.create_task(upkeep.every(HASH_PAUSE[settings.hash], upkeep.hash_some)))


def _is_missing(database: Path) -> bool:
    return not database.exists() or not database.stat().st_size


def _options(settings: Settings) -> Options:
    return Options(
        base_path=settings.base_path,
        cors_origins=frozenset(settings.cors_origin),
        trusted=tuple(ip_network(each, strict=False) for each in settings.behind_proxy),
        relative_location=settings.location == "relative",
        upload_tokens=settings.upload_tokens,
        snake=settings.json_case == "snake",
        max_header=settings.max_header,
        body_idle=settings.body_idle,
        docs=settings.docs,
    )


# ---------------------------------------------------------------------------------------------------- by hand


@dataclass(slots=True)
class Report:
    """What `tusdrive check` or `tusdrive gc` has to say."""

    ok: bool
    said: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        return self.said


async def check(settings: Settings, repair: bool) -> Report:
    """Compare rows and files of a data directory that no server uses. Raises StorageFailed when one does."""
    services = Services(settings)
    await services._open_storage()
    try:
        findings: Findings = await services.upkeep.check(repair)
    finally:
        await services._close_storage()
    said = [*findings.problems, *(f"repaired: {each}" for each in findings.repaired)]
    return Report(len(findings.repaired) == len(findings.problems), said or ["rows and files agree"])


async def gc(settings: Settings, dry_run: bool) -> Report:
    """Remove what expired and what no row knows. Raises StorageFailed when a server uses the data directory."""
    services = Services(settings)
    await services._open_storage()
    try:
        said = await services.upkeep.sweep(dry_run)
        said += await services.upkeep.remove_orphans(dry_run)
    finally:
        await services._close_storage()
    what = "would be removed" if dry_run else "removed"
    return Report(True, [f"{each}: {what}" for each in said] or ["nothing to remove"])
