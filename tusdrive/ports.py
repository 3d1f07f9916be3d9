"""The interfaces between the parts, each with what it guarantees. No optional methods.

Adapters live in `storage` and `transport`; `services` decides which fills which port. Adapters translate every I/O
error where they see it: StorageFull for a full disk, StorageFailed for the rest, `raise X from exc`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from .domain.account import Account, Space
from .domain.events import Event
from .domain.file import Blob, File
from .domain.upload import State, Upload

T = TypeVar("T")


# ---------------------------------------------------------------------------------------------------- state


class Tx(Protocol):
    """The view of state that a change has while it runs. Values in, values out; nothing here awaits.

    Reads see what this change saved before. `now` is the wall clock in microseconds, the same for the whole change.
    """

    now: int

    def upload(self, id: str) -> Upload | None: ...

    def save_upload(self, upload: Upload) -> None:
        """Insert or replace."""

    def remove_upload(self, id: str) -> None:
        """Forget an ended upload altogether. No error when there is none."""

    def waiting_on(self, part: str) -> list[Upload]:
        """Final uploads in state ASSEMBLING that name `part` among their parts."""

    def file(self, id: str) -> File | None: ...

    def save_file(self, file: File) -> None: ...

    def file_by_hash(self, account: str, algorithm: str, hex: str, size: int, now: int) -> File | None:
        """The account's newest file with that hash ("sha256" or "md5") and size, neither deleted nor expired."""

    def files_of_blob(self, blob: str) -> list[File]:
        """All files over a blob, deleted ones included."""

    def blob(self, id: str) -> Blob | None: ...

    def blob_by_hash(self, sha256: str, size: int) -> Blob | None: ...

    def save_blob(self, blob: Blob) -> None: ...

    def remove_blob(self, id: str) -> None: ...

    def account(self, id: str) -> Account:
        """The account's ledger; a fresh one when it has none yet."""

    def save_account(self, account: Account) -> None: ...

    def space(self) -> Space: ...

    def save_space(self, space: Space) -> None: ...

    def emit(self, event: Event) -> None:
        """Write an event to the outbox; `seq` is given out here, per account, without gaps, from 1."""


class Sort(Enum):
    """What a listing can be ordered by. Ties are broken by id."""

    NAME = "name"
    SIZE = "size"
    CREATED = "created"
    UPDATED = "updated"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A slice of a sorted listing."""

    sort: Sort = Sort.ACTIVE
    descending: bool = True
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """An account's uploads in numbers (REST "stats"). Partial uploads are not counted anywhere."""

    by_state: dict[State, int]
    uploaded_bytes: int  # bytes that arrived, all uploads that still have or became bytes
    average_progress: float  # percent, over the open ones; 0 when there are none


class StateStore(Protocol):
    """State that survives. Single writer, many readers.

    Guarantees: `apply` runs `change` alone, in one transaction, and returns only after that transaction is as durable
    as the store's mode promises; changes of concurrent callers may share a commit. A change that raises leaves no
    trace, and its error is raised to its caller alone. A change may be run more than once: it must do nothing but
    read and save through its Tx. Reads outside a transaction see only committed state.
    """

    async def open(self) -> None:
        """Raises StorageFailed when the state is damaged; never makes a new one over existing bytes."""

    async def close(self) -> None: ...

    async def apply(self, change: Callable[[Tx], T]) -> T: ...

    async def upload(self, id: str) -> Upload | None: ...

    async def file(self, id: str) -> File | None: ...

    async def blob(self, id: str) -> Blob | None: ...

    async def account(self, id: str) -> Account: ...

    async def list_uploads(
        self, account: str, states: frozenset[State] | None, page: Page
    ) -> tuple[list[Upload], int]:
        """A page of an account's uploads (parts of final uploads left out), and how many there are in all."""

    async def list_files(self, account: str, page: Page, now: int) -> tuple[list[File], int]:
        """A page of an account's files, neither deleted nor expired, and how many there are in all."""

    async def stats(self, account: str) -> Stats: ...

    async def open_uploads(self) -> list[Upload]:
        """All in ACTIVE, ASSEMBLING or VERIFYING, of all accounts, oldest first."""

    async def expired_uploads(self, now: int, limit: int) -> list[str]:
        """Ids of uploads (not yet ended, or whole parts) whose expires_at is past."""

    async def stale_ended(self, before: int, limit: int) -> list[str]:
        """Ids of FAILED, CANCELLED and EXPIRED uploads that ended before then."""

    async def expired_files(self, now: int, limit: int) -> list[str]:
        """Ids of files past their expires_at that are not deleted."""

    async def unhashed_blobs(self, limit: int) -> list[Blob]:
        """Blobs whose sha256 is not known, oldest first."""

    async def places(self) -> dict[str, int]:
        """Places of all blobs and of all uploads that own bytes (open ones and whole parts), and how many bytes at
        least must be there. Where that is 0 there may be no file."""

    async def events(self, account: str, after: int, limit: int) -> list[Event]:
        """Outbox entries of an account with seq > after, in order."""

    async def trim_events(self, before: int) -> int:
        """Drop outbox entries older than that; how many."""

    async def recount(self) -> dict[str, tuple[Account, Account]]:
        """Ledgers that differ from the sum of their rows: account id to (as stored, as counted). Empty when sound."""

    def facts(self) -> dict[str, Any]:
        """For /health: at least `engine`, `durability`, `queue` (changes waiting)."""


