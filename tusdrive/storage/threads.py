"""Threads that work for the event loop, and never leave it in doubt whether they are done.

A cancelled task does not stop the thread that works for it. If the task's lock were released at once, a write still
under way could overwrite what the next holder of the lock has acknowledged. So everything here waits for the thread
first and raises the cancellation then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class _Job(Generic[T]):
    """One call, its outcome, and who waits for it. The outcome is set in the thread, `done` on the loop."""

    __slots__ = ("call", "done", "error", "result", "waiter")

    def __init__(self, call: Callable[[], T]) -> None:
        self.call = call
        self.result: T | None = None
        self.error: BaseException | None = None
        self.done = False
        self.waiter: asyncio.Future[None] | None = None

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self.result = self.call()
        except BaseException as exc:
            self.error = exc
        loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        self.done = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def outcome(self, loop: asyncio.AbstractEventLoop) -> T:
        cancelled: asyncio.CancelledError | None = None
        while not self.done:
            self.waiter = loop.create_future()
            try:
                await self.waiter
            except asyncio.CancelledError as exc:
                cancelled = exc
        if cancelled is not None:
            raise cancelled
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]


class Threads:
    """A pool of `count` threads."""

    def __init__(self, count: int, name: str) -> None:
        self.executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._busy = 0

    @property
    def idle(self) -> bool:
        """Nothing is under way or waiting."""
        return self._busy == 0

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` in a thread. If the awaiting task is cancelled, `call` is finished before that is raised."""
        loop = asyncio.get_running_loop()
        job = _Job(call)
        self._busy += 1
        try:
            self.executor.submit(job.run, loop)
            return await job.outcome(loop)
        finally:
            self._busy -= 1

    async def close(self) -> None:
        """Wait for what is under way, then end the threads."""
        await asyncio.get_running_loop().run_in_executor(None, self.executor.shutdown)
