"""What the API promises, as a small model in memory: which answer each request gets, and what it changes.

Written from the protocols' texts, not from the server: no ranges, no transactions, one flag per byte.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

Said = tuple[int, str]
"""A status, and the error code that goes with it ("" for none)."""

OK = (200, "")
ENDED = ("cancelled", "expired", "failed")
STATUS = {
    "active": "InProgress", "waiting": "InProgress", "completed": "Completed",
    "cancelled": "Cancelled", "expired": "Expired", "failed": "Failed",
}  # fmt: skip


@dataclass(eq=False)
class Stored:
    """A finished file."""

    id: str
    account: str
    name: str
    data: bytes
    deleted: bool = False


@dataclass(eq=False)
class Item:
    """An upload. `data` is what it is to hold in the end; `have` says of each byte whether it arrived."""

    at: str  # its path, query included
    id: str
    account: str
    data: bytes
    kind: str = "whole"  # or "partial", "final"
    told: bool = False  # made by REST: finished only when it is told to
    declared: bool = True  # its length is known
    chunk: int = 5 * 1024 * 1024
    hash: str | None = None  # "right" or "wrong"
    name: str = ""
    parts: list[Item] = field(default_factory=list)
    state: str = "active"
    file: Stored | None = None
    ended_on: int | None = None  # the day
    have: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.have = bytearray(len(self.data))

    @property
    def offset(self) -> int:
        at = self.have.find(0)
        return len(self.have) if at < 0 else at

    @property
    def whole(self) -> bool:
        return self.declared and self.offset == len(self.data)

    @property
    def chunks(self) -> int:
        return -(-len(self.data) // self.chunk) if self.declared else 0

    def span(self, index: int) -> tuple[int, int]:
        return index * self.chunk, min(len(self.data), (index + 1) * self.chunk)

    def done(self) -> list[int]:
        """Indices of the chunks that arrived."""
        return [index for index in range(self.chunks) if all(self.have[slice(*self.span(index))])]

    def missing(self) -> list[list[int]]:
        """Runs of chunks that did not arrive, both ends included."""
        runs: list[list[int]] = []
        for index in sorted(set(range(self.chunks)) - set(self.done())):
            if runs and runs[-1][1] == index - 1:
                runs[-1][1] = index
            else:
                runs.append([index, index])
        return runs

    def put(self, start: int, end: int) -> None:
        self.have[start:end] = b"\1" * (end - start)


@dataclass
class Model:
    """All uploads and files of one test run. A day ends when `next_day` is called."""

    items: list[Item] = field(default_factory=list)
    files: list[Stored] = field(default_factory=list)
    day: int = 0

    # ------------------------------------------------------------------------------------------ refusals

    def tus_refusal(self, item: Item) -> Said | None:
        """What any tus request to an upload that ended is told: 410 on the day, 404 later."""
        if item.state not in ENDED:
            return None
        return (410, "GONE") if item.ended_on == self.day else (404, "NOT_FOUND")

    def rest_refusal(self, item: Item) -> Said | None:
        return (410, "GONE") if item.state in ENDED else None

    # ------------------------------------------------------------------------------------------ tus

    def head(self, item: Item) -> Said:
        if item.file is not None and item.file.deleted and item.state == "completed":
            return 410, "GONE"
        return self.tus_refusal(item) or OK

    def patch(
        self, item: Item, offset: int, body: bytes, *, declares: bool = False, checked: bool | None = None
    ) -> Said:
        """PATCH, with a checksum that is right or wrong, or with none."""
        refused = self.tus_refusal(item)
        if refused is not None:
            return refused
        if item.kind == "final":
            return 403, "MODIFY_FINAL"
        if offset != item.offset:
            return 409, "OFFSET_MISMATCH"
        known = item.declared or declares
        if known and offset + len(body) > len(item.data):
            return 413, "SIZE_EXCEEDED"
        if item.state == "completed":
            return (460, "CHECKSUM_MISMATCH") if checked is False else (204, "")
        for at, byte in enumerate(body, offset):
            if item.have[at] and item.data[at] != byte:
                if checked is None:  # what came before the island is kept
                    item.put(offset, at)
                return 409, "BYTES_DIFFER"
        if checked is False:
            return 460, "CHECKSUM_MISMATCH"
        item.declared = known
        item.put(offset, offset + len(body))
        return self._arrived(item) or (204, "")

    def cut(self, item: Item, offset: int) -> None:
        """The server says that this much of a body that broke off arrived."""
        item.put(0, offset)
        assert item.offset == offset

    def _arrived(self, item: Item) -> Said | None:
        """After bytes of an append: a whole upload is finished, or not if its hash is wrong."""
        if item.state != "active" or not item.whole:
            return None
        if item.hash == "wrong":
            return 422, "HASH_MISMATCH"
        self.finish(item)
        return None

    def remove(self, item: Item) -> Said:
        """tus DELETE."""
        refused = self.tus_refusal(item)
        if refused is not None:
            return refused
        self._end(item, "cancelled")
        return 204, ""

    # ------------------------------------------------------------------------------------------ REST

    def put_chunk(self, item: Item, index: int, body: bytes) -> Said:
        refused = self.rest_refusal(item)
        if refused is not None:
            return refused
        if item.kind == "final":
            return 403, "MODIFY_FINAL"
        if not item.declared:
            return 409, "WRONG_STATE"
        if index >= item.chunks:
            return 400, "CHUNK_OUT_OF_RANGE"
        start, end = item.span(index)
        if len(body) != end - start:
            return (413, "SIZE_EXCEEDED") if len(body) > end - start else (400, "CHUNK_OUT_OF_RANGE")
        there = all(item.have[start:end])
        same = all(not item.have[at] or item.data[at] == byte for at, byte in enumerate(body, start))
        if there or not same:
            return 409, "CHUNK_EXISTS"
        item.put(start, end)
        if item.whole and not item.told:
            self.finish(item)
        return OK

    def complete(self, item: Item, corrected: bool) -> Said:
        refused = self.rest_refusal(item)
        if refused is not None:
            return refused
        if item.state == "completed":
            if item.file is None:
                return 409, "WRONG_STATE"  # a part
            return (410, "GONE") if item.file.deleted else OK
        if item.state == "waiting":
            return 409, "WRONG_STATE"
        if not item.whole:
            return 409, "CHUNKS_MISSING"
        if corrected:
            item.hash = "right"
        if item.hash == "wrong":
            return 422, "HASH_MISMATCH"
        self.finish(item)
        return OK

    def cancel(self, item: Item) -> Said:
        """REST DELETE of a task. One that failed can still be put away."""
        refused = self.rest_refusal(item)
        if refused is not None and item.state != "failed":
            return refused
        if item.state == "completed" and item.kind != "partial":
            return 409, "CONFLICT"
        self._end(item, "cancelled")
        return OK

    def delete_file(self, file: Stored) -> Said:
        if file.deleted:
            return 410, "GONE"
        file.deleted = True
        return 204, ""

    def existing(self, account: str, data: bytes) -> list[Stored]:
        """The account's own files with these bytes."""
        return [f for f in self.files if f.account == account and not f.deleted and f.data == data]

    # ------------------------------------------------------------------------------------------ what follows

    def join(self, item: Item) -> None:
        """A final upload: finished when its parts are all whole."""
        whole = all(part.state == "completed" for part in item.parts)
        item.declared = all(part.declared for part in item.parts)
        item.state = "waiting"
        if whole:
            self._joined(item)

    def _joined(self, item: Item) -> None:
        item.declared = True
        item.put(0, len(item.data))
        self.finish(item)

    def finish(self, item: Item) -> None:
        item.state = "completed"
        if item.kind == "partial":
            for final in self.items:
                if final.state == "waiting" and all(part.state == "completed" for part in final.parts):
                    self._joined(final)
            return
        item.file = Stored(id="", account=item.account, name=item.name, data=item.data)
        self.files.append(item.file)

    def _end(self, item: Item, state: str) -> None:
        if item.file is not None:
            item.file.deleted = True
        item.state, item.ended_on = state, self.day
        for final in self.items:
            if final.state == "waiting" and item in final.parts:
                final.state, final.ended_on = "failed", self.day

    def next_day(self) -> None:
        """More than a day goes by: what is unfinished expires, and so do whole parts."""
        self.day += 1
        for item in self.items:
            if item.state in ("active", "waiting") or (item.kind == "partial" and item.state == "completed"):
                item.state, item.ended_on = "expired", self.day
        # A final that waited is failed by its part if that is swept first, and expired otherwise: gone in both cases.


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
