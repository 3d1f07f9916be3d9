"""One server with accounts, for tests of who may do what, and of what the ill-meaning send."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "wire"))
sys.path.insert(0, str(Path(__file__).parent))

from guarded import Guarded


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server of its own for each module; afterwards its log is clean and nothing lies outside its data directory."""
    folder = tmp_path_factory.mktemp("guarded")
    with Guarded(folder) as guarded:
        yield guarded
        assert guarded.is_well()
    assert sorted(path.name for path in folder.iterdir()) == ["data", "data.log"]
    assert guarded.strange_files() == []
    guarded.assert_clean_log()
