"""The command line, as a person uses it: real processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import tomllib
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jwt
import pytest

from tusdrive import __version__
from tusdrive.settings import OPTIONS, flag

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
SECRET = "0123456789abcdef0123456789abcdef"
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


def environment(**more: str) -> dict[str, str]:
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {"PYTHONPATH": str(ROOT)} | more


def tusdrive(*args: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tusdrive", *args]
    return subprocess.run(
        command, cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=60, check=False)


def write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that has a secret already."""
    folder = tmp_path / "data"
    folder.mkdir()
    write_secret(folder / "secret", SECRET + "\n")
    return folder


# ---- help and version


def test_version() -> None:
    done = tusdrive("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"tusdrive {__version__}\n", "")


def test_help() -> None:
    done = tusdrive("--help")
    assert done.returncode == 0
    for command in ("serve", "token", "check", "gc", "config"):
        assert re.search(rf"^  {command} ", done.stdout, re.M)


def test_serve_help_has_every_setting() -> None:
    shown = tusdrive("serve", "-h", COLUMNS="200").stdout
    assert [name for name in OPTIONS if f"  {flag(name)} " not in shown] == []
    assert "Listening:\n  --host TEXT" in shown
    assert re.search(r"--expire-after DURATION +unfinished uploads go after this long without activity \[24h\]", shown)


def test_no_command_shows_help() -> None:
    assert "Commands:" in tusdrive().stdout + tusdrive().stderr


# ---- config


def test_config_shows_values_and_where_they_came_from(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text("quota = '1GB'\n")
    done = tusdrive("config", "--port", "1", "--config", str(file), TUSDRIVE_MAX_SIZE="10GiB", LOG_LEVEL="Debug")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert 'port = "1"  # --port' in lines
    assert 'max_size = "10GiB"  # TUSDRIVE_MAX_SIZE' in lines
    assert f'quota = "1000000000"  # {file}' in lines
    assert 'log_level = "debug"  # LOG_LEVEL' in lines
    assert 'host = "127.0.0.1"  # default' in lines


def test_config_can_be_used_as_a_file(tmp_path: Path) -> None:
    flags = ["--behind-proxy", "10.0.0.0/8", "--behind-proxy", "::1", "--docs", "off", "--max-size", "7KiB"]
    first = tusdrive("config", *flags).stdout
    (tmp_path / "t.toml").write_text(first)
    second = tusdrive("config", "--config", str(tmp_path / "t.toml")).stdout
    assert tomllib.loads(second) == tomllib.loads(first)
    assert tomllib.loads(first)["behind_proxy"] == "10.0.0.0/8,::1/128"
    assert list(tomllib.loads(first)) == list(OPTIONS)


def test_config_tells_of_variables_without_effect() -> None:
    done = tusdrive("config", TUSDRIVE_PROT="1")
    assert "# TUSDRIVE_PROT is no setting\n" in done.stdout


@pytest.mark.parametrize(
    ("args", "env", "said"),
    [
        (["--port", "x"], {}, "port = 'x' (from --port): must be a whole number from 0 to 65535"),
        ([], {"TUSDRIVE_PORT": "x"}, "port = 'x' (from TUSDRIVE_PORT): must be a whole number from 0 to 65535"),
        ([], {"UPLOAD_MAX_CHUNK_SIZE": "big"},
         "max_chunk_size = 'big' (from UPLOAD_MAX_CHUNK_SIZE): must be a size such as 500MB, 10GiB or 1048576"),
        (["--config", "none.toml"], {}, "none.toml (from --config): No such file or directory"),
        (["--tls-cert", "c.pem"], {}, "tls_cert and tls_key: give both or neither"),
        (["--data", ""], {}, "data = '' (from --data): must be a path"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["config", "serve"])
def test_wrong_settings(command: str, args: list[str], env: dict[str, str], said: str, tmp_path: Path) -> None:
    done = tusdrive(command, *args, cwd=tmp_path, **env)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {said}\n")
    assert list(tmp_path.iterdir()) == []


def test_unknown_flag() -> None:
    done = tusdrive("serve", "--prot", "1")
    assert done.returncode == 2
    assert "No such option" in done.stderr


# ---- token


def test_token(data: Path) -> None:
    before = int(time.time())
    done = tusdrive("token", "--data", str(data), "--account", "ann", "--role", "a", "--role", "b", "--lifetime", "2h")
    assert (done.returncode, done.stderr) == (0, "")
    assert TOKEN.fullmatch(done.stdout.removesuffix("\n"))
    claims = jwt.decode(done.stdout.strip(), SECRET, ["HS256"])
    assert (claims["sub"], claims["roles"], claims["exp"] - claims["iat"]) == ("ann", ["a", "b"], 7200)
    assert before <= claims["iat"] <= time.time()


def test_token_by_default(data: Path) -> None:
    claims = jwt.decode(tusdrive("token", STORAGE_UPLOADS_PATH=str(data)).stdout.strip(), SECRET, ["HS256"])
    assert (claims["sub"], claims["roles"], claims["exp"] - claims["iat"]) == ("admin", [], 3600)


def test_token_names_audience_and_issuer(data: Path) -> None:
    done = tusdrive("token", "--data", str(data), "--jwt-audience", "drive", TUSDRIVE_JWT_ISSUER="me")
    claims: dict[str, Any] = jwt.decode(done.stdout.strip(), SECRET, ["HS256"], audience="drive", issuer="me")
    assert claims["sub"] == "admin"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--lifetime", "soon"], "no such token: must be a duration such as 30s, 24h or 7d"),
        (["--lifetime", "0"], "no such token: the token has expired"),
        (["--lifetime", "11000d"], "no such token: the token must have an end (exp), a whole number of seconds within "
         "ten years"),
        (["--account", ""], "no such token: the token must name its account (sub)"),
        (["--role", "a\nb"], "no such token: the token's roles must be texts"),
    ],
)  # fmt: skip
def test_token_refused(args: list[str], said: str, data: Path) -> None:
    done = tusdrive("token", "--data", str(data), *args)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {said}\n")


def test_token_does_not_make_a_secret(tmp_path: Path) -> None:
    done = tusdrive("token", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: data/secret: there is no signing secret; name the server's --data, or start the server first\n")
    assert list(tmp_path.iterdir()) == []


def test_token_with_a_weak_secret(data: Path) -> None:
    write_secret(data / "secret", "changeme")
    done = tusdrive("token", "--data", str(data))
    assert done.returncode == 2
    assert "must have at least 32 bytes" in done.stderr


# ---- serve


class Serving:
    """`tusdrive serve` and what it printed."""

    def __init__(self, folder: Path, *args: str, **env: str) -> None:
        self.folder = folder
        self._out, self._err = folder / ".out", folder / ".err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tusdrive", "serve", "--data", str(folder / "data"), *args],
                cwd=folder, env=environment(**env), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def ready(self) -> None:
        end = time.monotonic() + 30
        while "Upload a file:\n  curl" not in self.out or not self.out.endswith("\n"):
            assert self.process.poll() is None, self.err
            assert time.monotonic() < end, self.out + self.err
            time.sleep(0.02)

    def line(self, name: str) -> str:
        found = re.search(rf"^{name}: +(\S+)$", self.out, re.M)
        assert found is not None, self.out
        return found[1]

    @property
    def port(self) -> int:
        return int(self.line("tus endpoint").split(":")[2].split("/")[0])

    def curl(self) -> str:
        return self.out.rpartition("Upload a file:\n")[2].strip()

    def stop(self, *signals: int) -> tuple[int, float]:
        """Exit status, and seconds from the last signal to the end."""
        for number in signals:
            self.process.send_signal(number)
            since = time.monotonic()
            if number is not signals[-1]:
                time.sleep(0.3)
        return self.process.wait(30), time.monotonic() - since


@contextlib.contextmanager
def serving(folder: Path, *args: str, port: str = "0", **env: str) -> Iterator[Serving]:
    server = Serving(folder, "--port", port, *args, **env)
    try:
        server.ready()
        yield server
    finally:
        server.process.kill()
        server.process.wait(10)


def paste(line: str, cwd: Path) -> str:
    """What a shell answers to a pasted line."""
    done = subprocess.run(["bash", "-c", line], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def hang(server: Serving, socket_: socket.socket) -> None:
    """Begin an upload on this connection, and stop in the middle of its body."""
    path = "/" + server.line("tus endpoint").split("/", 3)[3]
    token = server.line("token")
    socket_.sendall(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nAuthorization: Bearer {token}\r\n"
        "Upload-Length: 100000\r\nContent-Length: 100000\r\nContent-Type: application/offset+octet-stream\r\n\r\n"
        .encode() + b"x" * 50000
    )  # fmt: skip
    time.sleep(0.3)


def test_serve_says_what_a_newcomer_needs(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello\n")
    with serving(tmp_path) as server:
        lines = server.out.splitlines()
        assert lines[0] == f"tusdrive {__version__}, durable, data in {tmp_path}/data"
        assert lines[2] == f"tus endpoint:  http://127.0.0.1:{server.port}/files"
        assert lines[3] == f"REST base:     http://127.0.0.1:{server.port}/api"
        assert lines[4].startswith("token:         eyJ")
        assert server.err == ""
        claims = jwt.decode(server.line("token"), options={"verify_signature": False})
        assert (claims["sub"], claims["roles"], claims["exp"] - claims["iat"]) == ("admin", ["admin"], 604800)
        assert stat.S_IMODE((tmp_path / "data" / "secret").stat().st_mode) == 0o600
        answer = paste(server.curl(), Path("/"))
        assert "HTTP/1.1 201 Created" in answer
        location = re.search(r"(?mi)^location: (\S+)", answer)
        assert location is not None
        got = paste(f"curl -sS -H 'Authorization: Bearer {server.line('token')}' '{location[1]}'", Path("/"))
        assert got == "hello\n"
        made = tusdrive("token", "--data", str(tmp_path / "data"), "--account", "ann").stdout.strip()
        api = server.line("REST base")
        listed = paste(f"curl -sS -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {made}' "
                       f"{api}/files/upload/tasks", Path("/"))  # fmt: skip
        assert listed == "200"
        assert server.stop(signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("name", ["with space.txt", "it's.txt", "größe $HOME `x` \".txt", "-o.txt"])
def test_the_pasted_line_works_for_any_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / name).write_text("hello\n")
    with serving(tmp_path / "here") as server:
        answer = paste(server.curl(), Path("/"))
        assert "HTTP/1.1 201 Created" in answer
        [location] = re.findall(r"(?mi)^location: (\S+)", answer)
        got = paste(f"curl -sSi -H 'Authorization: Bearer {server.line('token')}' '{location}'", Path("/"))
        assert got.endswith("hello\n")
        assert name in urllib.parse.unquote(got)


def test_serve_without_accounts(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello\n")
    with serving(tmp_path, "--auth", "none") as server:
        assert server.err == (
            f"WARNING: auth is none: whoever reaches http://127.0.0.1:{server.port} "
            "may read, write and delete everything\n")
        assert "eyJ" not in server.out
        assert "HTTP/1.1 201 Created" in paste(server.curl(), Path("/"))


def test_serve_warns_of_variables_without_effect(tmp_path: Path) -> None:
    with serving(tmp_path, TUSDRIVE_MAXSIZE="1") as server:
        assert server.err == "WARNING: TUSDRIVE_MAXSIZE is no setting\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(number: signal.Signals, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        status, took = server.stop(number)
        assert (status, took < 3) == (0, True)


def test_stop_with_a_hung_body_keeps_what_came(tmp_path: Path) -> None:
    with serving(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as hung:
        hang(server, hung)
        status, took = server.stop(signal.SIGTERM)
        assert (status, took < 5) == (0, True), server.err
        assert [line.split(" ", 2)[2] for line in server.err.splitlines()] == [
            "tusdrive.server stopping action=stop", "tusdrive.server stopped action=stop"]
    with serving(tmp_path) as server:
        curl = f"curl -sS -H 'Authorization: Bearer {server.line('token')}' "
        [task] = json.loads(paste(f"{curl} {server.line('REST base')}/files/upload/tasks", Path("/")))
        assert task["status"] == "InProgress"
        answer = paste(f"{curl} -I -H 'Tus-Resumable: 1.0.0' {server.line('tus endpoint')}/{task['taskId']}", Path("/"))
        assert re.search(r"(?mi)^upload-offset: 50000\r?$", answer)


def test_second_signal_stops_at_once(tmp_path: Path) -> None:
    """Right after the first, before the server could have ended by itself."""
    with serving(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as hung:
        hang(server, hung)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        since = time.monotonic()
        assert server.process.wait(10) in (128 + signal.SIGINT, 128 + signal.SIGTERM)
        assert time.monotonic() - since < 2


def test_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = tusdrive("serve", "--port", str(port), cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr == f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n"
        assert list(tmp_path.iterdir()) == []


def test_second_server_on_the_same_data(tmp_path: Path) -> None:
    with serving(tmp_path):
        done = tusdrive("serve", "--port", "0", "--data", str(tmp_path / "data"))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "ERROR uvicorn.error" in done.stderr


def test_unix_socket(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello\n")
    path = tmp_path / "socket"
    with serving(tmp_path, "--unix-socket", str(path)) as server:
        assert server.line("tus endpoint") == "http://localhost/files"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert "HTTP/1.1 201 Created" in paste(server.curl(), Path("/"))
        done = tusdrive("serve", "--unix-socket", str(path), "--data", str(tmp_path / "other"))
        assert (done.returncode, done.stderr) == (1, f"Error: cannot listen on {path}: Address already in use\n")
        server.stop(signal.SIGKILL)
        assert path.is_socket()
    with serving(tmp_path, "--unix-socket", str(path)) as server:
        assert server.stop(signal.SIGTERM)[0] == 0
        assert not path.exists()


def test_unix_socket_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = tusdrive("serve", "--unix-socket", str(tmp_path / "file"), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert (tmp_path / "file").read_text() == "mine"


def certificate(folder: Path) -> Sequence[str]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert),
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return "--tls-cert", str(cert), "--tls-key", str(key)


def test_tls(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello\n")
    flags = certificate(tmp_path)
    with serving(tmp_path, *flags) as server:
        assert server.line("tus endpoint").startswith("https://127.0.0.1:")
        assert "HTTP/1.1 201 Created" in paste(server.curl(), Path("/"))
        trusting = ssl.create_default_context(cafile=flags[1])
        with socket.create_connection(("127.0.0.1", server.port)) as plain, \
                trusting.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped:  # fmt: skip
            assert wrapped.version() == "TLSv1.3"


def test_tls_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    for key in ("x.pem", "none.pem"):
        done = tusdrive("serve", "--port", "0", "--tls-cert", "x.pem", "--tls-key", key, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: tls_cert, tls_key: ")


def test_secret_that_is_too_short(tmp_path: Path) -> None:
    write_secret(tmp_path / "weak", "changeme")
    done = tusdrive("serve", "--port", "0", "--jwt-secret-file", "weak", cwd=tmp_path)
    assert done.returncode == 1
    assert "must have at least 32 bytes" in done.stderr
    assert "Traceback" not in done.stderr


# ---- check and gc


def test_check_and_gc_of_a_sound_directory(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.stop(signal.SIGTERM)[0] == 0
    for command in (["check"], ["check", "--repair"], ["gc", "--dry-run"], ["gc"]):
        done = tusdrive(*command, "--data", str(tmp_path / "data"))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout != ""


@pytest.mark.parametrize("whole", [True, False])
def test_check_finds_what_is_missing(whole: bool, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello\n" * 10000)
    with serving(tmp_path) as server, socket.create_connection(("127.0.0.1", server.port)) as hung:
        if whole:
            assert "HTTP/1.1 201 Created" in paste(server.curl(), Path("/"))
        else:
            hang(server, hung)
        assert server.stop(signal.SIGTERM)[0] == 0
    [stored] = [path for path in (tmp_path / "data" / "bytes").rglob("*") if path.is_file()]
    stored.unlink()
    done = tusdrive("check", "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert stored.name in done.stdout


def test_check_beside_a_running_server(tmp_path: Path) -> None:
    with serving(tmp_path):
        for command in ("check", "gc"):
            done = tusdrive(command, "--data", str(tmp_path / "data"))
            assert done.returncode == 1
            assert done.stderr.startswith("Error: ")
            assert "Traceback" not in done.stderr
