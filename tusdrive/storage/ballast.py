"""Room that is given up when the disk is full, so that a change which frees some can still be committed.

A delete needs a few pages of WAL before it gives back a gigabyte. The database's own file system may be filled to the
last byte by somebody else; then this file goes, the change is tried again, and the file comes back when there is room.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from .fallocate import set_aside

log = logging.getLogger(__name__)

SIZE = 4 * 1024 * 1024
SHARE = 20
"""It takes at most this part of the disk: a twentieth."""

PATIENCE = 10.0
"""Seconds between two looks for room."""


class Ballast:
    """The file, beside the database. All of it on the writer's thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_there = False
        self._next_look = 0.0

    def tend(self) -> None:
        """Make it if it is not there and there is room for it many times over. Never raises."""
        if self._is_there or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + PATIENCE
        with suppress(OSError):
            disk = os.statvfs(self._path.parent)
            size = min(SIZE, disk.f_blocks * disk.f_frsize // SHARE)
            if disk.f_bavail * disk.f_frsize > 2 * size:
                self._make(size)

    def _make(self, size: int) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            set_aside(fd, size)
            self._is_there = True
        except OSError:
            os.unlink(self._path)
        finally:
            os.close(fd)

    def drop(self) -> bool:
        """Give the room up; whether there was any to give."""
        if not self._is_there:
            return False
        self._is_there = False
        self._next_look = time.monotonic() + PATIENCE
        with suppress(OSError):
            os.unlink(self._path)
        log.warning("the disk is full; used the reserve to commit", extra={"action": "ballast"})
        return True
