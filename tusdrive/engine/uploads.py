"""Uploads: create, append, put a chunk, complete, look, cancel. The order of work, the same for every protocol.

A request that is refused changes nothing; bytes are acknowledged only when their commit came back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..domain.account import Principal
from ..domain.checksum import FileHash
from ..domain.errors import (
    Invalid,
    NotFound,
    SizeExceeded,
    WrongState,
)
from ..domain.file import File, refuse_absent
from ..domain.requests import NewUpload
from ..domain.upload import (
    Kind,
    Limits,
    State,
    Upload,
    check_size,
    chunks_for,
    is_expired,
    refuse_gone,
)
from ..domain.values import evolve
from ..ports import ChunkStore, Locks, NewId, Now, Page, Sort, StateStore, Stats, Tx
from ..ports.settling import settled
from . import changes
from .assembly import Assembly
from .verify import Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What came of a wish for an upload: the upload, or the caller's own file that has the same bytes already."""

    upload: Upload | None = None
    existing: File | None = None


class Uploads:
    """All that can be asked of uploads. One per server."""

    def __init__(
        self,
        *,
        state: StateStore,
        chunks: ChunkStore,
        locks: Locks,
        verification: Verification,
        assembly: Assembly,
        limits: Limits,
        now: Now,
        new_id: NewId,
        default_pool: str | None = None,
    ) -> None:
        self._state, self._chunks, self._locks = state, chunks, locks
        self._verification, self._assembly = verification, assembly
        self._limits, self._now, self._new_id, self._default_pool = limits, now, new_id, default_pool

    # ------------------------------------------------------------------------------------------ looking

    async def get(self, who: Principal, id: str) -> Upload:
        """The upload as it was last committed. Raises NotFound, also for what belongs to somebody else."""
        upload = await self._state.upload(id)
        if upload is None or not (who.may_touch(upload.account) or who.upload == id):
            raise NotFound("there is no such upload")
        return upload

    async def settle(self, who: Principal, id: str) -> Upload:
        """The upload once nobody writes to it: a hanging request is asked to let go first, its bytes kept."""
        await self.get(who, id)
        async with self._locks.exclusive(id):
            return await self.get(who, id)

    async def list(
        self, who: Principal, states: frozenset[State] | None, page: Page
    ) -> tuple[list[Upload], int]:
        """A page of the account's uploads, and how many there are."""
        return await self._state.list_uploads(who.account, states, page)

    async def stats(self, who: Principal) -> Stats:
        """The account's uploads in numbers."""
        return await self._state.stats(who.account)

    async def file_of(self, upload: Upload) -> File:
        """What a finished upload became. Raises WrongState before that, Gone when it was deleted or expired."""
        refuse_gone(upload)
        file = await self._state.file(upload.file_id) if upload.file_id else None
        if file is None:
            raise WrongState(f"the upload is {upload.state.value}, there is no file yet", state=upload.state.value)
        refuse_absent(file, self._now())
        return file

    # ------------------------------------------------------------------------------------------ creating

    async def create(self, who: Principal, new: NewUpload, size: int | None = 0) -> Created:
        """Make an upload. `size` is the length of the body that comes with it, None when unknown.

        Raises TooLarge, SizeExceeded, QuotaExceeded, StorageFull, InvalidConcat, Invalid; then nothing was made.
        """
        upload = self._fresh(who.account, new)
        if new.length is not None and size is not None and size > new.length:
            raise SizeExceeded(remaining=new.length, requested=size)
        if new.kind is Kind.FINAL:
            return Created(upload=await self._assembly.create(upload))
        free = await self._chunks.free()
        change = partial(changes.start, upload=upload, limits=self._limits, free=free, new_id=self._new_id)
        if new.hash is None or upload.auto_finish:
            return Created(upload=await self._state.apply(change))
        return await self._state.apply(partial(_find_or, upload=upload, start=change))

    def _fresh(self, account: str, new: NewUpload) -> Upload:
        now, id = self._now(), self._new_id()
        if new.length is not None:
            check_size(new.length, self._limits)
        hour = time.strftime("%Y%m%d%H", time.gmtime(now // 1_000_000))
        expire = self._limits.expire_after
        return Upload(
            id=id, account=account, place=f"{hour}/{id}", kind=new.kind, length=new.length, reserved=new.length or 0,
            auto_finish=new.auto_finish, file_name=new.file_name, content_type=new.content_type,
            metadata=new.metadata, chunk_size=self._chunk_size(new), hash=new.hash, bundle=new.bundle,
            pool=new.pool or self._default_pool,
            parts=new.parts, concat=new.concat, file_expires_at=new.file_expires_at,
            expires_at=now + expire if expire is not None else None, created_at=now, updated_at=now, active_at=now,
        )

    def _chunk_size(self, new: NewUpload) -> int:
        limits = self._limits
        size = new.chunk_size if new.chunk_size is not None else limits.default_chunk_size
        if new.chunk_size is not None and not limits.min_chunk_size <= size <= limits.max_chunk_size:
            raise Invalid(
                f"chunkSize must be {limits.min_chunk_size} to {limits.max_chunk_size} bytes",
                field="chunkSize", min=limits.min_chunk_size, max=limits.max_chunk_size,
            )
        if new.chunk_size is not None and chunks_for(new.length or 0, size) > limits.max_chunks:
            raise Invalid(f"that makes more than {limits.max_chunks} chunks; take larger ones", field="chunkSize")
        while chunks_for(new.length or 0, size) > limits.max_chunks:
            size *= 2
        return size

    # ------------------------------------------------------------------------------------------ ending

    async def complete(self, who: Principal, id: str, corrected: FileHash | None = None) -> Upload:
        """Make a file of an upload whose bytes all arrived. Asked for again, it gives the same answer.

        Raises MissingChunks, HashMismatch (nothing is lost either way), Gone, WrongState.
        """
        await self.get(who, id)
        ended = await self._state.apply(
            partial(
                changes.begin_verify, id=id, limits=self._limits, new_id=self._new_id,
                correct=lambda upload: evolve(upload, hash=corrected) if corrected else upload,
            )
        )
        return await self._verification.result(ended.upload) if ended.upload.state is State.VERIFYING else ended.upload

    async def cancel(self, who: Principal, id: str, *, finished_too: bool) -> Upload:
        """End an upload and free its bytes; whoever writes to it is asked to stop first.

        Raises NotFound, Gone, WrongState, and Conflict for a finished one unless `finished_too`.
        """
        upload = await self.get(who, id)
        if who.upload is not None and upload.state is State.COMPLETED:
            raise NotFound("there is no such upload")
        async with self._locks.exclusive(id):
            change = partial(changes.cancel, id=id, limits=self._limits, finished_too=finished_too)
            ended = await settled(self._end(change))
        assert ended is not None, "only expiry may find that there is nothing to do"
        return ended.upload

    async def expire(self, id: str) -> Upload | None:
        """Remove an upload whose time is up; None when it is not, or somebody is writing to it."""
        if self._locks.held(id):
            return None
        async with self._locks.exclusive(id):
            ended = await settled(
                self._end(partial(changes.expire, id=id, limits=self._limits, is_due=is_expired))
            )
        return None if ended is None else ended.upload

    async def _end(self, change: Callable[[Tx], changes.Ended | None]) -> changes.Ended | None:
        """Commit, then remove what is garbage by that; a cancellation between the two would leave it for ever."""
        ended = await self._state.apply(change, frees=True)
        for place in ended.garbage if ended is not None else ():
            await self._chunks.remove(place)
        return ended

    async def clean_up(self, who: Principal) -> int:
        """Forget the account's failed and expired uploads; how many."""
        page = Page(sort=Sort.CREATED, limit=10_000)
        ended, _ = await self._state.list_uploads(who.account, frozenset({State.FAILED, State.EXPIRED}), page)
        return await self._state.apply(partial(changes.forget, ids=[upload.id for upload in ended]), frees=True)


def _find_or(tx: Tx, upload: Upload, start: Callable[[Tx], Upload]) -> Created:
    """The caller's own file with the declared hash, or a new upload."""
    wanted = upload.hash
    if wanted is not None and upload.length is not None:
        file = tx.file_by_hash(upload.account, wanted.algorithm, wanted.hex, upload.length, tx.now)
        if file is not None:
            return Created(existing=file)
    return Created(upload=start(tx))
