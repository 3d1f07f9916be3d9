"""State that survives: values in transactions, and what can be asked of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from ..domain.account import Account, Space
from ..domain.events import Event
from ..domain.file import Blob, File
from ..domain.upload import State, Upload

T = TypeVar("T")


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
    read and save through its Tx. A caller that is cancelled hears of it only when its change is decided, so that it
    may let go of its lock then. Reads outside a transaction see only committed state.
    """

    async def open(self) -> None:
        """Raises StorageFailed when the state is damaged; never makes a new one over existing bytes."""

    async def close(self) -> None: ...

    async def apply(self, change: Callable[[Tx], T], *, frees: bool = False) -> T:
        """Run `change`. With `frees` it gives back more room than it takes, and is committed on a full disk too."""

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
