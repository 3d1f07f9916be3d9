"""Checking the declared hash of a whole upload against its bytes, once, however many ask."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial

from ..domain.errors import HashMismatch, NotFound, TusdriveError
from ..domain.upload import Limits, State, Upload, refuse_gone
from ..ports import ChunkStore, NewId, StateStore
from ..ports.settling import settled
from . import changes
from .running import Running


class Verification:
    """The verifications that are under way. They go on when their client leaves."""

    def __init__(self, *, state: StateStore, chunks: ChunkStore, limits: Limits, new_id: NewId) -> None:
        self._state, self._chunks, self._limits, self._new_id = state, chunks, limits, new_id
        self._running: Running[Upload] = Running()

    async def result(self, upload: Upload) -> Upload:
        """The finished upload. `upload` is VERIFYING. Raises HashMismatch; then it is ACTIVE again, nothing lost."""
        return await asyncio.shield(self._running.begin(upload.id, partial(self._verify, upload)))

    async def close(self) -> None:
        """Stop them. They begin again at the next start."""
        await self._running.close()

    async def _current(self, asked: Upload) -> Upload:
        """As it stands now: whoever asks as the last verification ends finds its outcome."""
        upload = await self._state.upload(asked.id)
        if upload is None:
            raise NotFound("there is no such upload")
        refuse_gone(upload)
        if upload.state is State.ACTIVE:
            raise HashMismatch(upload.error)
        return upload

    async def _verify(self, asked: Upload) -> Upload:
        upload = await self._current(asked)
        if upload.state is State.COMPLETED:
            return upload
        wanted = upload.hash
        assert wanted is not None, "only uploads with a declared hash are verified"
        try:
            digests = await self._digests(upload, sorted({"sha256", wanted.algorithm}))
            if digests[wanted.algorithm] != wanted.hex:
                raise HashMismatch(algorithm=wanted.algorithm, expected=wanted.hex, actual=digests[wanted.algorithm])
        except TusdriveError as exc:
            await self._state.apply(partial(changes.refute, id=upload.id, message=exc.message, limits=self._limits))
            raise
        return await settled(self._publish(upload, changes.Proof(sha256=digests["sha256"], md5=digests.get("md5"))))

    async def _publish(self, upload: Upload, proof: changes.Proof) -> Upload:
        change = partial(changes.end_verify, id=upload.id, proof=proof, new_id=self._new_id, limits=self._limits)
        ended = await self._state.apply(change)
        for place in ended.garbage:
            await self._chunks.remove(place)
        return ended.upload

    async def _digests(self, upload: Upload, algorithms: list[str]) -> dict[str, str]:
        if not upload.length:
            return {name: hashlib.new(name, usedforsecurity=False).hexdigest() for name in algorithms}
        return await self._chunks.digest(upload.place, upload.length, algorithms)