# ---------------------------------------------------------------------------------------------------- bytes


class ChunkFile(Protocol):
    """One upload's bytes, open for writing at absolute positions."""

    @property
    def allocated(self) -> int:
        """Bytes from zero that the disk has set aside."""

    async def write(self, position: int, pieces: Sequence[bytes | memoryview], *, sync: bool = False) -> int:
        """Write all of `pieces` one after the other from `position`; how many bytes.

        With `sync`, everything written through this file is durable on return (data, and the file's name in its
        directory), unless the store is relaxed. Loops over short writes. If the awaiting task is cancelled, the
        write that is under way is finished before the cancellation is raised.
        Raises StorageFull or StorageFailed; then nothing after the last successful sync may be relied on.
        """

    async def sync(self) -> None:
        """Make what was written durable, as `write(sync=True)` does."""

    async def read(self, position: int, size: int) -> bytes:
        """At most `size` bytes from `position`; fewer only at the end of the file."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A stretch of bytes to copy: all of `place` from 0 to `size`."""

    place: str
    size: int


class ChunkStore(Protocol):
    """Where bytes are. A place is "<hour>/<id>", made by the server only."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def writer(self, place: str, *, expected: int | None) -> ChunkFile:
        """A file to write to, made on its first write. `expected` is the length it will have, if known."""

    async def size(self, place: str) -> int | None:
        """The file's size in bytes; None when there is none."""

    async def remove(self, place: str) -> None:
        """No error when there is none."""

    async def join(self, place: str, sources: Sequence[Source], progress: Callable[[int], None]) -> None:
        """Make `place` of the sources, one after the other, durable on return; reflinks where the disk can.

        `progress` hears the bytes done so far. Replaces whatever an earlier attempt left.
        """

    async def digest(self, place: str, size: int, algorithms: Sequence[str]) -> dict[str, str]:
        """Hex digests of the first `size` bytes, off the loop. Raises StorageFailed when there are fewer."""

    def stream(self, place: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes `[start, end)` in pieces of at most 1 MiB."""

    async def free(self) -> int:
        """Bytes that may still be promised: what the disk has, less the reserve. May be up to 1 s old."""

    async def listing(self) -> list[tuple[str, float]]:
        """All places, with their age in seconds."""


# ---------------------------------------------------------------------------------------------------- bodies


class End(Enum):
    """Why a drain stopped."""

    ENDED = "ended"  # the body is complete
    LIMIT = "limit"  # the limit was reached and the body goes on
    PAUSE = "pause"  # the step or the time for one commit is used up; there is more
    CUT = "cut"  # the client is gone, or the body was malformed
    STOPPED = "stopped"  # somebody else wants the upload, or the server stops
    SLOW = "slow"  # nothing came for too long


@dataclass(frozen=True, slots=True)
class Drained:
    """How many bytes went to the file, durable if that was asked for, and why it stopped. Errors are values here."""

    count: int
    end: End


class Stop(Protocol):
    """Says when a holder should let go."""

    def is_set(self) -> bool: ...

    async def wait(self) -> Any: ...


class Body(Protocol):
    """A request's body. It may be asked for piece by piece or drained to a file, never both at once."""

    @property
    def length(self) -> int | None:
        """Content-Length; None for a chunked body. 0 when there is none."""

    async def drain_to(
        self,
        file: ChunkFile,
        position: int,
        limit: int | None,
        *,
        stop: Stop,
        tap: Callable[[bytes | memoryview], None] | None = None,
        step: int | None = None,
        sync: bool = True,
    ) -> Drained:
        """Write the body to `file` from `position` on, at most up to position `limit`.

        Every byte passes through `tap`, if there is one, before it is written. Returns PAUSE after `step` bytes or
        about a second. Never reads past the limit more than it must to know that there is more (then LIMIT).
        Raises only what the file raises; everything about the body is in the result.
        """

    async def read(self, size: int, *, stop: Stop) -> tuple[bytes, End | None]:
        """At most `size` bytes, at least one unless the second value says why there are none."""

    async def text(self, cap: int) -> bytes:
        """A small body, whole. Raises TooLarge over `cap` bytes, Incomplete when it is cut, BodyTimeout."""


# ---------------------------------------------------------------------------------------------------- locks


class Lock(Protocol):
    """Held while in the `async with`. `stop` is set when somebody else asks for it."""

    stop: Stop


class Locks(Protocol):
    """One writer per upload. Whoever comes asks the holder to let go, and waits until it has.

    A holder must end soon after `stop` is set; whoever holds on longer than the time-out makes the newcomer
    raise Locked. Fair: newcomers get it in order. Kernel or process held: nothing to clean up after a crash.
    """

    def exclusive(self, key: str) -> AbstractAsyncContextManager[Lock]: ...

    def shared(self, key: str) -> AbstractAsyncContextManager[Lock]:
        """Held together with other shared holders, never with an exclusive one."""

    def held(self, key: str) -> bool:
        """Whether somebody holds it now. Nobody is asked to let go."""

    def stop_all(self) -> None:
        """Ask every holder to let go (shutdown)."""


# ---------------------------------------------------------------------------------------------------- who


Now = Callable[[], int]
"""The wall clock in microseconds since 1970 UTC."""

NewId = Callable[[], str]
"""A fresh id: 32 lower-case hex digits, 128 random bits."""

Spawn = Callable[[Awaitable[None]], None]
"""Run something in the background, tracked until shutdown."""
