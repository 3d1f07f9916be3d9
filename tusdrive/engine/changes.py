"""The changes of state that the engine makes, each one function that runs whole in one transaction.

They compose the rules of `domain` with the ledger and the outbox. They read and save through the Tx alone, so they
may be run again; what has to happen outside (bytes to remove) is in what they return.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..domain import events
from ..domain.account import Account
from ..domain.errors import Conflict, NotFound
from ..domain.file import Blob, File
from ..domain.upload import (
    GONE,
    Action,
    Kind,
    Limits,
    State,
    Upload,
    declare,
    finish,
    move,
    record,
    require_whole,
)
from ..domain.values import evolve
from ..ports import NewId, Tx
from .ledger import charge, save


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Hashes that the server computed over an upload's bytes, hex."""

    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An upload after it ended, and the places whose bytes nobody needs any more."""

    upload: Upload
    garbage: tuple[str, ...] = ()


def require(tx: Tx, id: str) -> Upload:
    """Raises NotFound."""
    upload = tx.upload(id)
    if upload is None:
        raise NotFound("there is no such upload")
    return upload


def tell_progress(tx: Tx, upload: Upload) -> Upload:
    """Tell listeners how far it is, if that moved a step since they were last told."""
    if not events.is_told(upload) or not events.progress_due(upload):
        return upload
    tx.emit(events.progressed(upload))
    return evolve(upload, emitted=upload.progress)


def start(tx: Tx, upload: Upload, limits: Limits, free: int, new_id: NewId) -> Upload:
    """A new upload. An empty one that needs no telling is finished at once."""
    save(tx, None, upload, limits, free=free)
    if events.is_told(upload):
        tx.emit(events.created(upload))
    if upload.is_whole and upload.auto_finish and upload.state is State.ACTIVE and upload.hash is None:
        return publish(tx, upload, new_id, limits).upload
    return upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Bytes `[start, end)` that are durable on disk, and what goes with them."""

    id: str
    start: int
    end: int
    allocated: int
    length: int | None  # the upload's length, if it is declared with these bytes
    append: bool  # they belong at the end of the prefix
    last: bool  # no more comes in this request
    finish: bool  # if this makes it whole, it is finished


def write(tx: Tx, written: Written, limits: Limits, new_id: NewId) -> Upload:
    """Make bytes part of the upload; finish it, or begin to verify it, when they were the last."""
    before = require(tx, written.id)
    if written.append and before.offset != written.start:
        raise Conflict("another request moved the upload on", expected=before.offset, provided=written.start)
    after = record(before, written.start, written.end, allocated=written.allocated, now=tx.now, limits=limits)
    if written.length is not None and after.length is None:
        after = declare(after, written.length, tx.now)
    elif written.last and after.length is None:
        after = evolve(after, reserved=after.received.end)
    after = tell_progress(tx, after)
    if not (after.is_whole and written.finish):
        return save(tx, before, after, limits)
    if after.hash is not None and after.kind is Kind.WHOLE:
        return save(tx, before, move(after, Action.VERIFY, tx.now), limits)
    return publish(tx, after, new_id, limits, before=before).upload


def reserve(tx: Tx, id: str, upto: int, limits: Limits, free: int) -> Upload:
    """Promise an upload without a length room up to `upto` bytes, before its body is read."""
    before = require(tx, id)
    return save(tx, before, evolve(before, reserved=max(before.reserved, upto)), limits, free=free)


def unreserve(tx: Tx, id: str, limits: Limits) -> Upload:
    """Give back what an upload without a length was promised beyond what arrived."""
    before = require(tx, id)
    if before.length is not None or before.state is not State.ACTIVE:
        return before
    return save(tx, before, evolve(before, reserved=before.received.end), limits)


def publish(
    tx: Tx, upload: Upload, new_id: NewId, limits: Limits, proof: Proof | None = None, *, before: Upload | None = None
) -> Ended:
    """All bytes are there and right: the upload becomes a file (a part only becomes whole).

    Bytes that stand already, by server-computed SHA-256, are shared and these become garbage. Both files are charged
    in full, so that nobody can tell. `before` is the upload as it was saved last, when it is not `upload`.
    """
    proof, before = proof or Proof(), before or upload
    if upload.kind is Kind.PARTIAL:
        return Ended(upload=save(tx, before, finish(upload, None, tx.now), limits))
    size = upload.length or 0
    blob, garbage = _blob(tx, upload, size, proof.sha256)
    file = File(
        id=new_id(), account=upload.account, upload=upload.id, blob=blob.id, name=upload.file_name,
        content_type=upload.content_type, size=size, sha256=proof.sha256, md5=proof.md5, pool=upload.pool,
        bundle=upload.bundle, expires_at=upload.file_expires_at, created_at=tx.now, updated_at=tx.now,
    )
    done = tell_progress(tx, finish(upload, file.id, tx.now))
    save(tx, before, done, limits)
    tx.save_file(file)
    charge(tx, upload.account, size)
    tx.emit(events.completed(done))
    return Ended(upload=done, garbage=garbage)


def _blob(tx: Tx, upload: Upload, size: int, sha256: str | None) -> tuple[Blob, tuple[str, ...]]:
    standing = tx.blob_by_hash(sha256, size) if sha256 else None
    if standing is not None:
        shared = evolve(standing, refs=standing.refs + 1)
        tx.save_blob(shared)
        return shared, (upload.place,)
    blob = Blob(id=upload.id, place=upload.place, size=size, sha256=sha256, created_at=tx.now)
    tx.save_blob(blob)
    return blob, ()


