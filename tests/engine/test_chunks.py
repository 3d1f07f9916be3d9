"""Chunks: exact lengths, any order, in parallel, and what a repeat is told."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from rig import ANN, Rig, Script, until

from tusdrive.domain.errors import (
    BodyTimeout,
    ChunkExists,
    ChunkOutOfRange,
    Incomplete,
    Interrupted,
    MissingChunks,
    SizeExceeded,
    WrongState,
)
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import State
from tusdrive.ports import End

DATA = b"0123456789"  # three chunks of 4: 4, 4 and 2 bytes


def _chunk(index: int) -> bytes:
    return DATA[4 * index : 4 * index + 4]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_chunks_come_in_any_order(rig: Rig, order: tuple[int, ...]) -> None:
    id = await rig.rest(DATA, 4)
    for index in order:
        await rig.chunk(id, index, _chunk(index))
    done = await rig.uploads.complete(ANN, id)
    assert await rig.file_bytes(done.file_id) == DATA


async def test_chunks_come_in_parallel(rig: Rig) -> None:
    data = bytes(range(256)) * 40
    id = await rig.rest(data, 100)
    chunks = [rig.chunk(id, index, data[100 * index : 100 * index + 100]) for index in range(103)]
    await asyncio.gather(*chunks)
    done = await rig.uploads.complete(ANN, id)
    assert await rig.file_bytes(done.file_id) == data
    assert await rig.drift() == {}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (Script(b"012", length=3), ChunkOutOfRange),
        (Script(b"01234", length=5), SizeExceeded),
        (Script(length=0), ChunkOutOfRange),
        (Script(b"012"), ChunkOutOfRange),
        (Script(b"0123", b"4"), SizeExceeded),
        (Script(b"012", End.CUT, length=4), Incomplete),
        (Script(b"012", End.SLOW, length=4), BodyTimeout),
        (Script(b"012", End.STOPPED, length=4), Interrupted),
    ],
)
async def test_a_chunk_that_is_not_exact_did_not_arrive(rig: Rig, body: Script, error: type[Exception]) -> None:
    id = await rig.rest(DATA, 4)
    with pytest.raises(error):
        await rig.chunk(id, 1, body)
    assert (await rig.get(id)).received == Ranges()
    assert (await rig.chunk(id, 1, b"4567")).received == Ranges(0, ((4, 8),))


@pytest.mark.parametrize("index", [3, 4, 10**15])
async def test_there_is_no_chunk_past_the_last(rig: Rig, index: int) -> None:
    id = await rig.rest(DATA, 4)
    with pytest.raises(ChunkOutOfRange):
        await rig.chunk(id, index, b"0123")


async def test_an_upload_without_length_has_no_chunks(rig: Rig) -> None:
    id = await rig.create(None)
    with pytest.raises(WrongState):
        await rig.chunk(id, 0, b"0123")


@pytest.mark.parametrize(("again", "identical"), [(b"4567", True), (b"4568", False), (b"!567", False)])
@pytest.mark.parametrize("finished", [False, True])
async def test_a_repeat_says_whether_it_is_the_same(rig: Rig, again: bytes, identical: bool, finished: bool) -> None:
    id = await rig.rest(DATA, 4)
    for index in range(3) if finished else (1,):
        await rig.chunk(id, index, _chunk(index))
    if finished:
        await rig.uploads.complete(ANN, id)
    before = await rig.get(id)
    with pytest.raises(ChunkExists) as caught:
        await rig.chunk(id, 1, again)
    assert caught.value.details["identical"] is identical
    assert caught.value.details["chunkIndex"] == 1
    assert await rig.get(id) == before
    for index in () if finished else (0, 2):
        await rig.chunk(id, index, _chunk(index))
    assert await rig.file_bytes((await rig.uploads.complete(ANN, id)).file_id) == DATA


async def test_a_repeat_after_the_bytes_went_to_a_shared_blob_is_compared_with_that(rig: Rig) -> None:
    first, second = [await rig.rest(DATA, 4) for _ in range(2)]
    for id in (first, second):
        for index in range(3):
            await rig.chunk(id, index, _chunk(index))
        await rig.uploads.complete(ANN, id)
    assert len(rig.files()) == 1
    for id in (first, second):
        with pytest.raises(ChunkExists) as caught:
            await rig.chunk(id, 0, b"0123")
        assert caught.value.details["identical"] is True


async def test_half_a_chunk_that_an_append_brought_is_compared_and_the_rest_written(rig: Rig) -> None:
    id = await rig.rest(DATA, 4)
    await rig.append(id, 0, b"012345")
    with pytest.raises(ChunkExists) as caught:
        await rig.chunk(id, 1, b"4!67")
    assert caught.value.details["identical"] is False
    assert (await rig.get(id)).received == Ranges(6)
    assert (await rig.chunk(id, 1, b"4567")).received == Ranges(8)


async def test_two_writers_of_one_chunk_take_turns(rig: Rig) -> None:
    id = await rig.rest(DATA, 4)
    slow = Script(b"01", asyncio.Event(), b"23", length=4)
    hanging = asyncio.create_task(rig.chunk(id, 0, slow))

    async def begun() -> bool:
        return slow.taken == 2

    await until(begun)
    others = [rig.chunk(id, index, _chunk(index)) for index in (1, 2)]
    await asyncio.gather(*others)
    assert not hanging.done()
    assert (await rig.chunk(id, 0, b"0123")).is_whole
    with pytest.raises(Interrupted):
        await hanging


async def test_completion_with_chunks_missing_names_them_and_loses_nothing(rig: Rig) -> None:
    data = bytes(100)
    id = await rig.rest(data, 10)
    for index in (0, 3, 4, 9):
        await rig.chunk(id, index, data[:10])
    before = await rig.get(id)
    with pytest.raises(MissingChunks) as caught:
        await rig.uploads.complete(ANN, id)
    assert caught.value.details == {"missingChunks": [[1, 2], [5, 8]], "missingBytes": 60, "taskId": id}
    assert await rig.get(id) == before


async def test_a_chunk_may_finish_an_upload_that_finishes_by_itself(rig: Rig) -> None:
    id = await rig.create(10, chunk_size=4)
    for index in (2, 0, 1):
        upload = await rig.chunk(id, index, _chunk(index))
    assert upload.state is State.COMPLETED
    assert await rig.file_bytes(upload.file_id) == DATA


async def test_an_append_may_finish_an_upload_of_chunks(rig: Rig) -> None:
    id = await rig.rest(DATA, 4)
    await rig.chunk(id, 2, _chunk(2))
    done = await rig.append(id, 0, DATA)
    assert done.state is State.COMPLETED
    assert (await rig.library.get(ANN, done.file_id or "")).sha256 is not None
