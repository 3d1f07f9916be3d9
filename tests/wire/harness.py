"""Runs a real tusdrive process for black-box tests, and everything such a test needs around it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pattern import Pattern
from proxy import CLEAN, Fault, Proxy
from rawhttp import Closed, Connection, Headers, Response, chunked, head, raw, request

__all__ = [
    "CLEAN",
    "FULL",
    "KIB",
    "MIB",
    "ROOT",
    "Closed",
    "Connection",
    "Fault",
    "Headers",
    "Pattern",
    "Process",
    "Proxy",
    "Response",
    "Server",
    "chunked",
    "eventually",
    "head",
    "raw",
    "request",
    "token",
]

T = TypeVar("T")
KIB = 1 << 10
MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("TUSDRIVE_FULL", "") not in ("", "0")
COMMAND = tuple(shlex.split(os.environ.get("TUSDRIVE_COMMAND") or f"{sys.executable} -m tusdrive"))
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CI")
_BANNER = {
    "tus": re.compile(r"^\W*tus endpoint:?\s+(http\S+)", re.M | re.I),
    "rest": re.compile(r"^\W*REST base:?\s+(http\S+)", re.M | re.I),
    "token": re.compile(r"^\W*token\b.*?:?\s+(eyJ[\w-]+\.[\w-]+\.[\w-]+)", re.M | re.I),
}


def eventually(what: Callable[[], T], within: float = 10.0, every: float = 0.02) -> T:
    """Call `what` until it returns something true; AssertionError with its last answer after `within` seconds."""
    end = time.monotonic() + within
    while not (answer := what()):
        assert time.monotonic() < end, f"still {answer!r} after {within} s"
        time.sleep(every)
    return answer


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """What a server may see of this process's environment: no settings that leak in from outside."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)} | (extra or {})


class Process:
    """A server process whose output goes to a log file, and which says where it listens."""

    def __init__(self, log: Path, *, env: dict[str, str] | None = None) -> None:
        self.log = log
        self.env = environment(env)
        self.process: subprocess.Popen[bytes] | None = None
        self.host = "127.0.0.1"
        self.port = 0

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def command(self) -> Sequence[str]:
        raise AssertionError("a subclass says what to run")

    def ready(self, output: str) -> bool:
        """Whether it listens, by what it printed; keeps what was printed."""
        raise AssertionError("a subclass says what it prints")

    def start(self, within: float = 30.0) -> None:
        """Start it, and wait until it says that it listens. AssertionError with its output when it does not."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.env, cwd=self.log.parent
            )
        end = time.monotonic() + within
        while not self.ready(self.output()[before:]):
            late = time.monotonic() > end
            if late or self.process.poll() is not None:
                self.kill()
                raise AssertionError(f"the server did not start:\n{self.output()[before:][-4000:]}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def output(self) -> str:
        """Everything it printed, over all its starts."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, within: float = 15.0) -> int:
        """Its exit code. TimeoutExpired when it goes on for longer."""
        assert self.process is not None
        return self.process.wait(within)

    def stop(self, within: float = 15.0) -> int:
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(within)

    def kill(self) -> None:
        """SIGKILL, and wait for its end. No error when it has ended."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def rss(self) -> int:
        """Bytes of memory resident now, its children's not counted."""
        return self._status("VmRSS")

    def peak_rss(self) -> int:
        """The most bytes of memory that were ever resident."""
        return self._status("VmHWM")

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB", text, re.M)
        assert found is not None
        return int(found[1]) * KIB

    def connect(self, timeout: float = 20.0) -> Connection:
        return Connection(self.host, self.port, timeout)


class Server(Process):
    """tusdrive serving `data` on a port of its own choice, which it keeps when it is started again."""

    def __init__(
        self,
        data: Path,
        *options: str,
        auth: str = "jwt",
        env: dict[str, str] | None = None,
        command: Sequence[str] = COMMAND,
        log: Path | None = None,
    ) -> None:
        super().__init__(log or data.with_name(data.name + ".log"), env=env)
        self.data = data
        self.options = options
        self.auth = auth
        self.program = command
        self.tus = ""  # the tus endpoint's URL, without a slash at its end
        self.rest = ""  # the REST base URL, likewise
        self.token = ""
        self.is_dark = False  # answers that come from now on are not heard by anybody

    def __enter__(self) -> Server:
        self.start()
        return self

    def command(self) -> Sequence[str]:
        auth = () if self.auth == "jwt" else ("--auth", self.auth)
        place = ("--host", self.host, "--port", str(self.port), "--data", str(self.data))
        return (*self.program, "serve", *place, *auth, *self.options)

    def ready(self, output: str) -> bool:
        found = {name: pattern.search(output) for name, pattern in _BANNER.items()}
        if not found["tus"] or not found["rest"] or (self.auth == "jwt" and not found["token"]):
            return False
        self.tus, self.rest = found["tus"][1].rstrip("/"), found["rest"][1].rstrip("/")
        self.token = found["token"][1] if found["token"] else ""
        self.port = urlsplit(self.tus).port or self.port
        return self._listens()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), self.connect(1):
            return True
        return False

    def restart(self) -> None:
        """SIGKILL and start again, same data, same port."""
        self.kill()
        self.start()

    @property
    def path(self) -> str:
        """The tus endpoint's path."""
        return urlsplit(self.tus).path

    @property
    def api(self) -> str:
        """The REST base's path."""
        return urlsplit(self.rest).path

    def bearer(self, token: str | None = None) -> dict[str, str]:
        token = self.token if token is None else token
        return {"Authorization": f"Bearer {token}"} if token else {}

    def request(
        self, method: str, path: str, headers: Headers = (), body: bytes = b"", *, timeout: float = 20.0
    ) -> Response:
        """One request with the admin's token (unless another Authorization is given) on a connection of its own."""
        answer = request(self.host, self.port, method, path, self.signed(headers), body, timeout)
        if self.is_dark:
            raise ConnectionError("the power is off")
        return answer

    def signed(self, headers: Headers = ()) -> list[tuple[str, str | int]]:
        pairs = list(headers.items()) if hasattr(headers, "items") else list(headers)
        if any(name.lower() == "authorization" for name, _ in pairs):
            return pairs
        return [*self.bearer().items(), *pairs]


def token(server: Server, *options: str) -> str:
    """A token minted by `tusdrive token` for that server's data, e.g. `token(server, "--lifetime", "2s")`."""
    command = [*server.program, "token", "--data", str(server.data), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=server.env, timeout=30)
    assert done.returncode == 0, done.stderr
    found = re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", done.stdout)
    assert found is not None, done.stdout
    return found[0]
