"""Small file systems to fill up."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")


@contextmanager
def mounted(where: Path, *options: str) -> Iterator[Path]:
    """`mount` with these options; unmounted at the end."""
    where.mkdir()
    done = subprocess.run(["mount", *options, str(where)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


@pytest.fixture
def memory_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 8 MiB."""
    need_root()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m", "none") as where:
        yield where


@pytest.fixture
def ext4_disk(tmp_path: Path) -> Iterator[Path]:
    """A loop-mounted ext4 of 64 MiB, with nothing kept for root."""
    need_root()
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(64 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    with mounted(tmp_path / "disk", "-o", "loop", str(image)) as where:
        yield where


@pytest.fixture
def thin_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of 64 MiB that believes in more room than there is: its image is on a tmpfs of 24 MiB.

    Writes succeed and syncs fail, as on a dying disk.
    """
    need_root()
    with mounted(tmp_path / "below", "-t", "tmpfs", "-o", "size=24m", "none") as below:
        image = below / "image"
        with open(image, "wb") as file:
            file.truncate(64 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
        with mounted(tmp_path / "disk", "-o", "loop", str(image)) as where:
            yield where


def free(where: Path) -> int:
    facts = os.statvfs(where)
    return facts.f_bavail * facts.f_frsize
