"""Runs tusdrive with every sync of data taken out: test_powercut.py must be able to tell it from the real one.

SQLite's own syncs are made by its library and stay, so that offsets survive a power cut and their bytes do not.
"""

from __future__ import annotations

import os


def _nothing(*_: object) -> None:
    return None


for _name in ("fsync", "fdatasync", "sync"):
    setattr(os, _name, _nothing)

if __name__ == "__main__":
    from tusdrive.cli import main

    main()
