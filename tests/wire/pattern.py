"""Random-looking data of any length, any stretch of which can be made without the rest.

A fixed random block is repeated, and every page of 4 KiB starts with its own stamp of seed and page number, so that
bytes which end up in the wrong place, in the wrong file or nowhere at all are all seen.
"""

from __future__ import annotations

import hashlib
import random
import struct
from pathlib import Path

PAGE = 4096
STRETCH = 1 << 20
_BLOCK = random.Random(2025).randbytes(STRETCH)
_STAMP = struct.Struct(">QQ")


class Pattern:
    """The data that belongs to `seed`. Two seeds share no page."""

    def __init__(self, seed: int, length: int) -> None:
        self.seed = seed
        self.length = length

    def read(self, start: int, end: int | None = None) -> bytes:
        """The bytes `[start, end)`, cut off at the length."""
        end = self.length if end is None else min(end, self.length)
        if end <= start:
            return b""
        first = start - start % PAGE
        pages = bytearray(_BLOCK[first % STRETCH :])
        while len(pages) < end - first:
            pages += _BLOCK
        for page in range(first // PAGE, -(-end // PAGE)):
            _STAMP.pack_into(pages, page * PAGE - first, self.seed, page)
        return bytes(memoryview(pages)[start - first : end - first])

    def pieces(self, size: int = STRETCH) -> list[tuple[int, int]]:
        """The whole length as `[start, end)` spans of at most `size` bytes."""
        return [(start, min(start + size, self.length)) for start in range(0, self.length, size)]

    def write(self, path: Path) -> Path:
        with path.open("wb") as file:
            for start, end in self.pieces():
                file.write(self.read(start, end))
        return path

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for start, end in self.pieces():
            digest.update(self.read(start, end))
        return digest.hexdigest()

    def differs(self, data: bytes, start: int = 0) -> int | None:
        """The position of the first byte of `data`, which begins at `start`, that is wrong; None when all is right."""
        wanted = self.read(start, start + len(data))
        if data == wanted:
            return None
        return start + next((i for i, (a, b) in enumerate(zip(data, wanted, strict=False)) if a != b), len(wanted))
