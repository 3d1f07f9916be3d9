"""A whole engine on real parts (state in memory, bytes in files), and bodies that follow a script."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tusdrive.domain.account import Principal
from tusdrive.domain.checksum import Checksum, FileHash
from tusdrive.domain.errors import StorageFailed
from tusdrive.domain.requests import Append, NewUpload
from tusdrive.domain.upload import Limits, State, Upload
from tusdrive.engine.assembly import Assembly
from tusdrive.engine.library import Library
from tusdrive.engine.upkeep import Upkeep
from tusdrive.engine.uploads import Uploads
from tusdrive.engine.verify import Verification
from tusdrive.engine.writing import Writing
from tusdrive.ports import ChunkFile, ChunkStore, Drained, End, StateStore, Stop
from tusdrive.ports.settling import settled
from tusdrive.protocols.algorithms import ALGORITHMS
from tusdrive.storage.files import FileChunks
from tusdrive.storage.locks import ProcessLocks
from tusdrive.storage.memory import MemoryState

ANN = Principal(account="ann")
BOB = Principal(account="bob")
ADMIN = Principal(account="root", roles=frozenset({"admin"}))
START = 1_800_000_000_000_000
HOUR = 3_600_000_000
KIB = 1024


class Clock:
    """A wall clock in microseconds that moves a little with every look, and by leaps when told."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        self.at += 1
        return self.at

    def leap(self, microseconds: int) -> None:
        self.at += microseconds


Item = bytes | End | asyncio.Event
"""A piece of a body; why it ends; or something that must happen first."""


class Script:
    """A Body that comes as it is told: pieces, waits for events, and an end (ENDED when none is named)."""

    def __init__(self, *items: Item, length: int | None = None) -> None:
        self.length = length
        self.taken = 0
        self._items = list(items)

    async def whole(self, cap: int) -> bytes | None:
        """Only a body of one piece is here at once."""
        if len(self._items) == 1 and isinstance(self._items[0], bytes) and len(self._items[0]) <= cap:
            self.taken = len(self._items[0])
            return self._items[0]
        return None

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
        count = 0
        while True:
            if step is not None and count == step:
                end = End.PAUSE
                break
            room = None if limit is None else limit - position - count
            piece, ended = await self._next(1 if room == 0 else min(r for r in (room, step, 1 << 30) if r), stop)
            if ended is not None or room == 0:
                end = ended or End.LIMIT
                self._put_back(piece)
                break
            most = len(piece) if step is None else min(len(piece), step - count)
            self._put_back(piece[most:])
            if tap is not None:
                tap(piece[:most])
            await file.write(position + count, [piece[:most]])
            count += most
        if sync and count:
            await file.sync()
        return Drained(count, end)

    async def read(self, size: int, *, stop: Stop) -> tuple[bytes, End | None]:
        return await self._next(size, stop)

    async def text(self, cap: int) -> bytes:
        raise AssertionError("the engine never asks for text")

    async def _next(self, size: int, stop: Stop) -> tuple[bytes, End | None]:
        while self._items:
            item = self._items[0]
            if isinstance(item, End):
                return b"", item
            if isinstance(item, bytes):
                self._items.pop(0)
                if not item:
                    continue
                self._put_back(item[size:])
                self.taken += len(item[:size])
                return item[:size], None
            if not item.is_set() and await _stopped_first(item, stop):
                return b"", End.STOPPED
            self._items.pop(0)
        return b"", End.ENDED

    def _put_back(self, piece: bytes) -> None:
        if piece:
            self._items.insert(0, piece)


async def _stopped_first(event: asyncio.Event, stop: Stop) -> bool:
    waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return not event.is_set()


def whole(data: bytes) -> Script:
    """A body that is all there, its length known."""
    return Script(data, length=len(data))


class Watched:
    """A StateStore over another one that can be told to fail, and to be slow.

    `fail_at` is the number (from 0) of the change that fails as if the disk had; nothing of it is kept. `before` and
    `after` are awaited around every change, with its number. With `detached`, a change that is under way is made
    whether its caller still waits or not, as by a writer thread; the caller hears of its cancellation after that, as
    the port promises.
    """

    def __init__(self, inner: StateStore) -> None:
        self.inner = inner
        self.count = 0
        self.fail_at: int | None = None
        self.detached = False
        self.before: Callable[[int], Awaitable[None]] = _nothing
        self.after: Callable[[int], Awaitable[None]] = _nothing

    async def apply(self, change: Callable[[Any], Any], *, frees: bool = False) -> Any:
        if self.detached:
            return await settled(self._apply(change))
        return await self._apply(change)

    async def _apply(self, change: Callable[[Any], Any]) -> Any:
        number, self.count = self.count, self.count + 1
        await self.before(number)
        if number == self.fail_at:
            raise StorageFailed("the disk failed, on purpose")
        result = await self.inner.apply(change)
        await self.after(number)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def _nothing(number: int) -> None:
    return None


