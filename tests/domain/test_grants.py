"""Who may write where, and that refusals come in their fixed order."""

from __future__ import annotations

import pytest

from tusdrive.domain.errors import (
    ChunkOutOfRange,
    Gone,
    InvalidLength,
    ModifyFinal,
    OffsetMismatch,
    SizeExceeded,
    TooLarge,
    WrongState,
)
from tusdrive.domain.grants import ChunkGrant, Grant, check_chunk_size, grant_append, grant_chunk
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Kind, Limits, State, Upload

MAX = Limits(max_size=100)


def upload(**fields: object) -> Upload:
    return Upload(**{"id": "a" * 32, "account": "ann", "place": "h/a", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "ask", "wanted"),
    [
        (upload(length=10), (0, 10, None), Grant(0, 10, 10)),
        (upload(length=10, received=Ranges(4)), (4, 0, None), Grant(4, 10, 10)),
        (upload(length=10, received=Ranges(4)), (4, None, None), Grant(4, 10, 10)),
        (upload(length=10), (0, 10, 10), Grant(0, 10, 10)),
        (upload(length=10, received=Ranges(10), state=State.COMPLETED), (10, 0, None), Grant(10, 10, 10)),
        (upload(received=Ranges(4)), (4, 6, 10), Grant(4, 10, 10)),
        (upload(received=Ranges(4)), (4, 0, 4), Grant(4, 4, 4)),
        (upload(received=Ranges(4)), (4, 96, None), Grant(4, 100, None)),
    ],
)
def test_append_is_granted(before: Upload, ask: tuple[int, int | None, int | None], wanted: Grant) -> None:
    offset, size, declares = ask
    assert grant_append(before, offset=offset, size=size, declares=declares, limits=MAX) == wanted


def test_append_without_any_limit_has_no_end() -> None:
    assert grant_append(upload(), offset=0, size=10**12, declares=None, limits=Limits()) == Grant(0, None, None)


WRONG_FROM_HERE = [
    (Gone, upload(length=10, kind=Kind.FINAL, state=State.CANCELLED), (5, 99, 20)),
    (ModifyFinal, upload(length=10, kind=Kind.FINAL, state=State.VERIFYING), (5, 99, 20)),
    (WrongState, upload(length=10, state=State.VERIFYING), (5, 99, 20)),
    (OffsetMismatch, upload(length=10), (5, 99, 20)),
    (InvalidLength, upload(length=10), (0, 99, 20)),
    (SizeExceeded, upload(length=10), (0, 99, None)),
]
"""Each row is wrong in every way that comes after its own: the first thing wrong is what is said."""


@pytest.mark.parametrize(("error", "before", "ask"), WRONG_FROM_HERE)
def test_append_refuses_in_order(
    error: type[Exception], before: Upload, ask: tuple[int, int | None, int | None]
) -> None:
    with pytest.raises(error) as refused:
        grant_append(before, offset=ask[0], size=ask[1], declares=ask[2], limits=MAX)
    assert type(refused.value) is error


@pytest.mark.parametrize(
    ("error", "before", "ask", "details"),
    [
        (OffsetMismatch, upload(length=9, received=Ranges(4)), (3, 1, None), {"expected": 4, "provided": 3}),
        (OffsetMismatch, upload(length=9, received=Ranges(4)), (5, 1, None), {"expected": 4, "provided": 5}),
        (OffsetMismatch, upload(length=9, received=Ranges(0, ((4, 9),))), (9, 0, None), {"expected": 0, "provided": 9}),
        (InvalidLength, upload(length=9), (0, 0, 10), {"length": 9}),
        (InvalidLength, upload(received=Ranges(4)), (4, 0, 3), {"received": 4}),
        (InvalidLength, upload(received=Ranges(4, ((6, 9),))), (4, 0, 8), {"received": 9}),
        (TooLarge, upload(received=Ranges(4)), (4, 0, 101), {"maxSize": 100, "requested": 101}),
        (TooLarge, upload(received=Ranges(4)), (4, 97, None), {"remaining": 96, "requested": 97}),
        (SizeExceeded, upload(length=10, received=Ranges(4)), (4, 7, None), {"remaining": 6, "requested": 7}),
        (SizeExceeded, upload(received=Ranges(4)), (4, 7, 10), {"remaining": 6, "requested": 7}),
        (SizeExceeded, upload(length=9, received=Ranges(9), state=State.COMPLETED), (9, 1, None),
         {"remaining": 0, "requested": 1}),
    ],
)  # fmt: skip
def test_append_says_why(
    error: type[Exception], before: Upload, ask: tuple[int, int | None, int | None], details: dict[str, int]
) -> None:
    with pytest.raises(error) as refused:
        grant_append(before, offset=ask[0], size=ask[1], declares=ask[2], limits=MAX)
    assert type(refused.value) is error
    assert refused.value.details == details  # type: ignore[attr-defined]


CHUNKED = upload(length=10, chunk_size=4, received=Ranges(4, ((8, 10),)))


@pytest.mark.parametrize(
    ("before", "index", "size", "wanted"),
    [
        (CHUNKED, 1, 4, ChunkGrant(4, 8, False)),
        (CHUNKED, 1, None, ChunkGrant(4, 8, False)),
        (CHUNKED, 0, 4, ChunkGrant(0, 4, True)),
        (CHUNKED, 2, 2, ChunkGrant(8, 10, True)),
        (upload(length=8, chunk_size=4, received=Ranges(8), state=State.COMPLETED), 1, 4, ChunkGrant(4, 8, True)),
        (upload(length=8, chunk_size=4, received=Ranges(8), state=State.VERIFYING), 1, 4, ChunkGrant(4, 8, True)),
    ],
)
def test_chunk_is_granted(before: Upload, index: int, size: int | None, wanted: ChunkGrant) -> None:
    assert grant_chunk(before, index, size) == wanted


@pytest.mark.parametrize(
    ("error", "before", "index", "size"),
    [
        (Gone, upload(kind=Kind.FINAL, state=State.EXPIRED), 9, 99),
        (ModifyFinal, upload(kind=Kind.FINAL, state=State.ASSEMBLING), 9, 99),
        (WrongState, upload(), 9, 99),
        (ChunkOutOfRange, CHUNKED, 3, 99),
        (ChunkOutOfRange, CHUNKED, -1, 4),
        (ChunkOutOfRange, CHUNKED, 1, 3),
        (SizeExceeded, CHUNKED, 1, 5),
        (SizeExceeded, CHUNKED, 2, 4),
        (ChunkOutOfRange, upload(length=0), 0, 0),
        (WrongState, upload(length=8, chunk_size=4, received=Ranges(4), state=State.VERIFYING), 1, 4),
    ],
)
def test_chunk_refuses_in_order(error: type[Exception], before: Upload, index: int, size: int) -> None:
    with pytest.raises(error) as refused:
        grant_chunk(before, index, size)
    assert type(refused.value) is error


def test_chunk_size_says_what_it_wants() -> None:
    check_chunk_size(None, 4, 0)
    check_chunk_size(4, 4, 0)
    with pytest.raises(ChunkOutOfRange, match="chunk 2 must have 4 bytes") as refused:
        check_chunk_size(3, 4, 2)
    assert refused.value.details == {"chunkIndex": 2, "expected": 4, "received": 3}
