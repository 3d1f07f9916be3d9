"""Changes of state for final uploads: the ones that are made of other uploads (tus 1.0.0 "Concatenation")."""

from __future__ import annotations

from ..domain import events
from ..domain.errors import InvalidConcat
from ..domain.ranges import Ranges
from ..domain.upload import GONE, Action, Kind, Limits, State, Upload, check_size, move
from ..domain.values import evolve
from ..ports import NewId, Tx
from .changes import Ended, publish, require, tell_progress
from .ledger import save


def start_final(tx: Tx, upload: Upload, limits: Limits, free: int) -> tuple[Upload, bool]:
    """A final upload over its parts, and whether all of them are whole. Raises InvalidConcat."""
    parts = [_part(tx, id, upload.account) for id in upload.parts]
    lengths = [part.length for part in parts]
    known = None if None in lengths else sum(length or 0 for length in lengths)
    if known is not None:
        check_size(known, limits)
    final = evolve(upload, state=State.ASSEMBLING, length=known, reserved=known or 0)
    save(tx, None, final, limits, free=free)
    tx.emit(events.created(final))
    return final, all(part.state is State.COMPLETED for part in parts)


def _part(tx: Tx, id: str, account: str) -> Upload:
    part = tx.upload(id)
    if part is None or part.account != account or part.state in GONE:
        raise InvalidConcat("a part of this final upload does not exist", part=id)
    if part.kind is not Kind.PARTIAL:
        raise InvalidConcat("only partial uploads can be joined", part=id)
    return part


def ready_finals(tx: Tx, part: str) -> list[Upload]:
    """Finals that wait for `part` and whose parts are all whole now."""
    return [final for final in tx.waiting_on(part) if all(_is_done(tx, id) for id in final.parts)]


def _is_done(tx: Tx, id: str) -> bool:
    part = tx.upload(id)
    return part is not None and part.state is State.COMPLETED


def joined_so_far(tx: Tx, id: str, done: int, limits: Limits) -> Upload | None:
    """A final upload has `done` bytes by now; None when it is not being joined any more."""
    before = tx.upload(id)
    if before is None or before.state is not State.ASSEMBLING:
        return None
    after = evolve(before, received=Ranges(done), allocated=done, active_at=tx.now, updated_at=tx.now)
    return save(tx, before, tell_progress(tx, after), limits)

def assemble(tx: Tx, id: str, size: int, limits: Limits, new_id: NewId) -> Ended:
    """A final upload's bytes were joined."""
    before = require(tx, id)
    if before.state is not State.ASSEMBLING:
        move(before, Action.FINISH, tx.now)
    after = evolve(before, length=size, received=Ranges(size), allocated=size, reserved=size, active_at=tx.now)
    return publish(tx, after, new_id, limits, before=before)
