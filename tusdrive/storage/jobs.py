"""What is asked of the writer's thread from the event loop, and how the answer comes back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ..ports import Tx

T = TypeVar("T")


class Job(Generic[T]):
    """Something to be done, and whoever waits for it. To be made on the loop."""

    __slots__ = ("_future", "_is_done", "_is_left", "error", "result")

    def __init__(self) -> None:
        self.result: T | None = None
        self.error: BaseException | None = None
        self._future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._is_done = False
        self._is_left = False

    async def wait(self) -> T:
        """The result; or the error, raised. Cancelling the waiter takes effect only when the job is decided.

        So whoever lets a lock go on cancellation can be sure that nothing is still on its way.
        """
        try:
            result: T = await self._future
            return result
        except asyncio.CancelledError:
            self._is_left = True
            while not self._is_done:
                self._future = asyncio.get_running_loop().create_future()
                with suppress(asyncio.CancelledError):
                    await self._future
            raise

    def attempt(self, work: Callable[[], T]) -> None:
        """Keep what `work` returns or raises. On the thread."""
        self.result, self.error = None, None
        try:
            self.result = work()
        except StopIteration as exc:  # a future refuses it
            self.error = RuntimeError("a change raised StopIteration")
            self.error.__cause__ = exc
        except BaseException as exc:
            self.error = exc

    def answer(self) -> None:
        """On the loop."""
        self._is_done = True
        if self._future.done():
            return
        if self.error is None or self._is_left:
            self._future.set_result(self.result)
        else:
            self._future.set_exception(self.error)


class Change(Job[T]):
    """A change of state; it may share a commit with others. `frees`: it gives room back, so it may use the reserve."""

    __slots__ = ("change", "frees")

    def __init__(self, change: Callable[[Tx], T], frees: bool = False) -> None:
        super().__init__()
        self.change = change
        self.frees = frees


class Errand(Job[T]):
    """Work on the connection itself, between commits. It must not change what is cached."""

    __slots__ = ("is_last", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], T], *, is_last: bool = False) -> None:
        super().__init__()
        self.work = work
        self.is_last = is_last


def answer_all(jobs: Sequence[Job[Any]]) -> None:
    """On the loop."""
    for job in jobs:
        job.answer()
