"""Committed values in memory, so that a hot upload costs no SQL.

Written by the writer's thread, read from the event loop and from the writer. It never gives a value older than one
that a reader may have seen in the database: a value is out of the cache from before its commit until after it, and
what a reader fetched goes in only if no commit touched it since the reader began.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Generic, TypeVar

from ..domain.account import Account, Space
from ..domain.file import Blob, File
from ..domain.upload import Upload
from .unit import Unit

V = TypeVar("V")


class Cache(Generic[V]):
    """The values used last, up to a total weight of `size`; most weigh 1."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._weight = 0
        self._values: dict[str, V] = {}  # least recently used first
        self._held: dict[str, int] = {}  # in how many commits that are under way
        self._reading: dict[str, object] = {}  # tickets of reads that no commit has overtaken
        self._lock = Lock()

    def get(self, id: str) -> V | None:
        with self._lock:
            value = self._values.pop(id, None)
            if value is not None:
                self._values[id] = value
            return value

    def put(self, id: str, value: V) -> None:
        """What the writer itself read, between commits."""
        with self._lock:
            self._set(id, value)

    def miss(self, id: str) -> object:
        """A ticket to show when the value was read. Ask before reading; give it back with `fill` or `forget`."""
        with self._lock:
            return object() if id in self._held else self._reading.setdefault(id, object())

    def fill(self, id: str, ticket: object, value: V | None) -> V | None:
        """Keep what was read, if it is still the newest. The newest that is known."""
        with self._lock:
            if id in self._values:
                return self._values[id]
            if value is not None and self._reading.get(id) is ticket:
                self._set(id, value)
            return value

    def forget(self, id: str, ticket: object) -> None:
        """The read is over."""
        with self._lock:
            if self._reading.get(id) is ticket:
                del self._reading[id]

    def hold(self, ids: Iterable[str]) -> None:
        """A commit of these begins."""
        with self._lock:
            for id in ids:
                self._held[id] = self._held.get(id, 0) + 1
                self._drop(id)
                self._reading.pop(id, None)

    def release(self, values: dict[str, V | None], committed: bool = True) -> None:
        """The commit of these is over. A value that the next commit changes as well stays out; None is no more."""
        with self._lock:
            for id, value in values.items():
                left = self._held.pop(id, 1) - 1
                if left:
                    self._held[id] = left
                elif committed and value is not None:
                    self._set(id, value)

    def _set(self, id: str, value: V) -> None:
        self._drop(id)
        self._values[id] = value
        self._weight += weight(value)
        while self._weight > self._size and len(self._values) > 1:
            self._drop(next(iter(self._values)))

    def _drop(self, id: str) -> None:
        value = self._values.pop(id, None)
        if value is not None:
            self._weight -= weight(value)


def weight(value: object) -> int:
    """1, more for an upload with many islands."""
    return 1 + len(value.received.islands) // 16 if isinstance(value, Upload) else 1


class Caches:
    """A cache for each kind of value that a unit changes."""

    def __init__(self, size: int) -> None:
        self.uploads: Cache[Upload] = Cache(size)
        self.files: Cache[File] = Cache(size)
        self.blobs: Cache[Blob] = Cache(size)
        self.accounts: Cache[Account] = Cache(size)
        self.spaces: Cache[Space] = Cache(size)
        self.sequences: Cache[int] = Cache(size)

    def hold(self, unit: Unit) -> None:
        """The commit of a unit begins."""
        self.uploads.hold(unit.uploads.batch)
        self.files.hold(unit.files.batch)
        self.blobs.hold(unit.blobs.batch)
        self.accounts.hold(unit.accounts.batch)
        self.spaces.hold(unit.spaces.batch)
        self.sequences.hold(unit.sequences.batch)

    def publish(self, unit: Unit) -> None:
        """It is committed."""
        self.uploads.release(unit.uploads.batch)
        self.files.release(unit.files.batch)
        self.blobs.release(unit.blobs.batch)
        self.accounts.release(unit.accounts.batch)
        self.spaces.release(unit.spaces.batch)
        self.sequences.release(unit.sequences.batch)

    def give_up(self, unit: Unit) -> None:
        """It failed: what is in the database is as before."""
        self.uploads.release(unit.uploads.batch, False)
        self.files.release(unit.files.batch, False)
        self.blobs.release(unit.blobs.batch, False)
        self.accounts.release(unit.accounts.batch, False)
        self.spaces.release(unit.spaces.batch, False)
        self.sequences.release(unit.sequences.batch, False)