@dataclass
class Rig:
    """The engine, put together as the composition root does it."""

    path: Path
    state: Watched
    chunks: ChunkStore
    limits: Limits = field(default_factory=lambda: Limits(expire_after=HOUR, min_chunk_size=1))
    step: int = 64 * KIB
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.locks = ProcessLocks(2.0)
        shared: dict[str, Any] = {
            "state": self.state, "chunks": self.chunks, "limits": self.limits,
            "new_id": lambda: f"{next(numbers):032x}",
        }  # fmt: skip
        self.verification = Verification(**shared)
        self.assembly = Assembly(**shared)
        shared |= {"locks": self.locks, "verification": self.verification, "assembly": self.assembly}
        self.uploads = Uploads(**shared, now=self.clock)
        self.writing = Writing(**shared, get=self.uploads.get, step=self.step)
        self.library = Library(state=self.state, chunks=self.chunks, now=self.clock)
        self.upkeep = Upkeep(
            state=self.state, chunks=self.chunks, uploads=self.uploads, library=self.library,
            verification=self.verification, assembly=self.assembly, limits=self.limits, now=self.clock,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ asking

    async def create(self, length: int | None, who: Principal = ANN, **more: Any) -> str:
        """A new upload; its id."""
        created = await self.uploads.create(who, NewUpload(length=length, **more))
        assert created.upload is not None
        return created.upload.id

    async def rest(self, data: bytes, chunk_size: int, who: Principal = ANN, hash: FileHash | None = None) -> str:
        """A new upload for chunks, with the hash of `data` unless another one is given."""
        hash = hash or sha256(data)
        return await self.create(len(data), who, auto_finish=False, chunk_size=chunk_size, hash=hash)

    async def append(self, id: str, offset: int, body: bytes | Script, who: Principal = ANN, **more: Any) -> Upload:
        body = whole(body) if isinstance(body, bytes) else body
        return await self.writing.append(who, id, Append(offset=offset, **more), body)

    async def chunk(self, id: str, index: int, body: bytes | Script, who: Principal = ANN) -> Upload:
        body = whole(body) if isinstance(body, bytes) else body
        return await self.writing.put_chunk(who, id, index, body)

    async def upload(self, data: bytes, who: Principal = ANN, **more: Any) -> Upload:
        """A finished upload of `data`."""
        id = await self.create(len(data), who, **more)
        return await self.append(id, 0, data, who) if data else await self.get(id)

    async def get(self, id: str) -> Upload:
        return await self.uploads.get(ADMIN, id)

    async def file_bytes(self, file_id: str | None, who: Principal = ADMIN) -> bytes:
        assert file_id is not None
        opened = await self.library.open(who, file_id)
        if not opened.file.size:
            return b""
        return b"".join([piece async for piece in self.library.read(opened, 0, opened.file.size)])

    def on_disk(self, upload: Upload) -> bytes:
        """What the file of an open upload holds, as far as it was committed."""
        return (self.path / "bytes" / upload.place).read_bytes()[: upload.offset]

    def files(self) -> list[str]:
        """Names of all files there are."""
        return sorted(path.name for path in (self.path / "bytes").rglob("*") if path.is_file())

    # ------------------------------------------------------------------------------------------ judging

    async def drift(self) -> dict[str, Any]:
        """Ledgers that differ from their rows; empty when all is well."""
        return await self.state.recount()

    async def problems(self) -> list[str]:
        """All that a check by hand would complain about."""
        return (await self.upkeep.check(repair=False)).problems

    async def free_of_locks(self, *keys: str) -> None:
        """Fails when a lock is held by somebody who does not let go."""
        for key in keys:
            async with asyncio.timeout(1), self.locks.exclusive(key):
                pass


@asynccontextmanager
async def running(
    path: Path, chunks: ChunkStore | None = None, store: Callable[[Clock], StateStore] = MemoryState, **more: Any
) -> AsyncIterator[Rig]:
    """An engine that is open, and closed at the end."""
    clock = Clock()
    if chunks is None:
        chunks = FileChunks(path, durability="relaxed", reserve=0, threads=2)
    rig = Rig(path=path, state=Watched(store(clock)), chunks=chunks, clock=clock, **more)
    await chunks.open()
    await rig.state.open()
    try:
        yield rig
    finally:
        await rig.verification.close()
        await rig.assembly.close()
        await rig.state.close()
        await chunks.close()


def sha256(data: bytes) -> FileHash:
    return FileHash("sha256", hashlib.sha256(data).hexdigest())


def md5(data: bytes) -> FileHash:
    return FileHash("md5", hashlib.md5(data).hexdigest())


def checksum(data: bytes, name: str = "sha1") -> Checksum:
    hasher = ALGORITHMS[name].begin()
    hasher.update(data)
    return Checksum(ALGORITHMS[name], hasher.digest())


async def until(what: Callable[[], Awaitable[bool]], within: float = 5.0) -> None:
    """Let others run until something is true."""
    async with asyncio.timeout(within):
        while not await what():
            await asyncio.sleep(0.001)


async def settles(rig: Rig, id: str, *states: State) -> Upload:
    """The upload once it is in one of these states."""

    async def there() -> bool:
        return (await rig.get(id)).state in states

    await until(there)
    return await rig.get(id)


def pieces(data: bytes, *sizes: int) -> Sequence[bytes]:
    """`data` cut into pieces of these sizes, and what is left."""
    found, at = [], 0
    for size in sizes:
        found.append(data[at : at + size])
        at += size
    return [*found, data[at:]]
