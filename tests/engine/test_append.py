"""Bytes at the end of the prefix: steps, cuts, limits, checksums, and islands that lie in the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from rig import ANN, BOB, KIB, Rig, Script, checksum, running, until, whole

from tusdrive.domain.account import Principal
from tusdrive.domain.errors import (
    BodyTimeout,
    BytesDiffer,
    ChecksumMismatch,
    Incomplete,
    Interrupted,
    InvalidLength,
    NotFound,
    OffsetMismatch,
    QuotaExceeded,
    SizeExceeded,
    TooLarge,
)
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Limits, State
from tusdrive.ports import End

DATA = random.Random(1).randbytes(300 * KIB)


async def test_an_append_in_two_requests_becomes_a_file(rig: Rig) -> None:
    id = await rig.create(11, file_name="a.txt")
    assert (await rig.append(id, 0, b"hello ")).offset == 6
    done = await rig.append(id, 6, b"world")
    assert (done.state, done.offset) == (State.COMPLETED, 11)
    assert await rig.file_bytes(done.file_id) == b"hello world"
    file = await rig.library.get(ANN, done.file_id or "")
    assert (file.name, file.size, file.account) == ("a.txt", 11, "ann")


async def test_an_empty_upload_is_a_file_at_once(rig: Rig) -> None:
    upload = await rig.get(await rig.create(0))
    assert upload.state is State.COMPLETED
    assert await rig.file_bytes(upload.file_id) == b""


async def test_a_long_body_is_committed_step_by_step(rig: Rig) -> None:
    id = await rig.create(len(DATA))
    seen: list[int] = []

    async def look(number: int) -> None:
        seen.append((await rig.get(id)).offset)

    rig.state.after = look
    await rig.append(id, 0, DATA)
    assert seen == [64 * KIB, 128 * KIB, 192 * KIB, 256 * KIB, 300 * KIB]


@pytest.mark.parametrize(
    ("end", "error"), [(End.CUT, Incomplete), (End.SLOW, BodyTimeout), (End.STOPPED, Interrupted)]
)
@pytest.mark.parametrize("came", [0, 1, 64 * KIB, 100_000])
async def test_what_came_before_a_body_broke_off_is_kept(
    rig: Rig, end: End, error: type[Exception], came: int
) -> None:
    id = await rig.create(len(DATA))
    with pytest.raises(error):
        await rig.append(id, 0, Script(DATA[:came], end, length=len(DATA)))
    upload = await rig.get(id)
    assert (upload.offset, upload.state) == (came, State.ACTIVE)
    done = await rig.append(id, came, DATA[came:])
    assert await rig.file_bytes(done.file_id) == DATA


async def test_the_offset_must_be_the_end_of_the_prefix(rig: Rig) -> None:
    id = await rig.create(10)
    await rig.append(id, 0, b"abc")
    for offset in (0, 2, 4, 10):
        body = whole(b"x")
        with pytest.raises(OffsetMismatch) as caught:
            await rig.append(id, offset, body)
        assert caught.value.details == {"expected": 3, "provided": offset}
        assert body.taken == 0
    assert (await rig.get(id)).offset == 3


async def test_a_body_that_is_known_to_be_too_long_is_not_read(rig: Rig) -> None:
    id = await rig.create(10)
    body = whole(b"12345678901")
    with pytest.raises(SizeExceeded):
        await rig.append(id, 0, body)
    assert (body.taken, (await rig.get(id)).offset) == (0, 0)


async def test_a_body_of_unknown_length_is_not_written_past_the_end(rig: Rig) -> None:
    id = await rig.create(10)
    with pytest.raises(SizeExceeded):
        await rig.append(id, 0, Script(b"1234567", b"89012345"))
    upload = await rig.get(id)
    assert upload.state is State.ACTIVE
    assert (rig.path / "bytes" / upload.place).stat().st_size <= 10
    rest = b"1234567890"[upload.offset :]
    assert await rig.file_bytes((await rig.append(id, upload.offset, rest)).file_id) == b"1234567890"


async def test_a_finished_upload_takes_an_empty_append_and_nothing_else(rig: Rig) -> None:
    done = await rig.upload(b"abc")
    assert (await rig.append(done.id, 3, b"")).state is State.COMPLETED
    with pytest.raises(SizeExceeded):
        await rig.append(done.id, 3, b"d")
    with pytest.raises(SizeExceeded):
        await rig.append(done.id, 3, Script(b"d"))
    with pytest.raises(OffsetMismatch):
        await rig.append(done.id, 0, b"abc")
    assert await rig.file_bytes(done.file_id) == b"abc"


async def test_nobody_else_may_append(rig: Rig) -> None:
    id = await rig.create(3)
    for who in (BOB, Principal(account="", upload="0" * 32), Principal(account="ann", upload="0" * 32)):
        with pytest.raises(NotFound):
            await rig.append(id, 0, b"abc", who)
    done = await rig.append(id, 0, b"abc", Principal(account="", upload=id))
    assert (done.state, done.account) == (State.COMPLETED, "ann")


# ------------------------------------------------------------------------------------------------ checksums


@pytest.mark.parametrize("name", ["sha1", "md5", "sha256", "sha512", "crc32", "xxh3-128"])
async def test_a_right_checksum_commits_once(rig: Rig, name: str) -> None:
    id = await rig.create(len(DATA))
    before = rig.state.count
    done = await rig.append(id, 0, DATA, checksum=checksum(DATA, name))
    assert rig.state.count - before == 1
    assert await rig.file_bytes(done.file_id) == DATA


async def test_a_wrong_checksum_commits_nothing(rig: Rig) -> None:
    id = await rig.create(len(DATA))
    await rig.append(id, 0, DATA[:1000])
    with pytest.raises(ChecksumMismatch):
        await rig.append(id, 1000, b"!" * 200_000, checksum=checksum(DATA))
    assert (await rig.get(id)).received == Ranges(1000)
    done = await rig.append(id, 1000, DATA[1000:])
    assert await rig.file_bytes(done.file_id) == DATA


@pytest.mark.parametrize("end", [End.CUT, End.SLOW])
async def test_half_a_body_under_a_checksum_commits_nothing(rig: Rig, end: End) -> None:
    id = await rig.create(len(DATA))
    with pytest.raises((Incomplete, BodyTimeout)):
        await rig.append(id, 0, Script(DATA[:200_000], end, length=len(DATA)), checksum=checksum(DATA))
    assert (await rig.get(id)).offset == 0


# ------------------------------------------------------------------------------------------------ islands


async def _with_islands(rig: Rig, *indices: int) -> str:
    """An upload of ten chunks of 4 bytes, of which some have arrived."""
    id = await rig.rest(b"0123456789abcdefghijABCDEFGHIJ0123456789", 4)
    for index in indices:
        await rig.chunk(id, index, b"0123456789abcdefghijABCDEFGHIJ0123456789"[4 * index : 4 * index + 4])
    return id


async def test_an_append_runs_over_islands_with_the_same_bytes(rig: Rig) -> None:
    id = await _with_islands(rig, 2, 3, 6, 9)
    done = await rig.append(id, 0, b"0123456789abcdefghijABCDEFGHIJ0123456789")
    assert done.state is State.COMPLETED
    assert await rig.file_bytes(done.file_id) == b"0123456789abcdefghijABCDEFGHIJ0123456789"


@pytest.mark.parametrize("indices", [(2,), (1, 2), (0, 2), (1,)])
async def test_an_append_over_islands_finishes_an_upload_that_finishes_by_itself(
    rig: Rig, indices: tuple[int, ...]
) -> None:
    id = await rig.create(10, chunk_size=4)
    for index in indices:
        await rig.chunk(id, index, b"0123456789"[4 * index : 4 * index + 4])
    offset = (await rig.get(id)).offset
    done = await rig.append(id, offset, b"0123456789"[offset:])
    assert done.state is State.COMPLETED
    assert await rig.file_bytes(done.file_id) == b"0123456789"


async def test_an_append_that_differs_from_the_last_island_still_closes_the_gap(rig: Rig) -> None:
    id = await rig.create(10, chunk_size=4)
    await rig.chunk(id, 2, b"89")
    with pytest.raises(BytesDiffer):
        await rig.append(id, 0, b"01234567!!")
    upload = await rig.get(id)
    assert upload.offset == 10
    done = await rig.append(id, 10, b"")
    assert done.state is State.COMPLETED
    assert await rig.file_bytes(done.file_id) == b"0123456789"


async def test_reaching_an_island_moves_the_offset_past_it(rig: Rig) -> None:
    id = await _with_islands(rig, 2, 3, 6)
    assert (await rig.append(id, 0, b"01234567")).received == Ranges(16, ((24, 28),))
    assert (await rig.append(id, 16, b"ghijABCD")).received == Ranges(28)


@pytest.mark.parametrize("position", [8, 11, 12, 15])
async def test_an_append_never_changes_what_an_island_brought(rig: Rig, position: int) -> None:
    id = await _with_islands(rig, 2, 3, 6)
    wrong = bytearray(b"0123456789abcdefghijABCDEFGHIJ0123456789")
    wrong[position] = ord("!")
    with pytest.raises(BytesDiffer):
        await rig.append(id, 0, bytes(wrong))
    upload = await rig.get(id)
    assert upload.received == Ranges(16, ((24, 28),))
    assert rig.on_disk(upload) == b"0123456789abcdef"
    done = await rig.append(id, 16, b"ghijABCDEFGHIJ0123456789")
    assert await rig.file_bytes(done.file_id) == b"0123456789abcdefghijABCDEFGHIJ0123456789"


@pytest.mark.parametrize("came", range(0, 40, 3))
async def test_a_cut_anywhere_among_islands_keeps_what_came(rig: Rig, came: int) -> None:
    data = b"0123456789abcdefghijABCDEFGHIJ0123456789"
    id = await _with_islands(rig, 2, 3, 6)
    with pytest.raises(Incomplete):
        await rig.append(id, 0, Script(*(data[at : at + 1] for at in range(came)), End.CUT, length=40))
    upload = await rig.get(id)
    expected = came if came < 8 else 16 if came < 16 else came if came < 24 else max(28, came)
    assert upload.offset == expected
    assert rig.on_disk(upload) == data[:expected]
    done = await rig.append(id, expected, data[expected:])
    assert await rig.file_bytes(done.file_id) == data


async def test_a_checksum_covers_bytes_that_an_island_brought_too(rig: Rig) -> None:
    data = b"0123456789abcdefghijABCDEFGHIJ0123456789"
    id = await _with_islands(rig, 2, 3, 6)
    with pytest.raises(ChecksumMismatch):
        await rig.append(id, 0, data[:20], checksum=checksum(b"other"))
    assert (await rig.get(id)).received == Ranges(0, ((8, 16), (24, 28)))
    assert (await rig.append(id, 0, data[:20], checksum=checksum(data[:20]))).received == Ranges(20, ((24, 28),))


# ------------------------------------------------------------------------------------------------ no length yet


async def test_a_length_may_come_with_the_last_bytes(rig: Rig) -> None:
    id = await rig.create(None)
    assert (await rig.append(id, 0, Script(b"abc"))).length is None
    done = await rig.append(id, 3, b"def", declares=6)
    assert (done.state, done.length) == (State.COMPLETED, 6)
    assert await rig.file_bytes(done.file_id) == b"abcdef"


async def test_a_length_of_zero_may_be_declared_with_nothing(rig: Rig) -> None:
    done = await rig.append(await rig.create(None), 0, b"", declares=0)
    assert (done.state, done.length) == (State.COMPLETED, 0)


async def test_a_length_cannot_be_changed_or_be_less_than_what_came(rig: Rig) -> None:
    id = await rig.create(None)
    await rig.append(id, 0, b"abcd")
    with pytest.raises(InvalidLength):
        await rig.append(id, 4, b"", declares=3)
    await rig.append(id, 4, b"e", declares=6)
    with pytest.raises(InvalidLength):
        await rig.append(id, 5, b"f", declares=7)
    assert (await rig.append(id, 5, b"f", declares=6)).state is State.COMPLETED


async def test_a_length_declared_with_a_body_that_breaks_off_stands(rig: Rig) -> None:
    id = await rig.create(None)
    with pytest.raises(Incomplete):
        await rig.append(id, 0, Script(End.CUT, length=5), declares=5)
    assert (await rig.get(id)).length == 5
    assert await rig.drift() == {}


@pytest.mark.parametrize("end", [None, End.CUT, End.SLOW])
async def test_what_an_upload_without_length_was_promised_is_given_back(rig: Rig, end: End | None) -> None:
    id = await rig.create(None)
    body = Script(DATA[:100_000], *([end] if end else []), length=200_000 if end else 100_000)
    if end:
        with pytest.raises((Incomplete, BodyTimeout)):
            await rig.append(id, 0, body)
    else:
        await rig.append(id, 0, body)
    account = await rig.state.account("ann")
    assert (account.used, account.promised) == (0, 100_000)
    assert await rig.drift() == {}


async def test_an_upload_without_length_stops_at_the_quota_and_keeps_what_fits(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(quota=100 * KIB)) as rig:
        id = await rig.create(None)
        with pytest.raises(QuotaExceeded):
            await rig.append(id, 0, Script(*(DATA[at : at + KIB] for at in range(0, 200 * KIB, KIB))))
        assert (await rig.get(id)).offset == 64 * KIB
        assert (await rig.state.account("ann")).promised == 64 * KIB
        assert await rig.drift() == {}


async def test_an_upload_without_length_ends_at_the_largest_size(tmp_path: Path) -> None:
    async with running(tmp_path, limits=Limits(max_size=10)) as rig:
        id = await rig.create(None)
        with pytest.raises(TooLarge):
            await rig.append(id, 0, b"12345678901")
        with pytest.raises(TooLarge):
            await rig.append(id, 0, Script(b"12345678901"))
        assert await rig.drift() == {}


# ------------------------------------------------------------------------------------------------ one writer


async def test_a_newcomer_ends_a_hanging_append_and_its_bytes_are_kept(rig: Rig) -> None:
    id = await rig.create(10)
    never = asyncio.Event()
    body = Script(b"1234", never, b"5678", length=10)
    hanging = asyncio.create_task(rig.append(id, 0, body))
    await until(_taken(body, 4))
    assert (await rig.uploads.settle(ANN, id)).offset == 4
    with pytest.raises(Interrupted):
        await hanging
    assert (await rig.append(id, 4, b"567890")).state is State.COMPLETED


async def test_of_two_appends_at_one_offset_one_wins(rig: Rig) -> None:
    for turns in range(60):
        id = await rig.create(2000)
        go = asyncio.Event()
        bodies = [Script(letter * 1000, go, letter * 1000, length=2000) for letter in (b"a", b"b")]
        both = [asyncio.create_task(rig.append(id, 0, body)) for body in bodies]
        for _ in range(turns):
            await asyncio.sleep(0)
        go.set()
        first, second = await asyncio.gather(*both, return_exceptions=True)
        assert isinstance(second, OffsetMismatch)
        upload = await rig.get(id)
        if isinstance(first, Interrupted):
            assert upload.offset in (0, 1000)
            assert rig.on_disk(upload) == b"a" * upload.offset
        else:
            assert await rig.file_bytes(upload.file_id) == b"a" * 2000


def _taken(body: Script, count: int) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return body.taken >= count

    return there
