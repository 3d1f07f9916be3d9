"""A real ext4 file system in an image, mounted by loop, whose power can be cut.

FS_IOC_SHUTDOWN with NOLOGFLUSH stops all writes to the image at once, the journal's included: what was not asked to
be made durable is gone after the next mount, as after a power cut. Data that the kernel wrote back by itself (after
5 to 30 s) survives without a sync, so cuts must come within a second of what they are to test.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = struct.pack("I", 2)


class Disk:
    """An ext4 disk of `size` bytes at `mount`, for as long as the `with` lasts."""

    def __init__(self, folder: Path, size: int) -> None:
        self.image = folder / "disk.img"
        self.mount = folder / "disk"
        self.size = size

    def __enter__(self) -> Disk:
        self.mount.mkdir()
        with self.image.open("wb") as image:
            image.truncate(self.size)
        _run("mkfs.ext4", "-q", "-F", str(self.image))
        self.attach()
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.mount)], capture_output=True, check=False)
        self.image.unlink(missing_ok=True)

    def attach(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.mount))

    def detach(self) -> None:
        _run("umount", str(self.mount))

    def cut(self) -> None:
        """No write reaches the image from now on, until it is detached and attached again."""
        descriptor = os.open(self.mount, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _NOLOGFLUSH)
        finally:
            os.close(descriptor)

    def free(self) -> int:
        """Bytes that anybody but root may still take."""
        stat = os.statvfs(self.mount)
        return stat.f_bavail * stat.f_frsize

    def fill(self, leave: int = 0) -> Path:
        """Take the whole disk, root's share included, but for `leave` bytes; the file that holds it."""
        hog = self.mount / "hog"
        step = 1 << 20
        stat = os.statvfs(self.mount)
        left = max(0, stat.f_bfree * stat.f_frsize - leave)
        descriptor = os.open(hog, os.O_WRONLY | os.O_CREAT)
        try:
            while left > 0 and step >= 4096:
                try:
                    left -= os.write(descriptor, bytes(min(step, left)))
                except OSError:
                    step //= 2
        finally:
            os.fsync(descriptor)
            os.close(descriptor)
        return hog


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def require_loop_mounts() -> None:
    """Skip, loudly, where file systems cannot be mounted; with CI set that is a failure."""
    able = os.geteuid() == 0 and shutil.which("mkfs.ext4") and Path("/dev/loop-control").exists()
    if able:
        return
    why = "NOT TESTED: needs root, mkfs.ext4 and loop devices"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
