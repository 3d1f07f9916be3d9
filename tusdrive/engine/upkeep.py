"""What the server does of its own accord: recover at start, sweep what expired, hash what nobody declared.

Recovery follows one rule: bytes past what was committed are never trusted, and zeros are never served for bytes
that are missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from ..domain.errors import TusdriveError
from ..domain.file import Blob
from ..domain.upload import DAY, Limits, State, Upload
from ..ports import ChunkStore, Now, StateStore
from ..ports.settling import settled
from . import changes
from .assembly import Assembly
from .library import Library
from .uploads import Uploads
from .verify import Verification

logger = logging.getLogger(__name__)

KEEP_ENDED = 30 * DAY
KEEP_EVENTS = 7 * DAY
ORPHAN_GRACE = 3600.0
"""Seconds that a file without a row is left alone: somebody may have restored an older database beside it."""
BATCH = 200


@dataclass(slots=True)
class Findings:
    """What a comparison of rows and files found, in words."""

    problems: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)


class Upkeep:
    """Background work, and the comparison of rows and files that `tusdrive check` does by hand."""

    def __init__(
        self,
        *,
        state: StateStore,
        chunks: ChunkStore,
        uploads: Uploads,
        library: Library,
        verification: Verification,
        assembly: Assembly,
        limits: Limits,
        now: Now,
    ) -> None:
        self._state, self._chunks, self._uploads, self._library = state, chunks, uploads, library
        self._verification, self._assembly, self._limits, self._now = verification, assembly, limits, now

    # ------------------------------------------------------------------------------------------ start

    async def recover(self) -> Findings:
        """Bring rows and files together after a crash, before the first request. What was acknowledged stays."""
        findings = Findings()
        for upload in await self._state.open_uploads():
            lost = await self._lost(upload)
            if lost is not None:
                findings.problems.append(f"upload {upload.id}: {lost}")
                await self._state.apply(partial(changes.fail, id=upload.id, message=lost, limits=self._limits))
                findings.repaired.append(f"upload {upload.id}: marked failed")
            elif upload.state is State.VERIFYING:
                asyncio.ensure_future(self._verification.result(upload)).add_done_callback(_seen)
            elif upload.state is State.ASSEMBLING:
                await self._assembly.resume(upload)
        for problem in findings.problems:
            logger.error(problem, extra={"action": "recover"})
        return findings

    async def _lost(self, upload: Upload) -> str | None:
        """What is wrong with an open upload's bytes; None when all that was acknowledged is there."""
        if upload.state is State.ASSEMBLING or upload.received.end == 0:
            return None
        size = await self._chunks.size(upload.place)
        if size is None:
            return "its bytes are missing on disk"
        if size < upload.received.end:
            return f"only {size} of {upload.received.end} acknowledged bytes are on disk"
        return None

    # ------------------------------------------------------------------------------------------ by and by

    async def sweep(self, dry_run: bool = False) -> list[str]:
        """Remove what expired; what was (or would be) removed, in words."""
        now, done = self._now(), []
        for id in await self._state.expired_uploads(now, BATCH):
            if dry_run or await settled(self._uploads.expire(id)) is not None:
                done.append(f"upload {id}: expired")
        for id in await self._state.expired_files(now, BATCH):
            if dry_run or await settled(self._library.expire(id)):
                done.append(f"file {id}: expired")
        if not dry_run:
            await self._resume_joins()
        ended = await self._state.stale_ended(now - KEEP_ENDED, BATCH)
        done += [f"upload {id}: ended more than 30 days ago" for id in ended]
        if not dry_run:
            await self._state.apply(partial(changes.forget, ids=ended), frees=True)
            await self._state.trim_events(now - KEEP_EVENTS)
        return done

    async def _resume_joins(self) -> None:
        """A final upload whose parts are whole and that nobody joins: its cue was lost with a commit that failed."""
        for upload in await self._state.open_uploads():
            if upload.state is State.ASSEMBLING:
                await self._assembly.resume(upload)

    async def remove_orphans(self, dry_run: bool = False, grace: float = ORPHAN_GRACE) -> list[str]:
        """Remove files on disk that no row knows; which ones."""
        listing = await self._chunks.listing()
        known = await self._state.places()
        orphans = [place for place, age in listing if place not in known and age >= grace]
        for place in orphans:
            if not dry_run:
                await self._chunks.remove(place)
        return [f"file {place}: no row knows it" for place in orphans]

    async def hash_some(self) -> int:
        """Hash a few blobs whose hash nobody declared, and merge those that stand already; how many."""
        blobs = await self._state.unhashed_blobs(32)
        for blob in blobs:
            await self._hash(blob)
        return len(blobs)

    async def _hash(self, blob: Blob) -> None:
        if blob.size == 0:
            return await settled(self._know(blob, EMPTY_SHA256))
        try:
            digests = await self._chunks.digest(blob.place, blob.size, ["sha256"])
        except TusdriveError as exc:
            if await self._state.blob(blob.id) is None:
                return None  # deleted, or merged, meanwhile
            message = f"blob {blob.id} cannot be read: {exc.message}"
            logger.error(message, extra={"action": "hash"})
            return None
        return await settled(self._know(blob, digests["sha256"]))

    async def _know(self, blob: Blob, sha256: str) -> None:
        for place in await self._state.apply(partial(changes.know_hash, blob_id=blob.id, sha256=sha256)):
            await self._chunks.remove(place)

    async def every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        """Do `work` again and again; a failure is logged and does not end it."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except TusdriveError as exc:
                logger.warning(exc.message, extra={"action": "upkeep"})

    # ------------------------------------------------------------------------------------------ by hand

    async def check(self, repair: bool) -> Findings:
        """Compare rows and files: missing and short bytes, files nobody knows, ledgers that drifted."""
        findings = Findings()
        for upload in await self._state.open_uploads():
            if lost := await self._lost(upload):
                findings.problems.append(f"upload {upload.id}: {lost}")
                if repair:
                    await self._state.apply(partial(changes.fail, id=upload.id, message=lost, limits=self._limits))
                    findings.repaired.append(f"upload {upload.id}: marked failed")
        findings.problems += await self._damaged()
        for orphan in await self.remove_orphans(dry_run=not repair, grace=0.0):
            findings.problems.append(orphan)
            if repair:
                findings.repaired.append(f"{orphan}: removed")
        await self._check_ledgers(findings, repair)
        return findings

    async def _damaged(self) -> list[str]:
        """Files and parts whose bytes are missing or short. Nothing can repair that but a backup."""
        open_places = {upload.place for upload in await self._state.open_uploads()}
        found = []
        for place, wanted in (await self._state.places()).items():
            if wanted and place not in open_places and ((size := await self._chunks.size(place)) or 0) < wanted:
                found.append(f"file {place}: {wanted} bytes should be there, {size or 0} are; restore it from a backup")
        return found

    async def _check_ledgers(self, findings: Findings, repair: bool) -> None:
        for id, (stored, counted) in (await self._state.recount()).items():
            whose = f"account {id!r}" if id else "disk space"
            findings.problems.append(
                f"{whose}: the ledger says {stored.used} used and {stored.promised} promised, "
                f"the rows say {counted.used} and {counted.promised}"
            )
            if repair:
                await self._state.apply(partial(changes.set_ledger, id=id, counted=counted))
                findings.repaired.append(f"{whose}: ledger set right")


EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def _seen(task: asyncio.Future[Upload]) -> None:
    if not task.cancelled():
        task.exception()
