"""The state machine, written down a second time: editing TRANSITIONS must break a test."""

from __future__ import annotations

import pytest

from tusdrive.domain.errors import Gone, InvalidLength, MissingChunks, TooLarge, WrongState
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import (
    GONE,
    Action,
    Kind,
    Limits,
    State,
    Upload,
    check_size,
    declare,
    finish,
    is_expired,
    move,
    record,
    refuse_gone,
    require_whole,
    slide,
)

MACHINE = """
             write   verify     refute  finish     fail    cancel     expire
active       active  verifying  wrong   completed  failed  cancelled  expired
assembling   wrong   wrong      wrong   completed  failed  cancelled  expired
verifying    wrong   wrong      active  completed  failed  cancelled  wrong
completed    wrong   wrong      wrong   wrong      wrong   cancelled  expired
failed       gone    gone       gone    gone       gone    cancelled  expired
cancelled    gone    gone       gone    gone       gone    gone       gone
expired      gone    gone       gone    gone       gone    gone       gone
"""

ACTIONS, *ROWS = [line.split() for line in MACHINE.strip().splitlines()]
CELLS = [(state, action, cell) for state, *cells in ROWS for action, cell in zip(ACTIONS, cells, strict=True)]


def upload(**fields: object) -> Upload:
    return Upload(**{"id": "a" * 32, "account": "ann", "place": "h/a", **fields})  # type: ignore[arg-type]


def test_the_table_names_every_state_and_action() -> None:
    assert {state for state, *_ in ROWS} == {state.value for state in State}
    assert set(ACTIONS) == {action.value for action in Action}


@pytest.mark.parametrize(("state", "action", "cell"), CELLS)
def test_move(state: str, action: str, cell: str) -> None:
    before = upload(state=State(state), updated_at=1)
    if cell in ("gone", "wrong"):
        with pytest.raises(Gone if cell == "gone" else WrongState) as refused:
            move(before, Action(action), 9)
        assert refused.value.details == {"state": state}
        return
    after = move(before, Action(action), 9)
    assert after.state.value == cell
    assert after.ended_at == (9 if cell in ("completed", "failed", "cancelled", "expired") else None)
    assert after.updated_at == (1 if cell == state else 9)


def test_move_keeps_an_old_error_and_takes_a_new_one() -> None:
    failed = move(upload(), Action.FAIL, 5, error="broken")
    assert (failed.error, move(failed, Action.CANCEL, 6).error) == ("broken", "broken")


def test_gone_states() -> None:
    assert {state.value for state in GONE} == {"cancelled", "expired", "failed"}
    refuse_gone(upload(state=State.COMPLETED))
    with pytest.raises(Gone, match="the upload is expired"):
        refuse_gone(upload(state=State.EXPIRED))


def test_check_size() -> None:
    check_size(10**15, Limits())
    check_size(100, Limits(max_size=100))
    with pytest.raises(TooLarge) as refused:
        check_size(101, Limits(max_size=100))
    assert refused.value.details == {"maxSize": 100, "requested": 101}


def test_record() -> None:
    limits = Limits(expire_after=1000)
    before = upload(length=10, expires_at=1500, created_at=1, active_at=1, reserved=10)
    after = record(before, 0, 4, allocated=8, now=600, limits=limits)
    assert (after.offset, after.allocated, after.reserved) == (4, 8, 10)
    assert (after.updated_at, after.active_at, after.expires_at) == (600, 600, 1600)
    again = record(after, 6, 10, allocated=2, now=700, limits=Limits())
    assert (again.received, again.allocated, again.expires_at) == (Ranges(4, ((6, 10),)), 8, 1600)


def test_record_of_nothing_is_no_activity() -> None:
    after = record(upload(active_at=1), 0, 0, allocated=0, now=5, limits=Limits())
    assert (after.active_at, after.updated_at) == (1, 5)


def test_record_grows_the_promise_of_an_upload_without_length() -> None:
    assert record(upload(), 0, 7, allocated=0, now=5, limits=Limits()).reserved == 7


@pytest.mark.parametrize(("state", "error"), [(State.VERIFYING, WrongState), (State.CANCELLED, Gone)])
def test_record_refuses(state: State, error: type[Exception]) -> None:
    with pytest.raises(error):
        record(upload(state=state), 0, 1, allocated=0, now=1, limits=Limits())


def test_declare() -> None:
    after = declare(upload(received=Ranges(4)), 10, 7)
    assert (after.length, after.reserved, after.updated_at) == (10, 10, 7)
    assert declare(after, 10, 8) is after
    assert declare(upload(received=Ranges(4)), 4, 7).is_whole


@pytest.mark.parametrize(
    ("before", "length"),
    [(upload(length=10), 11), (upload(received=Ranges(4)), 3), (upload(received=Ranges(0, ((2, 5),))), 4)],
)
def test_declare_refuses(before: Upload, length: int) -> None:
    with pytest.raises(InvalidLength):
        declare(before, length, 7)


def test_declare_refuses_what_ended() -> None:
    with pytest.raises(Gone):
        declare(upload(state=State.FAILED), 10, 7)


@pytest.mark.parametrize(
    ("expires_at", "after", "wanted"),
    [(None, None, None), (50, None, 50), (None, 100, 110), (50, 100, 110), (200, 100, 200)],
)
def test_slide(expires_at: int | None, after: int | None, wanted: int | None) -> None:
    assert slide(upload(expires_at=expires_at), 10, Limits(expire_after=after)) == wanted


def test_require_whole() -> None:
    require_whole(upload(length=0))
    require_whole(upload(length=5, received=Ranges(5)))
    with pytest.raises(MissingChunks) as refused:
        require_whole(upload(length=10, chunk_size=2, received=Ranges(2, ((5, 8),))))
    assert refused.value.details == {"missingChunks": [[1, 2], [4, 4]], "missingBytes": 5, "taskId": "a" * 32}
    with pytest.raises(MissingChunks, match="no length yet") as refused:
        require_whole(upload(received=Ranges(3)))
    assert refused.value.details == {"received": 3}


def test_finish() -> None:
    whole = upload(length=5, received=Ranges(5), expires_at=99, error="the hash differed")
    done = finish(whole, "f" * 32, 7)
    assert (done.state, done.file_id, done.error, done.expires_at, done.ended_at) == (
        State.COMPLETED, "f" * 32, None, None, 7,
    )  # fmt: skip
    part = finish(whole, None, 7)
    assert (part.state, part.file_id, part.expires_at) == (State.COMPLETED, None, 99)
    with pytest.raises(MissingChunks):
        finish(upload(length=5), "f" * 32, 7)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"expires_at": None}, False),
        ({"expires_at": 11}, False),
        ({"expires_at": 10}, True),
        ({"expires_at": 10, "state": State.ASSEMBLING}, True),
        ({"expires_at": 10, "state": State.VERIFYING}, False),
        ({"expires_at": 10, "state": State.COMPLETED, "kind": Kind.PARTIAL}, True),
        ({"expires_at": 10, "state": State.COMPLETED, "file_id": "f" * 32}, False),
        ({"expires_at": 10, "state": State.FAILED}, True),
        ({"expires_at": 10, "state": State.CANCELLED}, False),
        ({"expires_at": 10, "state": State.EXPIRED}, False),
    ],
)
def test_is_expired(fields: dict[str, object], wanted: bool) -> None:
    assert is_expired(upload(**fields), 10) is wanted
