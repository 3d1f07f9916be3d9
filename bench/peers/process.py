"""A running peer: started on a folder, asked for its endpoint, its CPU time and its memory, and stopped."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..machine import TICK
from ..tools import Tools
from . import REPO, Peer

ENDPOINT = re.compile(r"tus endpoint:\s*(http://127\.0\.0\.1:\d+/[^\s?#]*)", re.IGNORECASE)
START_SECONDS = 60
STOP_SECONDS = 30


class PeerFailed(Exception):
    """A peer that did not start, or died; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that answers. `endpoint` is the URL to POST to."""

    endpoint: str
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children, so far."""
        return sum(_cpu(pid) for pid in _family(self.process.pid))

    def peak_mib(self) -> float:
        """The most memory it has had, in MiB, summed over its processes."""
        return sum(_peak_kib(pid) for pid in _family(self.process.pid)) / 1024


@contextmanager
def running(peer: Peer, tools: Tools, data: Path) -> Iterator[Running]:
    """Start a peer on `data` and stop it at the end. Raises PeerFailed or Missing."""
    log = tools.folder / f"{peer.name}.log"
    command = peer.command(tools, data)
    with log.open("wb") as out:
        environment = {**os.environ, **peer.environment}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=REPO
        )
    try:
        yield Running(_endpoint(peer, process, log), process)
    finally:
        _stop(process)


def _endpoint(peer: Peer, process: subprocess.Popen[bytes], log: Path) -> str:
    deadline, text = time.monotonic() + START_SECONDS, ""
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace")
        if found := ENDPOINT.search(text):
            return found[1].rstrip("/")
        if process.poll() is not None:
            raise PeerFailed(f"{peer.name} ended with {process.returncode}:\n{text[-2000:]}")
        time.sleep(0.05)
    raise PeerFailed(f"{peer.name} said no endpoint within {START_SECONDS} s:\n{text[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _family(root: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            parents.setdefault(int(fields[1]), []).append(int(entry))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK if fields else 0.0


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0
