"""Locks inside one process: who comes asks the holder to let go, and waits its turn."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any

from ..domain.errors import Locked
from ..ports import Stop


class Signal:
    """A Stop that costs nothing until somebody waits for it: every request takes a lock, few ever wait."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> Any:
        if self._set:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if self._waiters is not None:
                self._waiters.remove(waiter)


class _Entry:
    """One key: who holds it, and who waits, in order of arrival. Exists only while somebody does."""

    __slots__ = ("holders", "queue")

    def __init__(self) -> None:
        self.holders: list[_Hold] = []
        self.queue: deque[_Hold] = deque()

    def admits(self, hold: _Hold) -> bool:
        return not self.holders or (hold.shared and self.holders[0].shared)

    def is_contested(self, holder: _Hold) -> bool:
        """Whether somebody waits that `holder` keeps out."""
        return any(not (holder.shared and waiting.shared) for waiting in self.queue)


class ProcessLocks:
    """Locks by key. `timeout`: seconds a newcomer waits before it raises Locked.

    First come, first served: a shared newcomer waits behind an exclusive one that is queued, and does not ask shared
    holders to let go. A holder that others already wait for gets the lock with its `stop` set: work that ignores
    `stop`, being short, is done; a body is read as far as it has come, and the next one has its turn.
    """

    def __init__(self, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._entries: dict[str, _Entry] = {}
        self._stopping = False

    def exclusive(self, key: str) -> _Hold:
        """As the port says."""
        return _Hold(self, key, False)

    def shared(self, key: str) -> _Hold:
        """As the port says."""
        return _Hold(self, key, True)

    def held(self, key: str) -> bool:
        """As the port says."""
        entry = self._entries.get(key)
        return entry is not None and bool(entry.holders)

    def stop_all(self) -> None:
        """As the port says. Whoever gets a lock later finds its `stop` set."""
        self._stopping = True
        for entry in self._entries.values():
            for holder in entry.holders:
                holder.signal.set()

    def start_anew(self) -> None:
        """After stop_all, when the server is opened again: whoever gets a lock may keep it."""
        self._stopping = False

    async def acquire(self, hold: _Hold) -> None:
        entry = self._entries.get(hold.key)
        if entry is None:
            entry = self._entries[hold.key] = _Entry()
        elif entry.queue or not entry.admits(hold):
            await self._wait(entry, hold)
            return
        self._grant(entry, hold)

    def release(self, hold: _Hold) -> None:
        entry = self._entries[hold.key]
        entry.holders.remove(hold)
        self._advance(entry, hold.key)

    def _grant(self, entry: _Entry, hold: _Hold) -> None:
        entry.holders.append(hold)
        if self._stopping:
            hold.signal.set()

    async def _wait(self, entry: _Entry, hold: _Hold) -> None:
        loop = asyncio.get_running_loop()
        hold.turn = loop.create_future()
        entry.queue.append(hold)
        for holder in entry.holders:
            if not (holder.shared and hold.shared):
                holder.signal.set()
        timer = loop.call_later(self._timeout, self._expire, hold.turn)
        try:
            await hold.turn
        except BaseException:
            self._withdraw(entry, hold)
            raise
        finally:
            timer.cancel()

    def _withdraw(self, entry: _Entry, hold: _Hold) -> None:
        """Not waiting any more: its turn did not come in time, or it was cancelled, perhaps just as its turn came."""
        if hold in entry.holders:
            entry.holders.remove(hold)
        elif hold in entry.queue:
            entry.queue.remove(hold)
        if self._entries.get(hold.key) is entry:
            self._advance(entry, hold.key)

    @staticmethod
    def _expire(turn: asyncio.Future[None]) -> None:
        if not turn.done():
            turn.set_exception(Locked())

    def _advance(self, entry: _Entry, key: str) -> None:
        """Let in who may come now. Forgets the key when nobody is left."""
        admitted = []
        while entry.queue and entry.admits(entry.queue[0]):
            hold = entry.queue.popleft()
            assert hold.turn is not None, "only who waits has a place in the queue"
            if not hold.turn.done():
                hold.turn.set_result(None)
                self._grant(entry, hold)
                admitted.append(hold)
        for hold in admitted:
            if entry.is_contested(hold):
                hold.signal.set()
        if not entry.holders and not entry.queue:
            del self._entries[key]


class _Hold:
    """One request's wish for a lock, and the Lock while it has it."""

    __slots__ = ("_locks", "key", "shared", "signal", "stop", "turn")

    def __init__(self, locks: ProcessLocks, key: str, shared: bool) -> None:
        self._locks = locks
        self.key = key
        self.shared = shared
        self.signal = Signal()
        self.stop: Stop = self.signal
        self.turn: asyncio.Future[None] | None = None

    async def __aenter__(self) -> _Hold:
        await self._locks.acquire(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._locks.release(self)
