"""Files: look, list, read, rename, delete. What uploads become."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from ..domain.account import Principal
from ..domain.errors import NotFound, StorageFailed
from ..domain.file import Blob, File, refuse_absent
from ..domain.values import evolve
from ..ports import ChunkStore, Now, Page, StateStore, Tx
from ..ports.settling import settled
from . import changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A file that may be read: its facts, and where its bytes are."""

    file: File
    place: str


class Library:
    """All that can be asked of files. One per server. Everything here raises NotFound for what is somebody else's."""

    def __init__(self, *, state: StateStore, chunks: ChunkStore, now: Now) -> None:
        self._state, self._chunks, self._now = state, chunks, now

    async def get(self, who: Principal, id: str) -> File:
        """Raises NotFound, Gone (deleted or expired)."""
        file = await self._state.file(id)
        if file is None or not who.may_touch(file.account):
            raise NotFound("there is no such file")
        refuse_absent(file, self._now())
        return file

    async def open(self, who: Principal, id: str) -> Opened:
        """A file to read from. Raises NotFound, Gone, StorageFailed."""
        file = await self.get(who, id)
        blob = await self._state.blob(file.blob)
        if blob is None:
            raise StorageFailed("the bytes of this file are missing")
        return Opened(file=file, place=blob.place)

    async def read(self, opened: Opened, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes `[start, end)`, in pieces. Takes no lock: bytes that stand never change.

        They may move once: equal bytes are stored once, as soon as that is known. Raises StorageFailed.
        """
        pieces = self._chunks.stream(opened.place, start, end)
        try:
            first = await anext(pieces)
        except StorageFailed:
            moved = await self._blob(opened.file.id)
            if moved is None or moved.place == opened.place:
                raise
            pieces = self._chunks.stream(moved.place, start, end)
            first = await anext(pieces)
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    async def _blob(self, file: str) -> Blob | None:
        found = await self._state.file(file)
        return None if found is None else await self._state.blob(found.blob)

    async def list(self, who: Principal, page: Page) -> tuple[list[File], int]:
        """A page of the account's files, and how many there are."""
        return await self._state.list_files(who.account, page, self._now())

    async def rename(self, who: Principal, id: str, name: str) -> File:
        """Give a file another name; it is data only, no path is made of it."""
        await self.get(who, id)
        return await self._state.apply(partial(_rename, id=id, name=name))

    async def delete(self, who: Principal, id: str) -> None:
        """Delete a file; its bytes go when no other file shares them. Raises NotFound, Gone."""
        await self.get(who, id)
        await settled(self._remove(partial(_delete, id=id)))

    async def expire(self, id: str) -> bool:
        """Delete a file whose time is up; whether it was."""
        return await settled(self._remove(partial(_expire, id=id)))

    async def _remove(self, change: Callable[[Tx], tuple[str, ...] | None]) -> bool:
        """Commit, then remove what is garbage by that; a cancellation between the two would leave it for ever."""
        garbage = await self._state.apply(change, frees=True)
        for place in garbage or ():
            await self._chunks.remove(place)
        return garbage is not None


def _standing(tx: Tx, id: str) -> File:
    file = tx.file(id)
    if file is None:
        raise NotFound("there is no such file")
    refuse_absent(file, tx.now)
    return file


def _rename(tx: Tx, id: str, name: str) -> File:
    renamed = evolve(_standing(tx, id), name=name, updated_at=tx.now)
    tx.save_file(renamed)
    return renamed


def _delete(tx: Tx, id: str) -> tuple[str, ...]:
    return changes.delete_file(tx, _standing(tx, id))


def _expire(tx: Tx, id: str) -> tuple[str, ...] | None:
    file = tx.file(id)
    if file is None or file.deleted_at is not None or file.expires_at is None or file.expires_at > tx.now:
        return None
    return changes.delete_file(tx, file)
