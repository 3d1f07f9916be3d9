"""Joining parts into a final upload: at once when small, in the background when large or when parts are unfinished."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from ..domain.errors import TusdriveError
from ..domain.events import STEP
from ..domain.upload import GONE, Limits, State, Upload, check_size
from ..ports import ChunkStore, NewId, Source, StateStore
from ..ports.settling import settled
from . import changes, finals
from .running import Running

logger = logging.getLogger(__name__)

INLINE = 64 * 1024 * 1024
"""Bytes that are joined before the client is answered; more is joined afterwards."""


class Assembly:
    """The joins that are under way."""

    def __init__(self, *, state: StateStore, chunks: ChunkStore, limits: Limits, new_id: NewId) -> None:
        self._state, self._chunks, self._limits, self._new_id = state, chunks, limits, new_id
        self._running: Running[Upload] = Running(_log_failure)

    async def create(self, upload: Upload) -> Upload:
        """Make a final upload. Raises InvalidConcat, TooLarge, QuotaExceeded, StorageFull."""
        free = await self._chunks.free()
        change = partial(finals.start_final, upload=upload, limits=self._limits, free=free)
        final, ready = await self._state.apply(change)
        if not ready:
            return final
        task = self.begin(final)
        return final if (final.length or 0) > INLINE else await asyncio.shield(task)

    async def part_done(self, part: str) -> None:
        """A part is whole: begin the finals that waited for it alone."""
        for final in await self._state.apply(partial(finals.ready_finals, part=part)):
            self.begin(final)

    async def resume(self, final: Upload) -> None:
        """After a restart: begin anew if its parts are all whole."""
        for ready in await self._state.apply(partial(finals.ready_finals, part=final.parts[0])):
            if ready.id == final.id:
                self.begin(ready)

    def begin(self, final: Upload) -> asyncio.Task[Upload]:
        """Join in the background, unless that is under way."""
        return self._running.begin(final.id, partial(self._join, final))

    async def close(self) -> None:
        """Stop them. They begin again at the next start."""
        await self._running.close()

    async def _join(self, final: Upload) -> Upload:
        try:
            sources = await self._sources(final)
            size = sum(source.size for source in sources)
            check_size(size, self._limits)
            teller = _Teller(self, final, size)
            if size:
                await self._chunks.join(final.place, sources, teller)
            await teller.done()  # so that no progress is told after the end
            change = partial(finals.assemble, id=final.id, size=size, limits=self._limits, new_id=self._new_id)
            return (await self._state.apply(change)).upload
        except TusdriveError as exc:
            await settled(self._fail(final, exc))
            raise

    async def _sources(self, final: Upload) -> list[Source]:
        parts = await self._state.apply(lambda tx: [changes.require(tx, id) for id in final.parts])
        return [Source(part.place, part.length or 0) for part in parts if part.length]

    async def _fail(self, final: Upload, error: TusdriveError) -> None:
        current = await self._state.upload(final.id)
        if current is None or current.state is not State.ASSEMBLING:
            garbage: tuple[str, ...] = (final.place,) if current is None or current.state in GONE else ()
        else:
            change = partial(changes.fail, id=final.id, message=error.message, limits=self._limits)
            garbage = (await self._state.apply(change)).garbage
        for place in garbage:
            await self._chunks.remove(place)

    def tell(self, final: Upload, done: int) -> asyncio.Task[Upload | None]:
        change = partial(finals.joined_so_far, id=final.id, done=done, limits=self._limits)
        return asyncio.ensure_future(self._state.apply(change))


class _Teller:
    """Hears how many bytes a join has, and commits that every few percent."""

    def __init__(self, assembly: Assembly, final: Upload, size: int) -> None:
        self._assembly, self._final, self._size = assembly, final, size
        self._told = 0.0
        self._task: asyncio.Task[Upload | None] | None = None

    async def done(self) -> None:
        """Wait for what is being told. That it could not be told does not matter."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def __call__(self, done: int) -> None:
        percent = 100.0 * done / self._size
        if percent - self._told < STEP or done >= self._size or (self._task and not self._task.done()):
            return
        self._told = percent
        self._task = self._assembly.tell(self._final, done)
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())


def _log_failure(id: str, error: BaseException) -> None:
    logger.warning("upload could not be joined", extra={"action": "join_failed", "upload": id, "error": error})
