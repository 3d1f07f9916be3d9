"""The declared hash of a whole file: checked once, shared by all who ask, and nothing is lost when it is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from rig import ANN, Rig, md5, running, settles, sha256

from tusdrive.domain.checksum import FileHash
from tusdrive.domain.errors import Gone, HashMismatch, StorageFailed, WrongState
from tusdrive.domain.upload import State
from tusdrive.storage.files import FileChunks

DATA = b"the quick brown fox"


class Gated(FileChunks):
    """Files whose hashing waits for a gate, and is counted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, durability="relaxed", reserve=0, threads=2)
        self.gate = asyncio.Event()
        self.hashed = 0

    async def digest(self, place: str, size: int, algorithms: Sequence[str]) -> dict[str, str]:
        self.hashed += 1
        await self.gate.wait()
        return await super().digest(place, size, algorithms)


@pytest.mark.parametrize("hash", [sha256(DATA), md5(DATA)])
async def test_a_right_hash_makes_a_file(rig: Rig, hash: FileHash) -> None:
    id = await rig.rest(DATA, 100, hash=hash)
    await rig.chunk(id, 0, DATA)
    done = await rig.uploads.complete(ANN, id)
    file = await rig.library.get(ANN, done.file_id or "")
    assert file.sha256 == sha256(DATA).hex
    assert file.md5 == (hash.hex if hash.algorithm == "md5" else None)


@pytest.mark.parametrize("hash", [sha256(b"other"), md5(b"other")])
async def test_a_wrong_hash_loses_nothing(rig: Rig, hash: FileHash) -> None:
    id = await rig.rest(DATA, 100, hash=hash)
    await rig.chunk(id, 0, DATA)
    for _ in range(2):
        with pytest.raises(HashMismatch) as caught:
            await rig.uploads.complete(ANN, id)
        assert caught.value.details["expected"] == hash.hex
        upload = await rig.get(id)
        assert (upload.state, upload.offset, upload.file_id) == (State.ACTIVE, 19, None)
    assert await rig.drift() == {}
    done = await rig.uploads.complete(ANN, id, sha256(DATA))
    assert await rig.file_bytes(done.file_id) == DATA
    assert done.error is None


async def test_completing_again_gives_the_same_file(rig: Rig) -> None:
    id = await rig.rest(DATA, 100)
    await rig.chunk(id, 0, DATA)
    first = await rig.uploads.complete(ANN, id)
    assert await rig.uploads.complete(ANN, id) == first
    assert await rig.uploads.complete(ANN, id, sha256(b"whatever")) == first


async def test_completing_at_the_same_time_hashes_once_and_makes_one_file(tmp_path: Path) -> None:
    chunks = Gated(tmp_path)
    async with running(tmp_path, chunks) as rig:
        id = await rig.rest(DATA, 100)
        await rig.chunk(id, 0, DATA)
        asked = [asyncio.create_task(rig.uploads.complete(ANN, id)) for _ in range(20)]
        await settles(rig, id, State.VERIFYING)
        await asyncio.sleep(0.01)
        chunks.gate.set()
        answers = await asyncio.gather(*asked)
        assert chunks.hashed == 1
        assert len({answer.file_id for answer in answers}) == 1
        account = await rig.state.account("ann")
        assert (account.used, account.promised) == (19, 0)
        assert await rig.drift() == {}


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("shared", [True, False])
async def test_asking_while_the_answer_is_on_its_way_gets_that_answer(rig: Rig, right: bool, shared: bool) -> None:
    """The second asks while the upload is VERIFYING, and hears of that only when the verification is over."""
    id, other = await _arrived(rig, sha256(DATA if right else b"other")), await _arrived(rig, sha256(DATA))
    if shared:  # bytes that stand already: the upload's own file goes when it is verified
        await rig.uploads.complete(ANN, other)
    late = asyncio.Event()

    async def hold(number: int) -> None:
        if number == second:
            await late.wait()

    second = rig.state.count + 1
    rig.state.after = hold
    first = asyncio.create_task(rig.uploads.complete(ANN, id))
    await asyncio.sleep(0)
    asked = asyncio.create_task(rig.uploads.complete(ANN, id))
    if right:
        done = await first
        late.set()
        assert (await asked).file_id == done.file_id
    else:
        with pytest.raises(HashMismatch):
            await first
        late.set()
        with pytest.raises(HashMismatch):
            await asked
    assert await rig.drift() == {}


async def _arrived(rig: Rig, hash: FileHash) -> str:
    id = await rig.rest(DATA, 100, hash=hash)
    await rig.chunk(id, 0, DATA)
    return id


async def test_a_verification_goes_on_when_its_client_leaves(tmp_path: Path) -> None:
    chunks = Gated(tmp_path)
    async with running(tmp_path, chunks) as rig:
        id = await rig.rest(DATA, 100)
        await rig.chunk(id, 0, DATA)
        asked = asyncio.create_task(rig.uploads.complete(ANN, id))
        await settles(rig, id, State.VERIFYING)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        chunks.gate.set()
        assert (await settles(rig, id, State.COMPLETED)).file_id is not None


async def test_an_upload_under_verification_takes_no_bytes_and_can_be_cancelled(tmp_path: Path) -> None:
    chunks = Gated(tmp_path)
    async with running(tmp_path, chunks) as rig:
        id = await rig.rest(DATA, 100)
        await rig.chunk(id, 0, DATA)
        asked = asyncio.create_task(rig.uploads.complete(ANN, id))
        await settles(rig, id, State.VERIFYING)
        with pytest.raises(WrongState):
            await rig.append(id, 19, b"")
        await rig.uploads.cancel(ANN, id, finished_too=False)
        chunks.gate.set()
        with pytest.raises(Gone):
            await asked
        assert (await rig.get(id)).state is State.CANCELLED
        assert (rig.files(), await rig.drift()) == ([], {})


async def test_bytes_that_cannot_be_read_leave_the_upload_as_it_was(rig: Rig) -> None:
    id = await rig.rest(DATA, 100)
    await rig.chunk(id, 0, DATA)
    upload = await rig.get(id)
    path = rig.path / "bytes" / upload.place
    path.rename(path.with_suffix(".away"))
    with pytest.raises(StorageFailed):
        await rig.uploads.complete(ANN, id)
    assert (await rig.get(id)).state is State.ACTIVE
    path.with_suffix(".away").rename(path)
    assert await rig.file_bytes((await rig.uploads.complete(ANN, id)).file_id) == DATA


async def test_listeners_hear_of_completion_once(rig: Rig) -> None:
    id = await rig.rest(DATA, 5)
    for index in range(4):
        await rig.chunk(id, index, DATA[5 * index : 5 * index + 5])
    await asyncio.gather(*(rig.uploads.complete(ANN, id) for _ in range(5)))
    events = await rig.state.events("ann", 0, 100)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.type for event in events] == [
        "task.created", "upload.progress", "upload.progress", "upload.progress", "upload.progress", "upload.completed",
    ]  # fmt: skip
    assert events[-1].data["fileId"] == (await rig.get(id)).file_id