def begin_verify(tx: Tx, id: str, limits: Limits, new_id: NewId, correct: Callable[[Upload], Upload]) -> Ended:
    """Completion was asked for. Without a declared hash it is finished here; otherwise the state is VERIFYING.

    `correct` may replace the declared hash. A finished or verifying upload comes back as it is.
    """
    before = require(tx, id)
    if before.state in (State.COMPLETED, State.VERIFYING):
        return Ended(upload=before)
    if before.state is State.ACTIVE:
        require_whole(before)
    wanted = correct(before)
    after = move(wanted, Action.VERIFY, tx.now)
    if after.hash is None:
        return publish(tx, wanted, new_id, limits, before=before)
    return Ended(upload=save(tx, before, after, limits))


def end_verify(tx: Tx, id: str, proof: Proof, new_id: NewId, limits: Limits) -> Ended:
    """The declared hash was right."""
    upload = require(tx, id)
    if upload.state is State.COMPLETED:
        return Ended(upload=upload)
    return publish(tx, upload, new_id, limits, proof)


def refute(tx: Tx, id: str, message: str, limits: Limits) -> Upload:
    """The declared hash was wrong, or could not be checked: back to taking requests, nothing lost."""
    before = require(tx, id)
    after = move(before, Action.REFUTE, tx.now, error=message)
    tx.emit(events.failed(after, message))
    return save(tx, before, after, limits)


def fail(tx: Tx, id: str, message: str, limits: Limits) -> Ended:
    """It can never be finished. Its bytes are garbage."""
    before = require(tx, id)
    after = move(before, Action.FAIL, tx.now, error=message)
    save(tx, before, after, limits)
    if events.is_told(after):
        tx.emit(events.failed(after, message))
    return Ended(upload=after, garbage=(before.place, *_fail_waiting(tx, before, limits)))


def cancel(tx: Tx, id: str, limits: Limits, *, finished_too: bool) -> Ended:
    """Its owner gives it up. A finished one goes with its file, if `finished_too`; else WrongState."""
    before = require(tx, id)
    if before.state is State.COMPLETED and before.kind is not Kind.PARTIAL:
        return _cancel_finished(tx, before, limits, finished_too)
    after = move(before, Action.CANCEL, tx.now)
    save(tx, before, after, limits)
    if events.is_told(after):
        tx.emit(events.cancelled(after))
    return Ended(upload=after, garbage=(before.place, *_fail_waiting(tx, before, limits)))


def _cancel_finished(tx: Tx, before: Upload, limits: Limits, finished_too: bool) -> Ended:
    if not finished_too:
        raise Conflict("the upload is completed; delete its file instead", fileId=before.file_id)
    after = move(before, Action.CANCEL, tx.now)
    save(tx, before, after, limits)
    file = tx.file(before.file_id or "")
    garbage = delete_file(tx, file) if file is not None and file.deleted_at is None else ()
    return Ended(upload=after, garbage=garbage)


def expire(tx: Tx, id: str, limits: Limits, is_due: Callable[[Upload, int], bool]) -> Ended | None:
    """Its time is up; None when it is not, after all."""
    before = tx.upload(id)
    if before is None or not is_due(before, tx.now):
        return None
    after = move(before, Action.EXPIRE, tx.now, error=before.error or "the upload expired")
    save(tx, before, after, limits)
    if events.is_told(after):
        tx.emit(events.failed(after, "the upload expired"))
    return Ended(upload=after, garbage=(before.place, *_fail_waiting(tx, before, limits)))


def _fail_waiting(tx: Tx, part: Upload, limits: Limits) -> tuple[str, ...]:
    """Finals that wait for a part which is gone can never be finished."""
    if part.kind is not Kind.PARTIAL:
        return ()
    garbage: list[str] = []
    for final in tx.waiting_on(part.id):
        garbage += fail(tx, final.id, f"its part {part.id} is gone", limits).garbage
    return tuple(garbage)


def delete_file(tx: Tx, file: File) -> tuple[str, ...]:
    """The file goes; its bytes too when no other file shares them. Returns the places that are garbage now."""
    tx.save_file(evolve(file, deleted_at=tx.now, updated_at=tx.now))
    charge(tx, file.account, -file.size)
    blob = tx.blob(file.blob)
    if blob is None:
        return ()
    if blob.refs > 1:
        tx.save_blob(evolve(blob, refs=blob.refs - 1))
        return ()
    tx.remove_blob(blob.id)
    return (blob.place,)


def know_hash(tx: Tx, blob_id: str, sha256: str) -> tuple[str, ...]:
    """A blob's hash was computed after the fact. Merges it with one that stands; returns the places now garbage."""
    blob = tx.blob(blob_id)
    if blob is None or blob.sha256 is not None:
        return ()
    standing = tx.blob_by_hash(sha256, blob.size)
    target = blob.id if standing is None else standing.id
    for file in tx.files_of_blob(blob.id):
        tx.save_file(evolve(file, blob=target, sha256=sha256))
    if standing is None:
        tx.save_blob(evolve(blob, sha256=sha256))
        return ()
    tx.save_blob(evolve(standing, refs=standing.refs + blob.refs))
    tx.remove_blob(blob.id)
    return (blob.place,)


def forget(tx: Tx, ids: list[str]) -> int:
    """Drop ended uploads altogether; how many."""
    dropped = 0
    for id in ids:
        upload = tx.upload(id)
        if upload is not None and upload.state in GONE:
            tx.remove_upload(id)
            dropped += 1
    return dropped


def set_ledger(tx: Tx, id: str, counted: Account) -> None:
    """Set a ledger to what its rows add up to; the empty id is the disk's."""
    if not id:
        return tx.save_space(evolve(tx.space(), promised=counted.promised))
    return tx.save_account(evolve(tx.account(id), used=counted.used, promised=counted.promised))
