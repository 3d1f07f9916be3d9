"""Work that is done once, however many ask for it, and that goes on when they leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Running(Generic[T]):
    """Tasks by id. `failed` hears of those that end with an error; nobody else may be waiting."""

    def __init__(self, failed: Callable[[str, BaseException], None] | None = None) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._failed = failed

    def begin(self, id: str, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The task that does `work`, unless one for that id is under way: then that one. Shield it when awaiting it."""
        task = self._tasks.get(id)
        if task is None:
            task = self._tasks[id] = asyncio.create_task(work())
            task.add_done_callback(partial(self._ended, id))
        return task

    @property
    def count(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    async def close(self) -> None:
        """Stop them all."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, id: str, task: asyncio.Task[T]) -> None:
        del self._tasks[id]
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failed is not None:
            self._failed(id, error)
