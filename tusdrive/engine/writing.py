"""Bytes into uploads: append at the end of the prefix, or put one chunk. The same for every protocol.

Bytes are acknowledged only when their commit came back; a request that is refused changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ..domain.account import Principal
from ..domain.errors import Busy, BytesDiffer, ChunkExists, ChunkOutOfRange, Gone, OffsetMismatch, SizeExceeded
from ..domain.grants import ChunkGrant, Grant, grant_append, grant_chunk
from ..domain.requests import Append
from ..domain.upload import Kind, Limits, State, Upload
from ..ports import Body, ChunkFile, ChunkStore, End, Locks, NewId, StateStore, Stop
from ..ports.settling import settled
from . import changes
from .assembly import Assembly
from .pump import Progress, Verifier, pump, raise_for
from .stops import AnyStop
from .verify import Verification

SMALL = 64 * 1024
"""Bytes of a body that is worth a look whether it is here already."""

Get = Callable[[Principal, str], Awaitable[Upload]]


class Writing:
    """Bytes into uploads. One per server."""

    def __init__(
        self,
        *,
        get: Get,
        state: StateStore,
        chunks: ChunkStore,
        locks: Locks,
        verification: Verification,
        assembly: Assembly,
        limits: Limits,
        new_id: NewId,
        step: int = 8 * 1024 * 1024,
    ) -> None:
        self._get, self._state, self._chunks, self._locks = get, state, chunks, locks
        self._verification, self._assembly = verification, assembly
        self._limits, self._new_id, self._step = limits, new_id, step

    async def append(self, who: Principal, id: str, ask: Append, body: Body) -> Upload:
        """Put a body at the end of the prefix; the upload as it is after that.

        What arrived is kept and committed whatever ends the body, except under a checksum, where a request counts
        whole or not at all. Raises what grant_append raises, ChecksumMismatch, Interrupted, Incomplete, BodyTimeout,
        SizeExceeded, HashMismatch, QuotaExceeded, StorageFull, Locked.
        """
        if self._locks.held(id):  # what is refused anyway disturbs nobody
            with suppress(OffsetMismatch):  # whoever hangs there may have brought the bytes up to there
                grant_append(await self._get(who, id), **self._asked(ask, body))
        async with self._locks.exclusive(id) as lock:
            upload = await self._get(who, id)
            grant = grant_append(upload, **self._asked(ask, body))
            upload = await self._take(upload, grant, ask, body, lock.stop)
        return await self._conclude(upload)

    async def _take(self, upload: Upload, grant: Grant, ask: Append, body: Body, stop: Stop) -> Upload:
        if upload.state is State.COMPLETED:
            return await self._nothing_more(upload, ask, body, stop)
        try:
            upload = await self._room(upload, grant, body)
            return await self._fill(upload, grant, ask, body, stop)
        except BaseException:
            if upload.length is None:
                await settled(self._state.apply(partial(changes.unreserve, id=upload.id, limits=self._limits)))
            raise

    def _asked(self, ask: Append, body: Body) -> dict[str, Any]:
        return {"offset": ask.offset, "size": body.length, "declares": ask.declares, "limits": self._limits}

    async def _nothing_more(self, upload: Upload, ask: Append, body: Body, stop: Stop) -> Upload:
        await self._place(upload)
        _, end = await body.read(1, stop=stop)
        if end is None:
            raise SizeExceeded(remaining=0)
        if ask.checksum is not None:
            Verifier(ask.checksum).verify()
        return upload

    async def _room(self, upload: Upload, grant: Grant, body: Body) -> Upload:
        """Promise room to an upload that was created without a length, as far as its next bytes are known."""
        if upload.length is not None:
            return upload
        coming = self._step if body.length is None else body.length
        upto = grant.length if grant.length is not None else grant.start + coming
        return await self._reserve(upload.id, upto)

    async def _reserve(self, id: str, upto: int) -> Upload:
        free = await self._chunks.free()
        return await self._state.apply(partial(changes.reserve, id=id, upto=upto, limits=self._limits, free=free))

    async def _fill(self, upload: Upload, grant: Grant, ask: Append, body: Body, stop: Stop) -> Upload:
        verifier = Verifier(ask.checksum) if ask.checksum else None
        file = self._chunks.writer(upload.place, expected=grant.length)
        at = Progress(grant.start)

        async def commit(at: Progress) -> None:
            nonlocal upload
            over = at.end not in (End.PAUSE, End.LIMIT)
            last_word = over and (upload.length is None or upload.is_whole)
            if at.position <= upload.offset and not last_word:  # nothing new, or an island had brought it already
                return
            written = changes.Written(
                id=upload.id, start=upload.offset, end=max(at.position, upload.offset), allocated=file.allocated,
                length=grant.length if over else None, append=True, last=over, finish=over,
            )
            upload = await self._write(written)
            if upload.length is None and grant.length is None and not over:
                await self._reserve(upload.id, at.position + self._step)

        try:
            if await self._pour(upload, grant, verifier, body, file, at):
                await commit(at)
                return upload
            await pump(
                body, file, upload.received, at, grant.limit, stop=stop, tap=verifier.update if verifier else None,
                step=None if verifier else self._step, commit=None if verifier else commit,
            )
            if verifier is not None:
                raise_for(at.end, limited=grant.length is not None)
                verifier.verify()
                await commit(at)
        finally:
            await file.close()
        raise_for(at.end, limited=grant.length is not None)
        return upload

    async def _pour(
        self, upload: Upload, grant: Grant, verifier: Verifier | None, body: Body, file: ChunkFile, at: Progress
    ) -> bool:
        """A small body that is here already, and is what it should be, in one go; False when it is not like that."""
        piece = None if upload.received.islands else await body.whole(SMALL)
        if not piece or (grant.limit is not None and at.position + len(piece) > grant.limit):
            return False
        if verifier is not None:
            verifier.update(piece)
            verifier.verify()
        at.position += await file.write(at.position, [piece], sync=True)
        at.end = End.ENDED
        return True

    async def _write(self, written: changes.Written) -> Upload:
        change = partial(changes.write, written=written, limits=self._limits, new_id=self._new_id)
        return await self._state.apply(change)

    async def _conclude(self, upload: Upload) -> Upload:
        """What follows when a request made an upload whole."""
        if upload.state is State.VERIFYING:
            return await self._verification.result(upload)
        if upload.kind is Kind.PARTIAL and upload.state is State.COMPLETED:
            await self._assembly.part_done(upload.id)
        return upload

    async def put_chunk(self, who: Principal, id: str, index: int, body: Body) -> Upload:
        """Put chunk `index`, whose body must have exactly its length. In any order, in parallel.

        Raises what grant_chunk raises; ChunkExists with `identical` when it is there already; Interrupted,
        Incomplete, BodyTimeout; then the chunk did not arrive.
        """
        grant_chunk(await self._get(who, id), index, body.length)
        async with self._locks.shared(id) as outer, self._locks.exclusive(f"{id}/{index}") as inner:
            upload = await self._get(who, id)
            grant = grant_chunk(upload, index, body.length)
            upload = await self._put(upload, index, grant, body, AnyStop(outer.stop, inner.stop))
        return await self._conclude(upload)

    async def _put(self, upload: Upload, index: int, grant: ChunkGrant, body: Body, stop: Stop) -> Upload:
        place = await self._place(upload)
        file = self._chunks.writer(place, expected=upload.length)
        at = Progress(grant.start)
        try:
            await pump(body, file, upload.received, at, grant.end, stop=stop, tap=None, step=None, commit=None)
            if at.end is not End.ENDED:
                raise_for(at.end, limited=True)
            if at.position < grant.end:
                wanted, got = grant.end - grant.start, at.position - grant.start
                raise ChunkOutOfRange(
                    f"chunk {index} must have {wanted} bytes", chunkIndex=index, expected=wanted, received=got
                )
        except BytesDiffer as exc:
            if await self._place(upload) != place:
                raise Busy() from exc  # the bytes moved while they were compared
            raise ChunkExists(
                "the chunk is already there, with other bytes", chunkIndex=index, identical=False, **exc.details
            ) from exc
        finally:
            await file.close()
        if grant.repeat:
            raise ChunkExists("the chunk is already there, with the same bytes", chunkIndex=index, identical=True)
        return await self._write(
            changes.Written(
                id=upload.id, start=grant.start, end=grant.end, allocated=file.allocated, length=None,
                append=False, last=True, finish=upload.auto_finish,
            )
        )

    async def _place(self, upload: Upload) -> str:
        """Where its bytes are: a finished upload's may be shared with another one's."""
        if upload.file_id is None:
            return upload.place
        file = await self._state.file(upload.file_id)
        blob = await self._state.blob(file.blob) if file is not None and file.deleted_at is None else None
        if blob is None:
            raise Gone("the file of this upload was deleted")
        return blob.place
