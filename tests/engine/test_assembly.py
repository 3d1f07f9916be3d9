"""Final uploads: joined at once, later, in the background, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from rig import ANN, BOB, HOUR, Rig, running, settles, until

from tusdrive.domain.errors import (
    Conflict,
    Gone,
    InvalidConcat,
    ModifyFinal,
    QuotaExceeded,
    StorageFailed,
    TooLarge,
    TusdriveError,
)
from tusdrive.domain.requests import NewUpload
from tusdrive.domain.upload import Kind, Limits, State, Upload
from tusdrive.ports import Source
from tusdrive.storage.files import FileChunks


class Gated(FileChunks):
    """Files whose joining waits for a gate, or fails."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, durability="relaxed", reserve=0, threads=2)
        self.gate = asyncio.Event()
        self.error: TusdriveError | None = None
        self.joins = 0

    async def join(self, place: str, sources: Sequence[Source], progress: Callable[[int], None]) -> None:
        self.joins += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        await super().join(place, sources, progress)


async def part(rig: Rig, data: bytes, done: bool = True) -> str:
    id = await rig.create(len(data), kind=Kind.PARTIAL)
    if done and data:
        await rig.append(id, 0, data)
    return id


async def final(rig: Rig, *parts: str) -> Upload:
    created = await rig.uploads.create(ANN, NewUpload(kind=Kind.FINAL, parts=parts, concat="final;..."))
    assert created.upload is not None
    return created.upload


async def test_whole_parts_are_joined_at_once(rig: Rig) -> None:
    parts = [await part(rig, data) for data in (b"one ", b"", b"two ", b"three")]
    upload = await final(rig, *parts)
    assert (upload.state, upload.length, upload.offset) == (State.COMPLETED, 13, 13)
    assert await rig.file_bytes(upload.file_id) == b"one two three"
    account = await rig.state.account("ann")
    assert (account.used, account.promised) == (13, 13)  # the parts still hold theirs
    assert await rig.drift() == {}


async def test_a_part_may_be_used_twice_and_stays(rig: Rig) -> None:
    one, two = await part(rig, b"ab"), await part(rig, b"cd")
    first = await final(rig, one, two, one)
    second = await final(rig, two, one)
    assert await rig.file_bytes(first.file_id) == b"abcdab"
    assert await rig.file_bytes(second.file_id) == b"cdab"


async def test_empty_parts_make_an_empty_file(rig: Rig) -> None:
    upload = await final(rig, await part(rig, b""), await part(rig, b""))
    assert (upload.state, upload.length) == (State.COMPLETED, 0)
    assert await rig.file_bytes(upload.file_id) == b""


async def test_unfinished_parts_are_waited_for(rig: Rig) -> None:
    one, two = await part(rig, b"one ", done=False), await part(rig, b"two", done=False)
    upload = await final(rig, one, two)
    assert (upload.state, upload.length) == (State.ASSEMBLING, 7)
    await rig.append(two, 0, b"two")
    await asyncio.sleep(0.01)
    assert (await rig.get(upload.id)).state is State.ASSEMBLING
    await rig.append(one, 0, b"one ")
    done = await settles(rig, upload.id, State.COMPLETED)
    assert await rig.file_bytes(done.file_id) == b"one two"
    assert await rig.drift() == {}


async def test_parts_without_length_are_waited_for_too(rig: Rig) -> None:
    one = await rig.create(None, kind=Kind.PARTIAL)
    upload = await final(rig, one)
    assert (upload.state, upload.length) == (State.ASSEMBLING, None)
    await rig.append(one, 0, b"hello", declares=5)
    done = await settles(rig, upload.id, State.COMPLETED)
    assert (done.length, await rig.file_bytes(done.file_id)) == (5, b"hello")
    assert await rig.drift() == {}


async def test_the_parts_must_be_parts_and_the_callers_own(rig: Rig) -> None:
    own, other = await part(rig, b"a"), await rig.create(1, BOB, kind=Kind.PARTIAL)
    plain, gone = await rig.create(1), await part(rig, b"b")
    await rig.uploads.cancel(ANN, gone, finished_too=True)
    for wrong in (other, plain, gone, "0" * 32):
        with pytest.raises(InvalidConcat) as caught:
            await final(rig, own, wrong)
        assert caught.value.details == {"part": wrong}
    assert await rig.drift() == {}


async def test_a_final_upload_takes_no_bytes(rig: Rig) -> None:
    upload = await final(rig, await part(rig, b"ab", done=False))
    with pytest.raises(ModifyFinal):
        await rig.append(upload.id, 0, b"x")
    with pytest.raises(ModifyFinal):
        await rig.chunk(upload.id, 0, b"x")


