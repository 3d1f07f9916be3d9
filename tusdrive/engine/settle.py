"""Waiting that cannot be cut short: a change that is under way is seen through before a cancellation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from ..ports import Stop

T = TypeVar("T")


async def settled(work: Awaitable[T]) -> T:
    """Await `work` to its end even when the caller is cancelled meanwhile; then raise the cancellation.

    Whoever holds an upload's lock must not release it while its own commit is on the way: the next holder would
    read the state of before, and write where acknowledged bytes are about to be.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.shield(asyncio.wait([task]))
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()  # seen: the cancellation is what the caller gets
        raise


class AnyStop:
    """Set when either of two is. For a holder of two locks."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Stop, second: Stop) -> None:
        self._first, self._second = first, second

    def is_set(self) -> bool:
        return self._first.is_set() or self._second.is_set()

    async def wait(self) -> Any:
        waits = [asyncio.ensure_future(self._first.wait()), asyncio.ensure_future(self._second.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class NeverStop:
    """For work that nobody takes over."""

    __slots__ = ()

    def is_set(self) -> bool:
        return False

    async def wait(self) -> Any:
        await asyncio.get_running_loop().create_future()
