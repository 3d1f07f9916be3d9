"""Runs tusdrive with fdatasync taken out: test_powercut.py must be able to tell it from the real one.

SQLite's own syncs are made by its library and stay, and names are still made durable: offsets survive a power cut, and
files do, but not the bytes in them.
"""

from __future__ import annotations

import os

from tusdrive.storage import fallocate


def _nothing(*_: object) -> None:
    return None


os.fdatasync = _nothing
fallocate.sync_all = _nothing

if __name__ == "__main__":
    from tusdrive.cli import main

    main()
