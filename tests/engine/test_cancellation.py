"""Tasks that are cancelled at any point: the lock is not let go before what is under way is decided.

The disk and the database are slow here, and a commit that is under way is made whether its caller still waits or not,
as with a writer thread.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from rig import ANN, KIB, Clock, Rig, Script, running

from tusdrive.domain.account import Principal
from tusdrive.domain.errors import ChunkExists, TusdriveError
from tusdrive.domain.upload import State
from tusdrive.storage.files import FileChunks, Writer
from tusdrive.storage.inode import Inode
from tusdrive.storage.memory import MemoryState
from tusdrive.storage.sqlite import SqliteState

SLOW = 0.003  # seconds


class SlowInode(Inode):
    """A file whose writes take their time, in their thread."""

    __slots__ = ()

    def write(self, position: int, pieces: Sequence[bytes | memoryview], size: int) -> None:
        time.sleep(SLOW)
        super().write(position, pieces, size)


class SlowChunks(FileChunks):
    def writer(self, place: str, *, expected: int | None) -> Writer:
        if place not in self._inodes:
            path, hour = self._locate(place)
            self._inodes[place] = SlowInode(path, hour, self._disk)
        return super().writer(place, expected=expected)


@pytest.fixture(params=["memory", "sqlite"])
async def slow(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    def sqlite(clock: Clock) -> SqliteState:
        return SqliteState(tmp_path / "state.db", durability="durable", now=clock)

    chunks = SlowChunks(tmp_path, durability="durable", reserve=0, threads=4)
    store = MemoryState if request.param == "memory" else sqlite
    async with running(tmp_path, chunks, store, step=4 * KIB) as rig:
        async def wait(number: int) -> None:
            await asyncio.sleep(SLOW)

        rig.state.detached = True
        rig.state.before = rig.state.after = wait
        yield rig


def _letters(letter: str, size: int) -> bytes:
    return letter.encode() * size


async def _wait(dice: random.Random) -> None:
    """A few turns of the loop, or a few milliseconds."""
    if dice.random() < 0.3:
        for _ in range(dice.randrange(30)):
            await asyncio.sleep(0)
    else:
        await asyncio.sleep(dice.random() * 0.05)


@pytest.mark.parametrize("seed", range(4))
async def test_a_cancelled_writer_never_writes_over_what_the_next_one_was_told(slow: Rig, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(8):
        size = 16 * KIB
        id = await slow.create(size)
        told = {0: b""}
        holder = asyncio.create_task(slow.append(id, 0, Script(*[_letters("A", KIB)] * 16, length=size)))
        expected = b""
        for letter in "BCD":
            await _wait(dice)
            holder.cancel()
            upload = await slow.uploads.settle(ANN, id)
            last = chr(ord(letter) - 1)
            expected += _letters(last, upload.offset - len(expected))
            told[upload.offset] = expected
            if upload.state is State.COMPLETED:
                break
            rest = size - upload.offset
            holder = asyncio.create_task(
                slow.append(id, upload.offset, Script(*[_letters(letter, KIB)] * (rest // KIB), length=rest))
            )
        answer = (await asyncio.gather(holder, return_exceptions=True))[0]
        upload = await slow.get(id)
        expected += _letters(letter if upload.offset > len(expected) else "", upload.offset - len(expected))
        assert isinstance(answer, asyncio.CancelledError) or upload.state is State.COMPLETED
        got = await slow.file_bytes(upload.file_id) if upload.file_id else slow.on_disk(upload)
        assert got == expected
        for offset, prefix in told.items():
            assert got[:offset] == prefix
    assert await slow.drift() == {}


@pytest.mark.parametrize("seed", range(3))
async def test_a_cancelled_chunk_is_whole_or_not_there(slow: Rig, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(6):
        id = await slow.create(12 * KIB, auto_finish=False, chunk_size=4 * KIB)
        first = asyncio.create_task(slow.chunk(id, 1, Script(*[_letters("A", KIB)] * 4, length=4 * KIB)))
        await _wait(dice)
        first.cancel()
        (answer,) = await asyncio.gather(slow.chunk(id, 1, _letters("B", 4 * KIB)), return_exceptions=True)
        if isinstance(answer, ChunkExists):
            assert answer.details["identical"] is False
        letter = "A" if isinstance(answer, ChunkExists) else "B"
        await asyncio.gather(first, return_exceptions=True)
        for index in (0, 2):
            await slow.chunk(id, index, _letters(str(index), 4 * KIB))
        done = await slow.uploads.complete(ANN, id)
        expected = _letters("0", 4 * KIB) + _letters(letter, 4 * KIB) + _letters("2", 4 * KIB)
        assert await slow.file_bytes(done.file_id) == expected


@pytest.mark.parametrize("seed", range(3))
async def test_cancelling_anything_anywhere_leaves_books_and_locks_in_order(slow: Rig, seed: int) -> None:
    dice = random.Random(seed)
    ids = [await slow.create(8 * KIB, auto_finish=False, chunk_size=2 * KIB) for _ in range(3)]
    for _ in range(12):
        id = dice.choice(ids)
        offset = (await slow.get(id)).offset
        asks: list[Callable[[], Awaitable[object]]] = [
            partial(slow.create, None),
            partial(slow.append, id, offset, _letters("x", min(3 * KIB, 8 * KIB - offset))),
            partial(slow.chunk, id, dice.randrange(4), _letters("x", 2 * KIB)),
            partial(slow.uploads.complete, ANN, id),
            partial(slow.uploads.settle, ANN, id),
            partial(slow.uploads.cancel, ANN, id, finished_too=True),
            slow.upkeep.hash_some,
        ]
        weights = [1, 4, 6, 2, 2, 1, 1]
        tasks = [asyncio.ensure_future(ask()) for ask in dice.choices(asks, weights, k=4)]
        await _wait(dice)
        for task in dice.sample(tasks, 2):
            task.cancel()
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            assert not isinstance(answer, Exception) or isinstance(answer, TusdriveError), answer
        assert await slow.drift() == {}
    await slow.free_of_locks(*ids)
    for id in ids:
        upload = await slow.get(id)
        if upload.file_id and upload.state is State.COMPLETED:
            assert await slow.file_bytes(upload.file_id) == _letters("x", 8 * KIB)


async def test_a_capability_of_one_upload_waits_its_turn_as_its_owner_does(slow: Rig) -> None:
    id = await slow.create(8)
    holder = Principal(account="", upload=id)
    hanging = asyncio.create_task(slow.append(id, 0, Script(b"1234", asyncio.Event(), length=8)))
    await asyncio.sleep(0.02)
    assert (await slow.uploads.settle(holder, id)).offset == 4
    await asyncio.gather(hanging, return_exceptions=True)
    assert (await slow.append(id, 4, b"5678", holder)).state is State.COMPLETED