async def test_a_final_upload_counts_against_size_and_quota(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(max_size=6, quota=10)) as rig:
        one, two = await part(rig, b"abcd"), await part(rig, b"ef", done=False)
        with pytest.raises(TooLarge):
            await final(rig, one, one)
        with pytest.raises(QuotaExceeded):
            await final(rig, one, two)
        assert await rig.drift() == {}


async def test_a_final_upload_that_turns_out_too_large_fails(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(max_size=6)) as rig:
        one, two = await rig.create(None, kind=Kind.PARTIAL), await part(rig, b"abcd")
        upload = await final(rig, one, two)
        await rig.append(one, 0, b"123", declares=3)
        failed = await settles(rig, upload.id, State.FAILED)
        assert failed.error == "the largest upload taken is 6 bytes"
        assert await rig.drift() == {}


@pytest.mark.parametrize("end", ["cancel", "expire"])
async def test_a_final_upload_fails_when_a_part_goes(rig: Rig, end: str) -> None:
    one, two = await part(rig, b"one ", done=False), await part(rig, b"two")
    upload = await final(rig, one, two)
    if end == "cancel":
        await rig.uploads.cancel(ANN, two, finished_too=True)
    else:
        rig.clock.leap(2 * HOUR)
        await rig.uploads.expire(two)
    failed = await rig.get(upload.id)
    assert (failed.state, failed.error) == (State.FAILED, f"its part {two} is gone")
    events = await rig.state.events("ann", 0, 100)
    assert [event.type for event in events] == ["task.created", "upload.failed"]
    assert await rig.drift() == {}


async def test_a_part_that_goes_while_it_is_joined_fails_the_final_and_leaves_nothing(tmp_path: Path) -> None:
    chunks = Gated(tmp_path)
    async with running(tmp_path, chunks) as rig:
        one, two = await part(rig, b"one "), await part(rig, b"two")
        joining = asyncio.create_task(final(rig, one, two))
        await until(_joining(chunks))
        await rig.uploads.cancel(ANN, two, finished_too=True)
        chunks.gate.set()
        with pytest.raises(TusdriveError):
            await joining
        assert rig.files() == [one]
        assert await rig.problems() == []


async def test_a_final_upload_that_is_cancelled_while_joined_leaves_nothing(tmp_path: Path) -> None:
    chunks = Gated(tmp_path)
    async with running(tmp_path, chunks) as rig:
        one, two = await part(rig, b"one "), await part(rig, b"two", done=False)
        upload = await final(rig, one, two)
        await rig.append(two, 0, b"two")
        await until(_joining(chunks))
        await rig.uploads.cancel(ANN, upload.id, finished_too=True)
        chunks.gate.set()
        await until(_idle(rig))
        assert (await rig.get(upload.id)).state is State.CANCELLED
        assert rig.files() == sorted([one, two])
        assert await rig.problems() == []


async def test_a_join_that_fails_fails_the_final_and_keeps_the_parts(tmp_path: Path) -> None:
    chunks = Gated(tmp_path)
    chunks.gate.set()
    async with running(tmp_path, chunks) as rig:
        one = await part(rig, b"one")
        chunks.error = StorageFailed("the disk failed, on purpose")
        with pytest.raises(StorageFailed):
            await final(rig, one)
        chunks.error = None
        assert rig.files() == [one]
        assert await rig.problems() == []
        done = await final(rig, one)
        assert await rig.file_bytes(done.file_id) == b"one"


async def test_a_source_that_is_missing_fails_the_final(rig: Rig) -> None:
    one = await part(rig, b"one")
    (rig.path / "bytes" / (await rig.get(one)).place).unlink()
    with pytest.raises(StorageFailed):
        await final(rig, one)
    assert rig.files() == []
    assert await rig.drift() == {}


async def test_a_source_that_is_short_is_never_filled_with_zeros(rig: Rig) -> None:
    one = await part(rig, b"one")
    with (rig.path / "bytes" / (await rig.get(one)).place).open("r+b") as file:
        file.truncate(2)
    with pytest.raises(StorageFailed):
        await final(rig, one)
    assert await rig.drift() == {}


async def test_a_finished_final_goes_with_its_file_and_the_parts_stay(rig: Rig) -> None:
    one = await part(rig, b"one")
    upload = await final(rig, one)
    with pytest.raises(Conflict):
        await rig.uploads.cancel(ANN, upload.id, finished_too=False)
    await rig.uploads.cancel(ANN, upload.id, finished_too=True)
    with pytest.raises(Gone):
        await rig.library.get(ANN, upload.file_id or "")
    assert rig.files() == [one]
    assert await rig.drift() == {}


def _joining(chunks: Gated) -> Callable[[], Awaitable[bool]]:
    async def begun() -> bool:
        return chunks.joins > 0

    return begun


def _idle(rig: Rig) -> Callable[[], Awaitable[bool]]:
    async def idle() -> bool:
        return not rig.assembly._running.count

    return idle
