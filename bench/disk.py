"""Where servers keep their data during a run.

What one server leaves on a disk can slow down the next: its unwritten pages, and on ext4 without a journal each
recently deleted inode, which every create then steps over for minutes (seen: 2.5 times fewer uploads/s). So nothing is
deleted before the bench ends, and with `OwnDisk` each server gets a file system nobody has used.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .tools import Missing

GIB = 2**30
OWN_DISK_GIB = 6


class Disk(Protocol):
    """Gives out empty folders, one at a time."""

    about: str

    def folder(self) -> AbstractContextManager[Path]: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class SharedDisk:
    """Folders below `root`, on whatever file system that is; deleted when the bench ends."""

    root: Path
    about: str = "folders on the file system named below, deleted at the end"
    _made: list[Path] = field(default_factory=list)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        made = Path(tempfile.mkdtemp(prefix="bench-", dir=self.root))
        self._made.append(made)
        yield made
        os.sync()

    def close(self) -> None:
        for made in self._made:
            shutil.rmtree(made, ignore_errors=True)


@dataclass(slots=True)
class OwnDisk:
    """A new ext4 with a journal for each folder, in a file below `root`, reached without the page cache of `root`."""

    root: Path
    about: str = f"for each server a new ext4 with journal, {OWN_DISK_GIB} GiB, on a loop device with direct I/O"

    @contextmanager
    def folder(self) -> Iterator[Path]:
        place = Path(tempfile.mkdtemp(prefix="bench-", dir=self.root))
        image, mounted, device = place / "image", place / "mounted", ""
        try:
            device = _make(image)
            mounted.mkdir()
            _run("mount", device, str(mounted))
            data = mounted / "data"
            data.mkdir()
            yield data
        finally:
            if mounted.is_mount():
                _undo(["umount", str(mounted)])
            if device:
                _undo(["losetup", "-d", device])
            shutil.rmtree(place, ignore_errors=True)

    def close(self) -> None:
        pass


def _make(image: Path) -> str:
    """A file with an empty file system in it, and the loop device over it."""
    with image.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, OWN_DISK_GIB * GIB)
    _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", str(image))
    return _run("losetup", "--direct-io=on", "--show", "-f", str(image))


def _undo(command: list[str]) -> None:
    try:
        _run(*command)
    except Missing as exc:
        print(f"left behind: {exc}", file=sys.stderr)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    except FileNotFoundError as exc:
        raise Missing(f"no {command[0]} for --own-disk; on Debian: apt-get install e2fsprogs mount util-linux") from exc
    except subprocess.SubprocessError as exc:
        said = getattr(exc, "stderr", "") or exc
        raise Missing(f"--own-disk needs root and loop devices; {' '.join(command)}: {said}") from exc
    return done.stdout.strip()


@contextmanager
def opened(root: Path, *, own: bool) -> Iterator[Disk]:
    """The disk of one call of the bench."""
    disk: Disk = OwnDisk(root) if own else SharedDisk(root)
    try:
        yield disk
    finally:
        disk.close()


def describe(path: Path) -> str:
    """Type and mount options of the file system that holds `path`, and whether an ext4 lacks its journal."""
    path, best, found = path.resolve(), "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        device, point, kind, options, *_ = line.split(" ")
        if path.is_relative_to(point) and len(point) >= len(best):
            best, found = point, f"{kind} ({options}){_journal(kind, device)}"
    return found


def _journal(kind: str, device: str) -> str:
    journals = Path("/proc/fs/jbd2")
    name = Path(os.path.realpath(device)).name
    if kind != "ext4" or any(journals.glob(f"{name}-*")):
        return ""
    return ", no journal: files deleted minutes ago slow down every create, consider --own-disk"
