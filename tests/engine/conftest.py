"""The engine by itself: real state, real files, bodies that follow a script."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig import Rig, running


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """An engine with steps of 64 KiB between two commits, whose uploads expire after an hour."""
    async with running(tmp_path) as rig:
        yield rig
