"""Files and the bytes they share: across accounts, after the fact, and in parallel deletes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import replace

import pytest
from rig import ADMIN, ANN, BOB, HOUR, Rig, md5, sha256

from tusdrive.domain.account import Principal
from tusdrive.domain.errors import Conflict, Gone, NotFound, TusdriveError
from tusdrive.domain.file import Blob
from tusdrive.domain.requests import NewUpload
from tusdrive.domain.upload import State
from tusdrive.engine import changes
from tusdrive.ports import Page

DATA = b"the same bytes"


async def _known(rig: Rig, who: Principal, data: bytes = DATA) -> str:
    """A new file whose hash the server knows; its id."""
    id = await rig.create(len(data), who, auto_finish=False)  # without a hash, so that no file exists already
    await rig.chunk(id, 0, data, who)
    return (await rig.uploads.complete(who, id, sha256(data))).file_id or ""


async def test_the_same_bytes_of_two_accounts_are_kept_once_and_charged_twice(rig: Rig) -> None:
    ann, bob = await _known(rig, ANN), await _known(rig, BOB)
    assert ann != bob
    assert len(rig.files()) == 1
    for who, file in ((ANN, ann), (BOB, bob)):
        assert await rig.file_bytes(file, who) == DATA
        assert (await rig.state.account(who.account)).used == 14
    await rig.library.delete(ANN, ann)
    assert await rig.file_bytes(bob, BOB) == DATA
    await rig.library.delete(BOB, bob)
    assert rig.files() == []
    assert await rig.problems() == []


async def test_a_hash_gets_only_the_callers_own_file(rig: Rig) -> None:
    file = await _known(rig, ANN)
    wish = NewUpload(length=14, hash=sha256(DATA), auto_finish=False)
    assert (await rig.uploads.create(ANN, wish)).existing == await rig.library.get(ANN, file)
    stranger = await rig.uploads.create(BOB, wish)
    assert stranger.existing is None
    assert stranger.upload is not None
    assert (await rig.uploads.create(ANN, replace(wish, length=15))).existing is None
    assert (await rig.uploads.create(ANN, replace(wish, hash=md5(DATA)))).existing is None


async def test_a_declared_hash_that_nobody_verified_is_no_file(rig: Rig) -> None:
    liar = await rig.rest(b"other bytes 14", 100, hash=sha256(DATA))
    await rig.chunk(liar, 0, b"other bytes 14")
    created = await rig.uploads.create(ANN, NewUpload(length=14, hash=sha256(DATA), auto_finish=False))
    assert created.existing is None


async def test_an_md5_is_found_once_it_was_verified(rig: Rig) -> None:
    id = await rig.rest(DATA, 100, hash=md5(DATA))
    await rig.chunk(id, 0, DATA)
    done = await rig.uploads.complete(ANN, id)
    created = await rig.uploads.create(ANN, NewUpload(length=14, hash=md5(DATA), auto_finish=False))
    assert created.existing is not None
    assert created.existing.id == done.file_id


async def test_a_deleted_or_expired_file_does_not_exist_already(rig: Rig) -> None:
    wish = NewUpload(length=14, hash=sha256(DATA), auto_finish=False)
    await rig.library.delete(ANN, await _known(rig, ANN))
    assert (await rig.uploads.create(ANN, wish)).existing is None
    id = await rig.create(14, auto_finish=False, hash=sha256(DATA), file_expires_at=rig.clock() + HOUR)
    await rig.chunk(id, 0, DATA)
    done = await rig.uploads.complete(ANN, id)
    assert (await rig.uploads.create(ANN, wish)).existing is not None
    rig.clock.leap(HOUR)
    assert (await rig.uploads.create(ANN, wish)).existing is None
    with pytest.raises(Gone):
        await rig.library.get(ANN, done.file_id or "")
    assert await rig.library.expire(done.file_id or "")
    assert not await rig.library.expire(done.file_id or "")
    assert await rig.drift() == {}


async def test_files_whose_hash_is_found_later_share_their_bytes(rig: Rig) -> None:
    uploads = [await rig.upload(DATA, who) for who in (ANN, BOB, ANN)]
    known = await _known(rig, BOB)
    empty = await rig.upload(b"", ANN)
    assert len(rig.files()) == 4
    assert await rig.upkeep.hash_some() == 4
    assert len(rig.files()) == 1
    for upload in uploads:
        file = await rig.library.get(ADMIN, upload.file_id or "")
        assert file.sha256 == sha256(DATA).hex
        assert await rig.file_bytes(file.id) == DATA
    assert (await rig.library.get(ANN, empty.file_id or "")).sha256 == sha256(b"").hex
    assert await rig.upkeep.hash_some() == 0
    blob = await rig.state.blob((await rig.library.get(BOB, known)).blob)
    assert blob is not None
    assert blob.refs == 4
    assert await rig.problems() == []


async def test_a_file_that_is_merged_in_the_same_moment_is_still_read(rig: Rig) -> None:
    await _known(rig, BOB)
    upload = await rig.upload(DATA)
    opened = await rig.library.open(ANN, upload.file_id or "")
    assert await rig.upkeep.hash_some() == 1
    assert len(rig.files()) == 1
    assert b"".join([piece async for piece in rig.library.read(opened, 2, 9)]) == DATA[2:9]


async def test_a_blob_that_went_while_it_was_hashed_stays_gone(rig: Rig) -> None:
    upload = await rig.upload(DATA)
    file = await rig.library.get(ANN, upload.file_id or "")
    await rig.library.delete(ANN, file.id)
    garbage = await rig.state.apply(lambda tx: changes.know_hash(tx, file.blob, sha256(DATA).hex))
    assert garbage == ()
    assert await rig.problems() == []


async def test_a_blob_that_went_before_it_was_hashed_is_no_error(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    upload = await rig.upload(DATA)
    listed = rig.state.unhashed_blobs

    async def then_deleted(limit: int) -> list[Blob]:
        blobs = await listed(limit)
        await rig.library.delete(ANN, upload.file_id or "")
        return list(blobs)

    rig.state.unhashed_blobs = then_deleted
    await rig.upkeep.hash_some()
    assert [record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_a_deleted_file_of_a_merged_blob_does_not_count(rig: Rig) -> None:
    first, second = await rig.upload(DATA), await rig.upload(DATA, BOB)
    await rig.upkeep.hash_some()
    await rig.library.delete(ANN, first.file_id or "")
    third = await rig.upload(DATA)
    await rig.upkeep.hash_some()
    for who, upload in ((BOB, second), (ANN, third)):
        assert await rig.file_bytes(upload.file_id, who) == DATA
        await rig.library.delete(who, upload.file_id or "")
    assert rig.files() == []
    assert await rig.problems() == []


async def test_deletes_in_parallel_free_the_bytes_once(rig: Rig) -> None:
    for _ in range(20):
        files = [(who, await _known(rig, who)) for who in (ANN, BOB, ANN, BOB)]
        asked = [rig.library.delete(who, file) for who, file in files for _ in range(3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(answer is None for answer in answers) == 4
        assert all(isinstance(answer, Gone) for answer in answers if answer is not None)
        assert rig.files() == []
        for account in ("ann", "bob"):
            assert (await rig.state.account(account)).used == 0
    assert await rig.problems() == []


async def test_uploads_merges_and_deletes_at_once_leave_neither_orphans_nor_holes(rig: Rig) -> None:
    dice = random.Random(7)
    standing: dict[str, tuple[Principal, bytes]] = {}

    async def come(who: Principal, data: bytes) -> None:
        file = await _known(rig, who, data) if dice.random() < 0.5 else (await rig.upload(data, who)).file_id
        standing[file or ""] = who, data

    async def go() -> None:
        if standing:
            file, (who, _) = standing.popitem()
            await rig.library.delete(who, file)

    for _ in range(40):
        datas = [bytes([dice.randrange(3)]) * 10 for _ in range(6)]
        work: list[Awaitable[object]] = [come(dice.choice([ANN, BOB]), data) for data in datas]
        work += [go() for _ in range(dice.randrange(6))]
        work += [rig.upkeep.hash_some() for _ in range(dice.randrange(3))]
        dice.shuffle(work)
        await asyncio.gather(*work)
        for file, (who, data) in standing.items():
            assert await rig.file_bytes(file, who) == data
        assert await rig.drift() == {}
    while await rig.upkeep.hash_some():
        pass
    assert len(rig.files()) == len({data for _, data in standing.values()})
    assert await rig.problems() == []


async def test_files_are_their_owners_alone(rig: Rig) -> None:
    file = await _known(rig, ANN)
    capability = Principal(account="", upload=(await rig.library.get(ANN, file)).upload)
    for who in (BOB, capability):
        for ask in (rig.library.get, rig.library.open, rig.library.delete):
            with pytest.raises(NotFound):
                await ask(who, file)
        with pytest.raises(NotFound):
            await rig.library.rename(who, file, "x")
    assert (await rig.library.list(BOB, Page()))[1] == 0
    assert (await rig.library.rename(ADMIN, file, "new")).name == "new"
    await rig.library.delete(ADMIN, file)
    assert (await rig.state.account("ann")).used == 0
    for ask in (rig.library.get, rig.library.delete):
        with pytest.raises(Gone):
            await ask(ANN, file)
    with pytest.raises(NotFound):
        await rig.library.get(BOB, file)


async def test_a_capability_ends_with_the_upload(rig: Rig) -> None:
    done = await rig.upload(DATA)
    with pytest.raises(NotFound):
        await rig.uploads.cancel(Principal(account="", upload=done.id), done.id, finished_too=True)
    open_one = await rig.create(3)
    ended = await rig.uploads.cancel(Principal(account="", upload=open_one), open_one, finished_too=True)
    assert ended.state is State.CANCELLED


async def test_cancelling_a_finished_upload_deletes_its_file_once(rig: Rig) -> None:
    done = await rig.upload(DATA)
    with pytest.raises(Conflict) as caught:
        await rig.uploads.cancel(ANN, done.id, finished_too=False)
    assert caught.value.details == {"fileId": done.file_id}
    both = (rig.uploads.cancel(ANN, done.id, finished_too=True), rig.library.delete(ANN, done.file_id or ""))
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert all(not isinstance(answer, Exception) or isinstance(answer, TusdriveError) for answer in answers)
    assert (await rig.state.account("ann")).used == 0
    assert rig.files() == []
    assert await rig.problems() == []
