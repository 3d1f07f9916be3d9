"""Runs tusdrive with a clock that a test can put forward, and with upkeep that comes round ten times a second.

The file that CLOCK_FILE names holds how many microseconds the clock is ahead, as eight bytes.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Awaitable, Callable

from tusdrive import services
from tusdrive.engine.upkeep import Upkeep

_OFFSET = struct.Struct("<q")
_real_now = services.now
_real_every = Upkeep.every

with open(os.environ["CLOCK_FILE"], "r+b") as _file:
    _ahead = mmap.mmap(_file.fileno(), _OFFSET.size)


def _now() -> int:
    return _real_now() + int(_OFFSET.unpack_from(_ahead)[0])


async def _every(self: Upkeep, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    await _real_every(self, min(seconds, 0.1), work)


services.now = _now
Upkeep.every = _every  # type: ignore[method-assign]

if __name__ == "__main__":
    from tusdrive.cli import main

    main()
