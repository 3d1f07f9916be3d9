"""What both sides of the ports need to keep the promise about cancellation: nothing is left half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


async def settled(awaitable: Awaitable[T]) -> T:
    """Await something to its end, even when cancelled; the cancellation is raised then.

    Whoever holds a lock must not let go of it while its own write or commit is on the way, and whoever committed that
    some bytes are garbage has to remove them.
    """
    task: asyncio.Future[Any] = asyncio.ensure_future(awaitable)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        if not task.cancelled():
            task.exception()
        raise cancelled
    result: T = task.result()
    return result
