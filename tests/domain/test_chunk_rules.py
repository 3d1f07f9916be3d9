"""An upload as numbered chunks: a view of its ranges, checked against a set of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusdrive.domain.errors import ChunkOutOfRange
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import State, Upload, chunks_for


def upload(**fields: object) -> Upload:
    return Upload(**{"id": "a" * 32, "account": "ann", "place": "h/a", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "chunk", "count"),
    [(0, 5, 0), (1, 5, 1), (5, 5, 1), (6, 5, 2), (10, 5, 2), (1_073_741_824, 8_388_608, 128)],
)
def test_chunks_for(size: int, chunk: int, count: int) -> None:
    assert chunks_for(size, chunk) == count


def test_chunk_span() -> None:
    ten = upload(length=10, chunk_size=4)
    assert [ten.chunk_span(index) for index in range(3)] == [(0, 4), (4, 8), (8, 10)]
    with pytest.raises(ChunkOutOfRange, match="chunk index must be 0 to 2") as refused:
        ten.chunk_span(3)
    assert refused.value.details == {"chunkIndex": 3, "chunksCount": 3}
    with pytest.raises(ChunkOutOfRange, match="there are no chunks"):
        upload(length=0).chunk_span(0)


def test_done_and_missing() -> None:
    some = upload(length=22, chunk_size=4, received=Ranges(5, ((7, 13), (16, 19), (20, 22))))
    assert some.chunks_done() == [0, 2, 5]
    assert some.chunks_missing() == [(1, 1), (3, 4)]


def test_without_a_length_there_are_no_chunks() -> None:
    deferred = upload(received=Ranges(10**7))
    assert (deferred.chunks_total, deferred.chunks_done(), deferred.chunks_missing()) == (0, [], [])


@given(
    st.integers(1, 40),
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8),
)
def test_a_chunk_is_done_when_all_its_bytes_are(length: int, size: int, spans: list[tuple[int, int]]) -> None:
    received, model = Ranges(), set()
    for start, end in spans:
        received = received.add(min(start, length), min(end, length))
        model |= set(range(min(start, length), min(end, length)))
    some = upload(length=length, chunk_size=size, received=received)
    wanted = [i for i in range(some.chunks_total) if set(range(*some.chunk_span(i))) <= model]
    assert some.chunks_done() == wanted
    missing = [i for first, last in some.chunks_missing() for i in range(first, last + 1)]
    assert missing == [i for i in range(some.chunks_total) if i not in wanted]
    assert some.is_whole is (len(model) == length)
    assert some.progress == 100 * len(model) / length


@pytest.mark.parametrize(
    ("fields", "progress", "whole"),
    [
        ({"length": None, "received": Ranges(5)}, 0.0, False),
        ({"length": 0}, 100.0, True),
        ({"length": 8, "received": Ranges(2, ((6, 8),))}, 50.0, False),
    ],
)
def test_progress(fields: dict[str, object], progress: float, whole: bool) -> None:
    assert (upload(**fields).progress, upload(**fields).is_whole) == (progress, whole)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"reserved": 100}, 100),
        ({"reserved": 100, "allocated": 64, "received": Ranges(10)}, 36),
        ({"reserved": 100, "allocated": 10, "received": Ranges(64)}, 36),
        ({"reserved": 5, "allocated": 64}, 0),
        ({"reserved": 100, "state": State.COMPLETED}, 0),
        ({"reserved": 100, "state": State.FAILED}, 0),
        ({"reserved": 100, "state": State.VERIFYING}, 100),
    ],
)
def test_outstanding(fields: dict[str, object], wanted: int) -> None:
    assert upload(**fields).outstanding == wanted
