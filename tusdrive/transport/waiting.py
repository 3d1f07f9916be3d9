"""Waiting for a client, without losing what it sends to whoever interrupts the wait."""

from __future__ import annotations

import asyncio
from typing import Any

from ..ports import Stop


class Patience:
    """How long one turn waits for bytes: until somebody wants it to stop, or until its time is up.

    The time only counts once there is something to commit (`due` is set): a turn that ends with nothing helps nobody.
    """

    __slots__ = ("_deadline", "_loop", "_stopper", "_wake", "due", "stop")

    def __init__(self, stop: Stop, seconds: float | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.stop = stop
        self._deadline = None if seconds is None else self._loop.time() + seconds
        self._stopper: asyncio.Task[Any] | None = None
        self._wake: asyncio.Future[None] | None = None
        self.due = False

    @property
    def stopped(self) -> bool:
        return self.stop.is_set()

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self._deadline is not None and self.due and self._loop.time() >= self._deadline

    async def wait(self, task: asyncio.Task[Any], seconds: float) -> float:
        """Wait until `task` is done, for at most `seconds`; how many seconds that took.

        The task is left alone: what it brings is there next time. Once stopped, it gets one round of the loop.
        """
        begun = self._loop.time()
        if self._deadline is not None and self.due:
            seconds = min(seconds, self._deadline - begun)
        if self.stopped:
            seconds = 0.0
        elif self._stopper is None:
            self._stopper = self._loop.create_task(self.stop.wait())
            self._stopper.add_done_callback(self._ring)
        wake = self._wake = self._loop.create_future()
        task.add_done_callback(self._ring)
        timer = self._loop.call_later(max(0.0, seconds), self._ring)
        try:
            await wake
        finally:
            timer.cancel()
            task.remove_done_callback(self._ring)
            self._wake = None
        return self._loop.time() - begun

    def _ring(self, _: Any = None) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def close(self) -> None:
        if self._stopper is not None:
            self._stopper.cancel()


class Never:
    """A Stop that is never set."""

    __slots__ = ()

    def is_set(self) -> bool:
        return False

    async def wait(self) -> Any:
        await asyncio.get_running_loop().create_future()
