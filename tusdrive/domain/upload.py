"""What an upload is, and what may happen to it.

All rules about an upload's state live here, as a table and as pure functions from values to values; who may write
bytes where is in `grants`.
Times are whole microseconds since 1970-01-01 UTC; sizes and positions are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .checksum import FileHash
from .errors import (
    ChunkOutOfRange,
    Gone,
    InvalidLength,
    MissingChunks,
    TooLarge,
    WrongState,
)
from .ranges import Ranges, Span
from .values import evolve

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOTHING = Ranges()


class State(Enum):
    """Where an upload stands."""

    # Members are one of a kind, and are looked up in tables twenty times for a small upload: Enum's own hash is slow.
    __hash__ = object.__hash__

    ACTIVE = "active"  # takes bytes
    ASSEMBLING = "assembling"  # made of parts that are unfinished or still being copied
    VERIFYING = "verifying"  # all bytes are there, the declared hash is being checked
    COMPLETED = "completed"  # a file, or a part that is whole
    FAILED = "failed"  # cannot be finished; `error` says why
    CANCELLED = "cancelled"  # removed by its owner
    EXPIRED = "expired"  # removed because nobody went on with it


class Action(Enum):
    """What may be asked of an upload."""

    __hash__ = object.__hash__

    WRITE = "write"  # bytes, or a length
    VERIFY = "verify"  # begin to check the declared hash
    REFUTE = "refute"  # the hash differs: back to where it was, nothing lost
    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"
    EXPIRE = "expire"


_OPEN = {Action.FAIL: State.FAILED, Action.CANCEL: State.CANCELLED, Action.EXPIRE: State.EXPIRED}

TRANSITIONS: dict[State, dict[Action, State]] = {
    State.ACTIVE: {
        Action.WRITE: State.ACTIVE,
        Action.VERIFY: State.VERIFYING,
        Action.FINISH: State.COMPLETED,
        **_OPEN,
    },
    State.ASSEMBLING: {Action.FINISH: State.COMPLETED, **_OPEN},
    State.VERIFYING: {
        Action.REFUTE: State.ACTIVE,
        Action.FINISH: State.COMPLETED,
        Action.FAIL: State.FAILED,
        Action.CANCEL: State.CANCELLED,
    },
    State.COMPLETED: {Action.CANCEL: State.CANCELLED, Action.EXPIRE: State.EXPIRED},
    State.FAILED: {Action.CANCEL: State.CANCELLED, Action.EXPIRE: State.EXPIRED},
    State.CANCELLED: {},
    State.EXPIRED: {},
}

GONE = frozenset({State.CANCELLED, State.EXPIRED, State.FAILED})
"""States in which there are no bytes to ask for any more."""


class Kind(Enum):
    """What becomes of an upload's bytes."""

    WHOLE = "whole"  # becomes a file
    PARTIAL = "partial"  # waits to be joined into a final upload (tus Upload-Concat: partial)
    FINAL = "final"  # is made of other uploads (tus Upload-Concat: final)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server allows. None means no limit."""

    max_size: int | None = None
    default_chunk_size: int = 5 * 1024 * 1024
    min_chunk_size: int = 1024
    max_chunk_size: int = 16 * 1024 * 1024
    max_chunks: int = 100_000
    expire_after: int | None = None  # microseconds without activity
    quota: int | None = None  # bytes per account, unless the account has its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload, whatever language its client speaks."""

    id: str
    account: str
    place: str  # where its bytes are, relative to the store: "<hour>/<id>"
    kind: Kind = Kind.WHOLE
    state: State = State.ACTIVE
    length: int | None = None  # None: not declared yet
    received: Ranges = NOTHING
    allocated: int = 0  # bytes the disk has set aside already
    reserved: int = 0  # bytes promised to it in the account's ledger
    auto_finish: bool = True  # becomes a file as soon as all bytes arrived, without being told to
    file_name: str = ""
    content_type: str = ""
    metadata: str | None = None  # the Upload-Metadata header as the client sent it
    chunk_size: int = 5 * 1024 * 1024
    hash: FileHash | None = None  # declared for the whole file
    pool: str | None = None
    bundle: str | None = None
    parts: tuple[str, ...] = ()  # ids, for Kind.FINAL
    concat: str | None = None  # the Upload-Concat header as the client sent it
    file_id: str | None = None  # once it is a file
    error: str | None = None
    emitted: float = 0.0  # progress, percent, that was last told to listeners
    expires_at: int | None = None  # when it goes if nobody goes on with it
    file_expires_at: int | None = None  # when the file goes (REST `expiredAt`)
    created_at: int = 0
    updated_at: int = 0  # any change
    active_at: int = 0  # last bytes
    ended_at: int | None = None

    @property
    def offset(self) -> int:
        """The contiguous prefix: what tus calls Upload-Offset."""
        return self.received.prefix

    @property
    def is_whole(self) -> bool:
        """Whether all bytes arrived."""
        return self.length is not None and self.received.prefix == self.length

    @property
    def progress(self) -> float:
        """Percent of the declared length that arrived, 0 to 100. Unknown length counts as 0, zero length as 100."""
        if self.length is None:
            return 0.0
        if self.length == 0:
            return 100.0
        return 100.0 * self.received.total / self.length

    @property
    def outstanding(self) -> int:
        """Bytes promised to it that the disk has not set aside yet."""
        if self.state in GONE or self.state is State.COMPLETED:
            return 0
        return max(0, self.reserved - max(self.allocated, self.received.total))

    @property
    def chunks_total(self) -> int:
        return chunks_for(self.length or 0, self.chunk_size)

    def chunk_span(self, index: int) -> Span:
        """The byte range of chunk `index`. Raises ChunkOutOfRange when there is none."""
        if not 0 <= index < self.chunks_total:
            known = f"chunk index must be 0 to {self.chunks_total - 1}" if self.chunks_total else "there are no chunks"
            raise ChunkOutOfRange(known, chunkIndex=index, chunksCount=self.chunks_total)
        start = index * self.chunk_size
        return start, min(start + self.chunk_size, self.length or 0)

    def chunks_done(self) -> list[int]:
        """Indices of the chunks whose bytes all arrived, ascending."""
        if self.length is None:
            return []
        done = list(range(self.chunks_total if self.is_whole else self.offset // self.chunk_size))
        for start, end in self.received.islands:
            first = -(-start // self.chunk_size)
            last = self.chunks_total if end == self.length else end // self.chunk_size
            done.extend(range(first, last))
        return done

    def chunks_missing(self) -> list[Span]:
        """Chunks not arrived, as index ranges, both ends included."""
        runs: list[Span] = []
        for start, end in self.received.missing(0, self.length or 0):
            first, last = start // self.chunk_size, (end - 1) // self.chunk_size
            if runs and runs[-1][1] + 1 >= first:
                runs[-1] = (runs[-1][0], last)
            else:
                runs.append((first, last))
        return runs


def chunks_for(size: int, chunk_size: int) -> int:
    """How many chunks a size needs; the last may be shorter."""
    return -(-size // chunk_size)


def check_size(length: int, limits: Limits) -> None:
    """Raises TooLarge when `length` is over the limit."""
    if limits.max_size is not None and length > limits.max_size:
        message = f"the largest upload taken is {limits.max_size} bytes"
        raise TooLarge(message, maxSize=limits.max_size, requested=length)


def move(upload: Upload, action: Action, now: int, error: str | None = None) -> Upload:
    """Take one step of TRANSITIONS. Raises Gone or WrongState when the table has no such step."""
    target = TRANSITIONS[upload.state].get(action)
    if target is None:
        refuse_gone(upload)
        raise WrongState(f"the upload is {upload.state.value}", state=upload.state.value)
    if target is upload.state:
        return upload
    ended = now if target in GONE or target is State.COMPLETED else None
    return evolve(upload, state=target, updated_at=now, ended_at=ended, error=error or upload.error)


def refuse_gone(upload: Upload) -> None:
    """Raises Gone when its bytes no longer exist."""
    if upload.state in GONE:
        raise Gone(f"the upload is {upload.state.value}", state=upload.state.value)


def record(upload: Upload, start: int, end: int, *, allocated: int, now: int, limits: Limits) -> Upload:
    """`[start, end)` is on disk. Also slides the expiry. Raises Gone or WrongState when it no longer takes bytes."""
    move(upload, Action.WRITE, now)
    received = upload.received.add(start, end)
    return evolve(
        upload,
        received=received,
        allocated=max(upload.allocated, allocated),
        reserved=max(upload.reserved, received.end),
        updated_at=now,
        active_at=now if end > start else upload.active_at,
        expires_at=slide(upload, now, limits),
    )


def declare(upload: Upload, length: int, now: int) -> Upload:
    """The length is known now. The caller checked it (grant_append) and settles the ledger with `reserved`."""
    move(upload, Action.WRITE, now)
    if upload.length == length:
        return upload
    if upload.length is not None or length < upload.received.end:
        raise InvalidLength("the length of an upload cannot be changed", length=upload.length)
    return evolve(upload, length=length, reserved=max(length, upload.received.end), updated_at=now)


def slide(upload: Upload, now: int, limits: Limits) -> int | None:
    """When it expires, if this is its last sign of life. Never earlier than before."""
    if limits.expire_after is None:
        return upload.expires_at
    return max(upload.expires_at or 0, now + limits.expire_after)


def require_whole(upload: Upload) -> None:
    """Raises MissingChunks, with `missingChunks` as [first, last] index ranges, unless all bytes arrived."""
    if upload.is_whole:
        return
    if upload.length is None:
        raise MissingChunks("the upload has no length yet", received=upload.offset)
    missing = upload.chunks_missing()
    raise MissingChunks(
        missingChunks=[list(run) for run in missing],
        missingBytes=upload.length - upload.received.total,
        taskId=upload.id,
    )


def finish(upload: Upload, file_id: str | None, now: int) -> Upload:
    """All bytes are there and are what they should be. `file_id` is None for a partial upload."""
    require_whole(upload)
    done = move(upload, Action.FINISH, now)
    return evolve(done, file_id=file_id, error=None, expires_at=upload.expires_at if file_id is None else None)


def is_expired(upload: Upload, now: int) -> bool:
    """Whether its time is up. A finished file does not expire as an upload; a finished part does."""
    if upload.expires_at is None or upload.expires_at > now:
        return False
    return Action.EXPIRE in TRANSITIONS[upload.state] and upload.file_id is None
