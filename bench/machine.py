"""What machine this is, and whether it is quiet enough to measure on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
KTHREADD = 2
QUIET = 0.1
"""Share of the machine that others may use before a run."""

PACKAGES = ("uvicorn", "httptools", "uvloop", "starlette", "orjson", "msgspec", "aiosqlite")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds since boot, all cores: spent, idle, and taken by the hypervisor."""

    busy: float
    idle: float
    stolen: float

    @classmethod
    def read(cls) -> Cpu:
        fields = [int(field) / TICK for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        user, nice, system, idle, iowait, irq, softirq, steal = fields
        return cls(user + nice + system + irq + softirq, idle + iowait, steal)

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.busy - before.busy, self.idle - before.idle, self.stolen - before.stolen)

    def share(self) -> float:
        """Busy or stolen part of the machine, 0 to 1."""
        return (self.busy + self.stolen) / max(self.busy + self.stolen + self.idle, 1e-9)


def kernel_seconds() -> float:
    """CPU time of the kernel's own threads so far: they write back and journal for whoever is measured."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) if fields[1] == str(KTHREADD) else 0
    return total / TICK


def wait_for_quiet(most_seconds: float = 60) -> float:
    """Wait until others use little CPU; the share they still use when it gives up or goes on."""
    deadline = time.monotonic() + most_seconds
    while True:
        before = Cpu.read()
        time.sleep(0.5)
        share = Cpu.read().since(before).share()
        if share <= QUIET or time.monotonic() > deadline:
            return share


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "none"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def facts() -> dict[str, str]:
    """The facts that a figure needs beside it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{len(os.sched_getaffinity(0))} cores, {_cpu_model()}, {memory:.0f} GiB",
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "node": _output("node", "--version"),
        "compiler": _output("gcc", "--version").partition("\n")[0],
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "commit": _output("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
    }
