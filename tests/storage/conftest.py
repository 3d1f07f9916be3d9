"""Fixtures for the stores of state."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from states import Clock, opened

from tusdrive.ports import StateStore
from tusdrive.storage.memory import MemoryState


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def state(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[StateStore]:
    """Each kind of store, open and empty."""
    if request.param == "memory":
        memory = MemoryState(clock)
        await memory.open()
        yield memory
        await memory.close()
    else:
        async with opened(tmp_path / "state.db", clock) as sqlite:
            yield sqlite


@pytest.fixture
def counter() -> Callable[[], int]:
    """1, 2, 3, ..."""
    numbers = itertools.count(1)
    return lambda: next(numbers)
