"""Every check of the conformance list has a test that carries its number."""

from __future__ import annotations

import re
from pathlib import Path

TRAILERS = {81, 82, 83, 84}
"""checksum-trailer is an extension of its own, and not offered yet."""


def test_every_check_is_here() -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    found = {int(number) for number in re.findall(r"check[_-](\d{3})[_-]", sources)}
    assert set(range(1, 104)) - TRAILERS - found == set()
