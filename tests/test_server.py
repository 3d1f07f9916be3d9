"""Start and stop of the process, with apps that misbehave in every way they can."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = """
import asyncio, pathlib, sys, time
from tusdrive import logs
from tusdrive.server import bind, run
from tusdrive.settings import Settings

class App:
    async def drain(self):
        {drain}

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            try:
                {start}
            except Exception as exc:
                await send({{"type": "lifespan.startup.failed", "message": "a long traceback"}})
                raise
            await send({{"type": "lifespan.startup.complete"}})
            await receive()
            {close}
            print("closed", flush=True)
            await send({{"type": "lifespan.shutdown.complete"}})
            return
        print("asked", flush=True)
        {answer}
        await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}})
        await send({{"type": "http.response.body"}})

class Odd(Exception):
    message = "the database is damaged\\n  put the copy back"

logs.configure("text", "info")
settings = Settings(port=0, shutdown_grace={grace}, unix_socket=pathlib.Path(sys.argv[1]))
sys.exit(run(App(), settings, bind(settings), lambda: print("ready", flush=True)))
"""
FOREVER = "await asyncio.sleep(3600)"
STUBBORN = """
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
"""


class Run:
    """The program with some of its parts replaced."""

    def __init__(self, folder: Path, **parts: str) -> None:
        whole = {"drain": "pass", "start": "pass", "close": "pass", "answer": "pass", "grace": "3.0"} | parts
        (folder / "program.py").write_text(textwrap.dedent(PROGRAM).format(**whole))
        self.path = folder / "socket"
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "program.py"), str(self.path)], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def ask(self) -> socket.socket:
        found = socket.socket(socket.AF_UNIX)
        found.connect(str(self.path))
        found.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return found

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> tuple[int, float, str, str]:
        """Exit status, seconds it took, what is left of stdout, and stderr."""
        self.process.send_signal(signal.SIGTERM)
        since = time.monotonic()
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, time.monotonic() - since, out, err

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    found = Run(tmp_path, **request.param)
    yield found
    found.end()


@pytest.mark.parametrize("running", [{}], indirect=True)
def test_idle(running: Run) -> None:
    assert running.line() == "ready"
    status, took, out, err = running.stop()
    assert (status, took < 1, out) == (0, True, "closed\n")
    assert [line.split()[1:4] for line in err.splitlines()] == [
        ["INFO", "tusdrive.server", "stopping"], ["INFO", "tusdrive.server", "stopped"]]  # fmt: skip


@pytest.mark.parametrize("running", [{"answer": "await asyncio.sleep(0.5)"}], indirect=True)
def test_answers_under_way_are_given(running: Run) -> None:
    assert running.line() == "ready"
    with running.ask() as asked:
        assert running.line() == "asked"
        status, _, out, _ = running.stop()
        assert asked.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    assert (status, out) == (0, "closed\n")


@pytest.mark.parametrize(
    "running",
    [
        {"answer": FOREVER},
        {"answer": FOREVER, "drain": FOREVER},
        {"answer": FOREVER, "drain": "raise RuntimeError('x')"},
    ],
    indirect=True,
)
def test_hung_request(running: Run) -> None:
    """It is cancelled, the app is closed in order, all within the three seconds."""
    assert running.line() == "ready"
    with running.ask():
        assert running.line() == "asked"
        status, took, out, _ = running.stop()
    assert (status, out) == (0, "closed\n")
    assert 1.9 < took < 3


@pytest.mark.parametrize(
    "running",
    [
        {"answer": "time.sleep(3600)"},
        {"answer": STUBBORN, "close": FOREVER},
        {"answer": "pass", "close": "time.sleep(3600)"},
    ],
    indirect=True,
)
def test_app_that_never_ends(running: Run) -> None:
    """A blocked loop, too: the process ends on time, with a status that says so."""
    assert running.line() == "ready"
    with running.ask():
        assert running.line() == "asked"
        status, took, out, err = running.stop()
    assert (status, out) == (1, "")
    assert 2.9 < took < 6
    assert "Timeout" in err


@pytest.mark.parametrize("running", [{"start": "raise Odd()"}], indirect=True)
def test_start_that_fails(running: Run) -> None:
    out, err = running.process.communicate(timeout=20)
    assert (running.process.returncode, out) == (1, "")
    assert "ERROR uvicorn.error the database is damaged\\n  put the copy back\n" in err
    assert "traceback" not in err.lower()


@pytest.mark.parametrize("running", [{"start": "print('starting', flush=True); await asyncio.sleep(1)"}], indirect=True)
def test_signal_during_start(running: Run) -> None:
    assert running.line() == "starting"
    status, took, out, _ = running.stop()
    assert (status, took < 3, out) == (0, True, "closed\n")
