"""The unit of work that all stores share: state changes in plain Python, over a loader of committed state.

A unit is a batch of changes that will be committed together. Each change runs on an overlay of its own: if it raises,
the overlay is dropped; else it becomes part of the batch and the next change sees it. A store then writes what the
batch changed, all at once (write-behind).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic, NamedTuple, Protocol, TypeVar

import orjson

from ..domain.account import Account, Space
from ..domain.errors import Invalid, StorageFailed
from ..domain.events import Event
from ..domain.file import Blob, File
from ..domain.upload import Upload
from ..ports import Tx
from . import checks
from .matching import age, has_hash, is_there, waits_for

T = TypeVar("T")
V = TypeVar("V")

SPACE = ""
"""The id under which the one Space is kept."""


class Loader(Protocol):
    """Committed state, as far as a unit asks for it. Raises StorageFailed when it cannot be read."""

    def upload(self, id: str) -> Upload | None: ...

    def file(self, id: str) -> File | None: ...

    def blob(self, id: str) -> Blob | None: ...

    def account(self, id: str) -> Account | None: ...

    def space(self, id: str) -> Space | None: ...

    def sequence(self, account: str) -> int | None:
        """The last `seq` that was given out."""

    def waiting_on(self, part: str) -> list[Upload]: ...

    def file_by_hash(
        self, account: str, algorithm: str, hex: str, size: int, now: int, but: Collection[str]
    ) -> File | None:
        """As Tx.file_by_hash, ids in `but` left out."""

    def files_of_blob(self, blob: str) -> list[File]: ...

    def blob_by_hash(self, sha256: str, size: int) -> Blob | None: ...


class Entry(NamedTuple):
    """An event as it is stored; `data` is JSON."""

    account: str
    seq: int
    type: str
    data: str
    at: int

    def event(self) -> Event:
        return Event(self.account, self.type, orjson.loads(self.data), self.at, self.seq)


class Layers(Generic[V]):
    """Values of one kind by id: what this change saved, over what its batch saved, over what is committed.

    None stands for "there is none", which is also what removing one saves.
    """

    __slots__ = ("_load", "_own", "batch", "before")

    def __init__(self, load: Callable[[str], V | None]) -> None:
        self._load = load
        self._own: dict[str, V | None] = {}
        self.batch: dict[str, V | None] = {}
        self.before: dict[str, V | None] = {}  # committed values that were asked for

    def get(self, id: str) -> V | None:
        if id in self._own:
            return self._own[id]
        if id in self.batch:
            return self.batch[id]
        if id not in self.before:
            self.before[id] = self._load(id)
        return self.before[id]

    def known(self, id: str) -> V | None:
        """As `get`, but never loads: None also when it was not asked for yet."""
        for layer in (self._own, self.batch, self.before):
            if id in layer:
                return layer[id]
        return None

    def put(self, id: str, value: V | None) -> None:
        self._own[id] = value

    def changed(self) -> dict[str, V | None]:
        """All that this change and its batch saved."""
        return {**self.batch, **self._own}

    def keep(self) -> None:
        if self._own:
            self.batch.update(self._own)
            self._own.clear()

    def drop(self) -> None:
        self._own.clear()


class Unit:
    """A batch of changes under way. It is the ports.Tx of each of them, one after the other."""

    def __init__(self, loader: Loader, now: int) -> None:
        self.now = now
        self.uploads: Layers[Upload] = Layers(loader.upload)
        self.files: Layers[File] = Layers(loader.file)
        self.blobs: Layers[Blob] = Layers(loader.blob)
        self.accounts: Layers[Account] = Layers(loader.account)
        self.spaces: Layers[Space] = Layers(loader.space)
        self.sequences: Layers[int] = Layers(loader.sequence)
        self.entries: list[Entry] = []
        self._own_entries: list[Entry] = []
        self._loader = loader
        self._hashes: dict[tuple[str, int], Blob | None] = {}

    def run(self, change: Callable[[Tx], T]) -> T:
        """Run a change. If it raises, nothing of it remains."""
        try:
            result = change(self)
        except BaseException:
            for layers in self.layers:
                layers.drop()
            self._own_entries.clear()
            raise
        for layers in self.layers:
            layers.keep()
        self.entries += self._own_entries
        self._own_entries.clear()
        return result

    @property
    def layers(self) -> tuple[Layers[Upload], Layers[File], Layers[Blob], Layers[Account], Layers[Space], Layers[int]]:
        return self.uploads, self.files, self.blobs, self.accounts, self.spaces, self.sequences

    # ------------------------------------------------------------------------------------------------ ports.Tx

    def upload(self, id: str) -> Upload | None:
        return self.uploads.get(id)

    def save_upload(self, upload: Upload) -> None:
        checks.check_upload(upload)
        self.uploads.put(upload.id, upload)

    def remove_upload(self, id: str) -> None:
        self.uploads.put(id, None)

    def waiting_on(self, part: str) -> list[Upload]:
        found: dict[str, Upload | None] = {upload.id: upload for upload in self._loader.waiting_on(part)}
        found.update(self.uploads.changed())
        return sorted((u for u in found.values() if u is not None and waits_for(u, part)), key=age)

    def file(self, id: str) -> File | None:
        return self.files.get(id)

    def save_file(self, file: File) -> None:
        checks.check_file(file)
        self.files.put(file.id, file)

    def file_by_hash(self, account: str, algorithm: str, hex: str, size: int, now: int) -> File | None:
        changed = self.files.changed()
        found = [
            file
            for file in changed.values()
            if file and file.account == account and has_hash(file, algorithm, hex, size) and is_there(file, now)
        ]
        committed = self._loader.file_by_hash(account, algorithm, hex, size, now, changed.keys())
        if committed is not None:
            found.append(committed)
        return max(found, key=age, default=None)

    def files_of_blob(self, blob: str) -> list[File]:
        found: dict[str, File | None] = {file.id: file for file in self._loader.files_of_blob(blob)}
        found.update(self.files.changed())
        return sorted((file for file in found.values() if file is not None and file.blob == blob), key=age)

    def blob(self, id: str) -> Blob | None:
        return self.blobs.get(id)

    def blob_by_hash(self, sha256: str, size: int) -> Blob | None:
        # Committed state does not change under a unit, and whoever asks for a hash often saves it next.
        if (sha256, size) not in self._hashes:
            self._hashes[sha256, size] = self._loader.blob_by_hash(sha256, size)
        committed = self._hashes[sha256, size]
        changed = self.blobs.changed()
        for blob in changed.values():
            if blob is not None and blob.sha256 == sha256 and blob.size == size:
                return blob
        return None if committed is None or committed.id in changed else committed

    def save_blob(self, blob: Blob) -> None:
        """Raises StorageFailed when another blob has the same hash and size."""
        checks.check_blob(blob)
        known = self.blobs.known(blob.id)
        if blob.sha256 is not None and (known is None or known.sha256 != blob.sha256):
            other = self.blob_by_hash(blob.sha256, blob.size)
            if other is not None and other.id != blob.id:
                raise StorageFailed("two blobs cannot have the same hash", blobs=[other.id, blob.id])
        self.blobs.put(blob.id, blob)

    def remove_blob(self, id: str) -> None:
        self.blobs.put(id, None)

    def account(self, id: str) -> Account:
        return self.accounts.get(id) or Account(id=id)

    def save_account(self, account: Account) -> None:
        checks.check_account(account)
        self.accounts.put(account.id, account)

    def space(self) -> Space:
        return self.spaces.get(SPACE) or Space()

    def save_space(self, space: Space) -> None:
        checks.check_space(space)
        self.spaces.put(SPACE, space)

    def emit(self, event: Event) -> None:
        checks.check_names(event.account + event.type)
        checks.check_numbers(event.at)
        try:
            data = orjson.dumps(event.data).decode()
        except TypeError as exc:
            raise Invalid("the event cannot be written as JSON", type=event.type) from exc
        seq = (self.sequences.get(event.account) or 0) + 1
        self.sequences.put(event.account, seq)
        self._own_entries.append(Entry(event.account, seq, event.type, data, event.at))
