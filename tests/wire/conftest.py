"""Black-box tests: the real server, on a real port, on a real disk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with one admin account, for one test."""
    with Server(tmp_path / "data") as server:
        yield server
