"""Asking somebody to stop who holds two locks."""

from __future__ import annotations

import asyncio
from typing import Any

from ..ports import Stop


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
