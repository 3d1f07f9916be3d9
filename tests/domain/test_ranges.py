"""Ranges against the simplest model there is: a set of byte positions."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusdrive.domain.ranges import Ranges, Segment

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda at: (at[0], at[0] + at[1])), max_size=12)
PROBE = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted)


def made(spans: list[tuple[int, int]]) -> tuple[Ranges, set[int]]:
    ranges, model = Ranges(), set()
    for start, end in spans:
        ranges = ranges.add(start, end)
        model |= set(range(start, end))
    return ranges, model


@given(SPANS)
def test_add_is_union_in_one_normal_form(spans: list[tuple[int, int]]) -> None:
    ranges, model = made(spans)
    prefix = next(at for at in range(100) if at not in model)
    assert ranges.prefix == prefix
    assert {at for start, end in ranges.islands for at in range(start, end)} == {at for at in model if at > prefix}
    edges = [prefix, *(edge for island in ranges.islands for edge in island)]
    assert edges == sorted(set(edges)), "islands are sorted, not empty and do not touch"
    assert ranges.total == len(model)
    assert ranges.end == max(model, default=-1) + 1
    assert ranges == made(spans[::-1])[0]


@given(SPANS, PROBE)
def test_covers(spans: list[tuple[int, int]], probe: list[int]) -> None:
    ranges, model = made(spans)
    assert ranges.covers(*probe) is (set(range(*probe)) <= model)


@given(SPANS, PROBE)
def test_segments_and_missing(spans: list[tuple[int, int]], probe: list[int]) -> None:
    ranges, model = made(spans)
    segments = list(ranges.segments(*probe))
    assert [at for each in segments for at in range(each.start, each.end)] == list(range(*probe))
    assert all(each.start < each.end for each in segments)
    assert all((at in model) is not each.fresh for each in segments for at in range(each.start, each.end))
    assert all(one.fresh is not two.fresh for one, two in pairwise(segments))
    assert ranges.missing(*probe) == tuple((each.start, each.end) for each in segments if each.fresh)


@pytest.mark.parametrize(
    ("before", "span", "after"),
    [
        (Ranges(), (0, 0), Ranges()),
        (Ranges(5), (9, 3), Ranges(5)),
        (Ranges(), (0, 5), Ranges(5)),
        (Ranges(5), (5, 9), Ranges(9)),
        (Ranges(5), (2, 3), Ranges(5)),
        (Ranges(5), (7, 9), Ranges(5, ((7, 9),))),
        (Ranges(5, ((7, 9),)), (5, 7), Ranges(9)),
        (Ranges(0, ((7, 9),)), (0, 8), Ranges(9)),
        (Ranges(0, ((2, 3), (7, 9))), (3, 7), Ranges(0, ((2, 9),))),
        (Ranges(0, ((7, 9),)), (2, 4), Ranges(0, ((2, 4), (7, 9)))),
    ],
)
def test_add(before: Ranges, span: tuple[int, int], after: Ranges) -> None:
    assert before.add(*span) == after


def test_segments_of_a_chunk_that_is_half_there() -> None:
    assert list(Ranges(4, ((6, 8),)).segments(2, 10)) == [
        Segment(2, 4, False),
        Segment(4, 6, True),
        Segment(6, 8, False),
        Segment(8, 10, True),
    ]


def test_an_empty_stretch_has_no_segments() -> None:
    """Wherever it lies: among bytes that are there, between them, or at an edge."""
    for at in range(10):
        assert list(Ranges(4, ((6, 8),)).segments(at, at)) == []
