"""One sync for all small files that were written at about the same time.

A file of its own costs its own fdatasync and a share of its directory's, each with a trip to a thread and a flush of
the disk's cache. `syncfs` does all of them at once, data and names: whatever was written before it began is durable
when it returns. It also waits for what other programs have dirtied on that disk, so it is used only while it is quick.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

from . import fallocate
from .threads import Threads

log = logging.getLogger(__name__)

SOUND = frozenset({"ext4", "xfs"})
"""File systems whose syncfs is known to wait for data, metadata and the disk. FUSE, for one, may do nothing."""

FEW = 4
"""Fewer writes at a time are quicker each by itself."""

SLOW = 0.05
"""Seconds. When it takes longer, somebody else is writing to the disk."""

PAUSE = 10.0
"""Seconds until it is tried again after that."""


class GroupSync:
    """Waits together. All of it on the event loop; the system call is made in a thread."""

    def __init__(self, top: str, threads: Threads) -> None:
        self._top = top
        self._threads = threads
        self._fd = -1
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self.writers = 0  # small writes that are under way

    def open(self) -> None:
        """Raises OSError."""
        if file_system(self._top) in SOUND and fallocate.has_syncfs():
            self._fd = os.open(self._top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    async def close(self) -> None:
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def is_worth_it(self) -> bool:
        """Whether one more small write had better wait with the others."""
        return self._fd >= 0 and self.writers >= FEW and time.monotonic() >= self._not_before

    async def settle(self) -> None:
        """What was written before this call is durable on return. Raises OSError when that is not known."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append(future)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._sync_all())
        await future

    async def _sync_all(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            begun = time.monotonic()
            try:
                await self._threads.run(lambda: fallocate.sync_all(self._fd))
            except OSError as exc:
                self._give_up(waiting, exc)
                continue
            if time.monotonic() - begun > SLOW:
                self._not_before = time.monotonic() + PAUSE
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def _give_up(self, waiting: list[asyncio.Future[None]], exc: OSError) -> None:
        """Nobody knows whose bytes were lost. Each file has to answer for itself from now on."""
        log.error("syncfs failed", exc_info=exc, extra={"action": "sync"})
        self._not_before = float("inf")
        for future in waiting:
            if not future.done():
                future.set_exception(OSError(exc.errno, exc.strerror))


def file_system(path: str) -> str:
    """The type of the file system that a path is on; "" when that cannot be told."""
    try:
        device = os.stat(path).st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields, _, rest = line.partition(" - ")
            if fields.split()[2] == wanted:
                return rest.split()[0]
    except (OSError, IndexError):
        pass
    return ""
