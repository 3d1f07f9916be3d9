"""Expiry under the lock, what a start after a crash makes of what it finds, and the check by hand."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from rig import ANN, HOUR, KIB, Rig, Script, settles, sha256, until

from tusdrive.domain.errors import Gone, Interrupted, StorageFailed
from tusdrive.domain.requests import NewUpload
from tusdrive.domain.upload import Kind, State
from tusdrive.ports import Tx

DAY = 24 * HOUR


# ------------------------------------------------------------------------------------------------ expiry


async def test_an_upload_that_nobody_goes_on_with_expires(rig: Rig) -> None:
    id = await rig.create(10)
    await rig.append(id, 0, b"abc")
    rig.clock.leap(HOUR - 1000)
    assert await rig.uploads.expire(id) is None
    rig.clock.leap(1000)
    assert await rig.upkeep.sweep() == [f"upload {id}: expired"]
    assert (await rig.get(id)).state is State.EXPIRED
    with pytest.raises(Gone):
        await rig.append(id, 3, b"d")
    assert (rig.files(), await rig.problems()) == ([], [])
    assert (await rig.state.account("ann")).promised == 0
    assert await rig.upkeep.sweep() == []


async def test_activity_puts_expiry_off(rig: Rig) -> None:
    id = await rig.create(10)
    for offset in range(5):
        rig.clock.leap(HOUR - 1000)
        await rig.append(id, offset, b"x")
    assert await rig.upkeep.sweep() == []
    assert (await rig.get(id)).offset == 5


async def test_a_finished_file_does_not_expire_and_a_finished_part_does(rig: Rig) -> None:
    done = await rig.upload(b"abc")
    part = await rig.upload(b"abc", kind=Kind.PARTIAL)
    rig.clock.leap(2 * HOUR)
    assert await rig.upkeep.sweep() == [f"upload {part.id}: expired"]
    assert await rig.file_bytes(done.file_id) == b"abc"
    assert await rig.problems() == []


async def test_an_upload_that_somebody_writes_to_does_not_expire(rig: Rig) -> None:
    id = await rig.create(10)
    go = asyncio.Event()
    body = Script(b"123", go, b"456", length=6)
    writer = asyncio.create_task(rig.append(id, 0, body))

    async def begun() -> bool:
        return body.taken == 3

    await until(begun)
    rig.clock.leap(2 * HOUR)
    assert await rig.uploads.expire(id) is None
    assert not writer.done()  # and it is not asked to let go
    go.set()
    upload = await writer
    assert (upload.state, upload.offset) == (State.ACTIVE, 6)
    assert (upload.expires_at or 0) > rig.clock()


async def test_expiry_and_appends_race_to_one_end(rig: Rig) -> None:
    for turns in range(40):
        id = await rig.create(6)
        rig.clock.leap(2 * HOUR)
        writer = asyncio.create_task(rig.append(id, 0, Script(b"123", b"456", length=6)))
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = await rig.uploads.expire(id)
        answer = (await asyncio.gather(writer, return_exceptions=True))[0]
        upload = await rig.get(id)
        if ended is not None:
            assert isinstance(answer, Gone | Interrupted)
            assert upload.state is State.EXPIRED
            assert id not in rig.files()
        elif isinstance(answer, Interrupted):
            assert upload.state is State.ACTIVE
        else:
            assert await rig.file_bytes(upload.file_id) == b"123456"
    assert await rig.drift() == {}


async def test_what_ended_is_forgotten_after_thirty_days(rig: Rig) -> None:
    id = await rig.create(10)
    await rig.uploads.cancel(ANN, id, finished_too=True)
    rig.clock.leap(29 * DAY)
    assert await rig.upkeep.sweep() == []
    rig.clock.leap(DAY)
    assert await rig.upkeep.sweep(dry_run=True) == [f"upload {id}: ended more than 30 days ago"]
    assert await rig.state.upload(id) is not None
    assert await rig.upkeep.sweep() == [f"upload {id}: ended more than 30 days ago"]
    assert await rig.state.upload(id) is None


async def test_cleaning_up_forgets_what_failed_and_expired(rig: Rig) -> None:
    kept, gone = await rig.create(10), await rig.create(10)
    cancelled = await rig.create(10)
    await rig.uploads.cancel(ANN, cancelled, finished_too=True)
    rig.clock.leap(2 * HOUR)
    await rig.uploads.expire(gone)
    assert await rig.uploads.clean_up(ANN) == 1
    assert [await rig.state.upload(id) is None for id in (kept, gone, cancelled)] == [False, True, False]
    assert await rig.drift() == {}


# ------------------------------------------------------------------------------------------------ recovery


async def _open(rig: Rig, data: bytes = b"abcdef", came: int = 4) -> str:
    id = await rig.create(len(data))
    await rig.append(id, 0, Script(data[:came], length=came))
    return id


async def test_what_is_sound_is_left_alone(rig: Rig) -> None:
    id, fresh = await _open(rig), await rig.create(10)
    before = await rig.get(id)
    findings = await rig.upkeep.recover()
    assert (findings.problems, findings.repaired) == ([], [])
    assert await rig.get(id) == before
    assert (await rig.get(fresh)).state is State.ACTIVE


async def test_bytes_past_the_offset_are_not_trusted(rig: Rig) -> None:
    id = await _open(rig)
    with (rig.path / "bytes" / (await rig.get(id)).place).open("ab") as file:
        file.write(b"XX")
    assert (await rig.upkeep.recover()).problems == []
    assert (await rig.get(id)).offset == 4
    assert await rig.file_bytes((await rig.append(id, 4, b"ef")).file_id) == b"abcdef"


@pytest.mark.parametrize("left", [None, 0, 3])
async def test_bytes_that_are_missing_fail_the_upload(rig: Rig, left: int | None) -> None:
    id, other = await _open(rig), await _open(rig)
    path = rig.path / "bytes" / (await rig.get(id)).place
    if left is None:
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.truncate(left)
    what = "its bytes are missing on disk" if left is None else f"only {left} of 4 acknowledged bytes are on disk"
    assert (await rig.upkeep.recover()).problems == [f"upload {id}: {what}"]
    upload = await rig.get(id)
    assert (upload.state, upload.error) == (State.FAILED, what)
    with pytest.raises(Gone):
        await rig.append(id, 4, b"ef")
    assert (await rig.get(other)).state is State.ACTIVE
    assert await rig.drift() == {}


async def test_an_island_whose_bytes_are_missing_fails_the_upload(rig: Rig) -> None:
    id = await rig.rest(b"0123456789", 4)
    await rig.chunk(id, 2, b"89")
    with (rig.path / "bytes" / (await rig.get(id)).place).open("r+b") as file:
        file.truncate(9)
    assert (await rig.upkeep.recover()).problems == [f"upload {id}: only 9 of 10 acknowledged bytes are on disk"]


@pytest.mark.parametrize("right", [True, False])
async def test_a_verification_that_was_cut_off_is_done_again(rig: Rig, right: bool) -> None:
    id = await rig.rest(b"abc", 100, hash=sha256(b"abc" if right else b"other"))
    await rig.chunk(id, 0, b"abc")
    upload = await rig.get(id)
    await rig.state.apply(lambda tx: tx.save_upload(replace(upload, state=State.VERIFYING)))
    await rig.upkeep.recover()
    ended = await settles(rig, id, State.COMPLETED if right else State.ACTIVE)
    assert (ended.file_id is not None) is right
    assert await rig.drift() == {}


async def test_a_join_that_was_cut_off_is_done_again(rig: Rig) -> None:
    one, two = [await rig.upload(data, kind=Kind.PARTIAL) for data in (b"one ", b"two")]
    waiting = await rig.create(3, kind=Kind.PARTIAL)

    created = await rig.uploads.create(ANN, NewUpload(kind=Kind.FINAL, parts=(one.id, waiting)))
    assert created.upload is not None
    pending = created.upload
    await rig.state.apply(
        lambda tx: tx.save_upload(replace(pending, parts=(one.id, two.id), received=pending.received.add(0, 3)))
    )
    (rig.path / "bytes" / pending.place).write_bytes(b"on")
    await rig.upkeep.recover()
    done = await settles(rig, pending.id, State.COMPLETED)
    assert await rig.file_bytes(done.file_id) == b"one two"


async def test_a_final_upload_still_waits_after_a_restart(rig: Rig) -> None:
    one = await rig.create(3, kind=Kind.PARTIAL)
    created = await rig.uploads.create(ANN, NewUpload(kind=Kind.FINAL, parts=(one,)))
    assert created.upload is not None
    assert (await rig.upkeep.recover()).problems == []
    await rig.append(one, 0, b"one")
    done = await settles(rig, created.upload.id, State.COMPLETED)
    assert await rig.file_bytes(done.file_id) == b"one"


# ------------------------------------------------------------------------------------------------ by hand


async def test_files_that_no_row_knows_are_removed_after_a_while(rig: Rig) -> None:
    done, open_one = await rig.upload(b"abc"), await _open(rig)
    stray = rig.path / "bytes" / "2027010100" / ("f" * 32)
    stray.parent.mkdir()
    stray.write_bytes(b"?")
    assert await rig.upkeep.remove_orphans() == []
    assert stray.exists()
    assert await rig.upkeep.remove_orphans(dry_run=True, grace=0.0) == [f"file 2027010100/{'f' * 32}: no row knows it"]
    assert await rig.problems() == [f"file 2027010100/{'f' * 32}: no row knows it"]
    assert len(await rig.upkeep.remove_orphans(grace=0.0)) == 1
    assert rig.files() == sorted([done.id, open_one])


async def test_a_check_finds_a_finished_file_whose_bytes_are_missing_or_short(rig: Rig) -> None:
    gone, short = await rig.upload(b"abc"), await rig.upload(b"abcdef")
    (rig.path / "bytes" / gone.place).unlink()
    with (rig.path / "bytes" / short.place).open("r+b") as file:
        file.truncate(2)
    problems = await rig.problems()
    assert len(problems) == 2
    assert any(gone.id in problem for problem in problems)
    assert any(short.id in problem for problem in problems)
    with pytest.raises(StorageFailed):
        await rig.file_bytes(short.file_id)


async def test_a_check_finds_and_repairs_ledgers_that_drifted(rig: Rig) -> None:
    await rig.upload(b"abc")
    await _open(rig)

    def spoil(tx: Tx) -> None:
        tx.save_account(replace(tx.account("ann"), used=1, promised=2))
        tx.save_space(replace(tx.space(), promised=99))

    await rig.state.apply(spoil)
    found = await rig.upkeep.check(repair=True)
    assert len(found.problems) == 2
    assert len(found.repaired) == 2
    assert await rig.problems() == []
    account = await rig.state.account("ann")
    assert (account.used, account.promised) == (3, 6)


async def test_a_check_by_hand_marks_what_lost_its_bytes(rig: Rig) -> None:
    id = await _open(rig, bytes(10 * KIB), 5 * KIB)
    (rig.path / "bytes" / (await rig.get(id)).place).unlink()
    assert await rig.problems() == [f"upload {id}: its bytes are missing on disk"]
    assert (await rig.get(id)).state is State.ACTIVE
    await rig.upkeep.check(repair=True)
    assert (await rig.get(id)).state is State.FAILED
    assert await rig.problems() == []
