"""Commits that fail: nothing is acknowledged that is not kept, nothing is charged twice, and the client can go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from rig import ANN, BOB, HOUR, Rig, Script, settles, sha256

from tusdrive.domain.errors import ChunkExists, NotFound, OffsetMismatch, StorageFailed
from tusdrive.domain.requests import NewUpload
from tusdrive.domain.upload import Kind, State
from tusdrive.ports import End

DATA = bytes(range(256)) * 1000  # four steps of 64 KiB, less a little
T = TypeVar("T")
Scenario = Callable[[Rig], Awaitable[None]]


async def _retry(ask: Callable[..., Awaitable[T]], *args: Any, **more: Any) -> T:
    """As a client does: once more after an answer of 5xx."""
    try:
        return await ask(*args, **more)
    except StorageFailed:
        return await ask(*args, **more)


async def _finish(rig: Rig, id: str, data: bytes, **more: Any) -> None:
    """Go on from where the upload stands until it is finished."""
    while (upload := await rig.get(id)).state is not State.COMPLETED:
        try:
            await rig.append(id, upload.offset, Script(data[upload.offset :]), **more)
        except StorageFailed:
            continue


async def appends(rig: Rig) -> None:
    id = await _retry(rig.create, len(DATA))
    await _finish(rig, id, DATA)
    assert await rig.file_bytes((await rig.get(id)).file_id) == DATA


async def appends_without_length(rig: Rig) -> None:
    id = await _retry(rig.create, None)
    while (upload := await rig.get(id)).offset < 200_000:
        try:
            await rig.append(id, upload.offset, Script(DATA[upload.offset : 200_000], End.ENDED))
        except StorageFailed:
            continue
    await _finish(rig, id, DATA, declares=len(DATA))
    assert await rig.file_bytes((await rig.get(id)).file_id) == DATA


async def chunks(rig: Rig) -> None:
    id = await _retry(rig.rest, DATA, 100_000)
    for index in (2, 0, 1):
        await _retry(rig.chunk, id, index, DATA[100_000 * index :][:100_000])
    await _retry(rig.uploads.complete, ANN, id)
    done = await settles(rig, id, State.COMPLETED)
    assert await rig.file_bytes(done.file_id) == DATA


async def finals(rig: Rig) -> None:
    parts = [await _retry(rig.create, 3, kind=Kind.PARTIAL) for _ in range(2)]
    await _finish(rig, parts[0], b"one")
    created = await _retry(rig.uploads.create, ANN, NewUpload(kind=Kind.FINAL, parts=tuple(parts)))
    assert created.upload is not None
    await _finish(rig, parts[1], b"two")
    await _retry(rig.upkeep.recover)
    done = await settles(rig, created.upload.id, State.COMPLETED, State.FAILED)
    if done.state is State.COMPLETED:
        assert await rig.file_bytes(done.file_id) == b"onetwo"
    else:  # the parts are still there to be joined again
        again = await rig.uploads.create(ANN, NewUpload(kind=Kind.FINAL, parts=tuple(parts)))
        assert again.upload is not None
        assert await rig.file_bytes(again.upload.file_id) == b"onetwo"


async def endings(rig: Rig) -> None:
    cancelled, expired = [await _retry(rig.create, 10) for _ in range(2)]
    for id in (cancelled, expired):
        await _retry(rig.append, id, 0, b"abc")
    await _retry(rig.uploads.cancel, ANN, cancelled, finished_too=True)
    rig.clock.leap(2 * HOUR)
    await _retry(rig.upkeep.sweep)
    assert (await rig.get(cancelled)).state is State.CANCELLED
    assert (await rig.get(expired)).state is State.EXPIRED


async def shared_bytes(rig: Rig) -> None:
    files = []
    for who in (ANN, BOB):
        id = await _retry(rig.create, 3, who)
        while (upload := await rig.get(id)).state is not State.COMPLETED:
            await _retry(rig.append, id, 0, b"abc", who)
        files.append((who, upload.file_id or ""))
    await _retry(rig.upkeep.hash_some)
    await _retry(rig.upkeep.hash_some)
    for who, file in files:
        assert await rig.file_bytes(file, who) == b"abc"
        await _retry(rig.library.delete, who, file)


@pytest.mark.parametrize("scenario", [appends, appends_without_length, chunks, finals, endings, shared_bytes])
@pytest.mark.parametrize("number", range(16))
async def test_a_change_that_fails_can_be_asked_for_again(rig: Rig, scenario: Scenario, number: int) -> None:
    rig.state.fail_at = number
    await scenario(rig)
    assert await rig.drift() == {}
    assert [problem for problem in await rig.problems() if "no row knows it" not in problem] == []
    await rig.free_of_locks(*[upload.id for upload in await rig.state.open_uploads()])


async def test_every_change_of_the_scenarios_was_made_to_fail(rig: Rig) -> None:
    counts = []
    for scenario in (appends, appends_without_length, chunks, finals, endings, shared_bytes):
        before = rig.state.count
        await scenario(rig)
        counts.append(rig.state.count - before)
    assert max(counts) <= 16


async def test_an_append_whose_commit_failed_is_not_acknowledged(rig: Rig) -> None:
    id = await rig.create(len(DATA))
    rig.state.fail_at = rig.state.count + 2
    with pytest.raises(StorageFailed):
        await rig.append(id, 0, DATA)
    upload = await rig.get(id)
    assert upload.offset == 128 * 1024
    assert rig.on_disk(upload) == DATA[: 128 * 1024]
    with pytest.raises(OffsetMismatch):
        await rig.append(id, 192 * 1024, DATA[192 * 1024 :])


async def test_a_chunk_whose_commit_failed_did_not_arrive(rig: Rig) -> None:
    id = await rig.rest(b"0123456789", 4)
    rig.state.fail_at = rig.state.count
    with pytest.raises(StorageFailed):
        await rig.chunk(id, 0, b"!!!!")
    assert (await rig.chunk(id, 0, b"0123")).offset == 4
    with pytest.raises(ChunkExists):
        await rig.chunk(id, 0, b"0123")


async def test_a_creation_that_failed_made_nothing(rig: Rig) -> None:
    rig.state.fail_at = rig.state.count
    with pytest.raises(StorageFailed):
        await rig.create(100)
    with pytest.raises(NotFound):
        await rig.get(f"{1:032x}")
    assert (await rig.state.account("ann")).promised == 0
    assert await rig.state.events("ann", 0, 10) == []


async def test_a_verification_whose_end_failed_is_taken_up_by_who_asks_again(rig: Rig) -> None:
    id = await rig.rest(b"abc", 4, hash=sha256(b"abc"))
    await rig.chunk(id, 0, b"abc")
    rig.state.fail_at = rig.state.count + 1
    with pytest.raises(StorageFailed):
        await rig.uploads.complete(ANN, id)
    assert (await rig.get(id)).state is State.VERIFYING
    assert (await rig.uploads.complete(ANN, id)).state is State.COMPLETED
    assert await rig.drift() == {}


async def test_a_part_that_is_done_when_the_state_fails_does_not_leave_its_final_waiting_for_ever(rig: Rig) -> None:
    one = await rig.create(3, kind=Kind.PARTIAL)
    created = await rig.uploads.create(ANN, NewUpload(kind=Kind.FINAL, parts=(one,)))
    assert created.upload is not None
    rig.state.fail_at = rig.state.count + 1  # the part's last bytes are kept; looking for its finals fails
    with pytest.raises(StorageFailed):
        await rig.append(one, 0, b"one")
    assert (await rig.get(one)).state is State.COMPLETED
    await rig.append(one, 3, b"")  # a client that asks again, as after a lost answer
    await rig.upkeep.sweep()
    done = await settles(rig, created.upload.id, State.COMPLETED)
    assert await rig.file_bytes(done.file_id) == b"one"
