"""The whole server inside another application: right addresses, opened and closed with its host, or on demand."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest
import tus
from asking import BODY, V, api, content, finish, id_of, length, make, override, places, put, task, told
from harness import MIB, Process, Server, environment

from tusdrive import Settings, create_app

STARLETTE = """
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from tusdrive import create_app
from tusdrive.settings import Settings

drive = create_app(Settings(data=Path("data"), auth="none"))
hello = Route("/", lambda request: PlainTextResponse("hello"))
app = Starlette(routes=[hello, Mount("/deep/down", drive)]{lifespan})
"""
FASTAPI = """
from pathlib import Path
from fastapi import FastAPI
from tusdrive import create_app
from tusdrive.settings import Settings

drive = create_app(Settings(data=Path("data"), auth="none"))
app = FastAPI({lifespan})

@app.get("/")
async def hello() -> str:
    return "hello"

app.mount("/deep/down", drive)
"""
HOSTS = {
    "starlette-hosted": STARLETTE.format(lifespan=", lifespan=drive.hosted"),
    "starlette-on-demand": STARLETTE.format(lifespan=""),
    "fastapi-hosted": FASTAPI.format(lifespan="lifespan=drive.hosted"),
    "fastapi-on-demand": FASTAPI.format(lifespan=""),
}


class Host(Process):
    """Somebody's application under plain uvicorn, with the drive at /deep/down. Looks like a Server to the helpers."""

    def __init__(self, folder: Path, source: str, *options: str) -> None:
        super().__init__(folder / "host.log", env={"PYTHONPATH": f"{folder}:{environment()['PYTHONPATH']}"})
        (folder / "host.py").write_text(source)
        self.options = options
        self.data = folder / "data"

    def command(self) -> Sequence[str]:
        place = ("--host", self.host, "--port", str(self.port))
        return (sys.executable, "-W", "error", "-m", "uvicorn", "host:app", *place, *self.options)

    def ready(self, output: str) -> bool:
        found = re.search(r"Uvicorn running on http://127\.0\.0\.1:(\d+)", output)
        if found:
            self.port = int(found[1])
        return found is not None


class Embedded(Server):
    """The helpers' view of a host: the same requests, below its prefix."""

    def __init__(self, host: Host, prefix: str) -> None:
        super().__init__(host.data, auth="none", log=host.log)
        self.prefix = prefix
        self.port = host.port
        self.tus = f"http://127.0.0.1:{host.port}{prefix}/files"
        self.rest = f"http://127.0.0.1:{host.port}{prefix}/api"

    def request(self, method: str, path: str, *more: object, **options: object):  # type: ignore[no-untyped-def]
        path = path if path.startswith(self.prefix) else self.prefix + path
        return super().request(method, path, *more, **options)  # type: ignore[arg-type]


@pytest.fixture(params=sorted(HOSTS))
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    with Host(tmp_path, HOSTS[request.param]) as host:
        host.start()
        yield host


def stop(host: Host, within: float = 8) -> None:
    """SIGTERM ends it by itself, without a complaint; what it leaves is sound."""
    try:
        # uvicorn raises the signal again when all is closed: that is its clean end.
        assert host.stop(within) in (0, -signal.SIGTERM)
    except subprocess.TimeoutExpired:
        pytest.fail(f"it does not end:\n{host.output()[-2000:]}")
    if "hosted" in host.log.with_name("host.py").read_text():
        assert not (host.data / "tusdrive.db-wal").exists(), "the database was not closed"
    for word in ("Traceback", "Error", "never awaited", "was destroyed"):
        assert word not in host.output(), host.output()[-4000:]
    check = [sys.executable, "-m", "tusdrive", "check", "--data", str(host.data)]
    done = subprocess.run(check, capture_output=True, text=True, env=environment(), timeout=60)
    assert (done.returncode, done.stdout) == (0, "rows and files agree\n"), done.stdout + done.stderr


def test_under_a_prefix(host: Host) -> None:
    drive = Embedded(host, "/deep/down")
    with host.connect() as connection:
        assert connection.exchange("GET", "/").body.strip(b'"') == b"hello"
    answer = tus.create(drive, 10, ("Upload-Metadata", "filename YS50eHQ="))
    location = answer.header("location") or ""
    assert re.fullmatch(rf"http://127\.0\.0\.1:{host.port}/deep/down/files/[0-9a-f]{{32}}", location)
    at = tus.path(answer)
    assert tus.patch(drive, at, 0, b"hello ").status == 204
    assert drive.request("POST", at, (V, override("PATCH"), BODY, ("Upload-Offset", 6)), b"host").status == 204
    assert tus.get(drive, at).body == b"hello host"
    assert drive.request("OPTIONS", "/files").header("tus-version") == "1.0.0"

    id = task(drive, b"abc")
    assert api(drive, "GET", f"/files/upload/resume/{id}").json()["chunksCount"] == 1
    assert put(drive, id, 0, b"abc").status == 200
    file = finish(drive, id).json()["id"]
    for prefix in ("/api", "/drive"):
        assert drive.request("GET", f"{prefix}/files/{file}").body == b"abc"
    assert drive.request("GET", "/health").json()["status"] == "ok"
    assert drive.request("GET", "/nope").json()["code"] == "NOT_FOUND"
    assert drive.request("PUT", "/files").header("allow") == "POST, OPTIONS"
    with host.connect() as connection:
        assert connection.exchange("GET", "/files").status == 404, "the host's own root is the host's"

    first, second = (make(drive, 3, ("Upload-Concat", "partial"), body=each) for each in (b"abc", b"def"))
    names = f"{drive.tus}/{first} /deep/down/files/{second}"
    final = drive.request("POST", "/files", (V, ("Upload-Concat", f"final;{names}")))
    assert content(drive, id_of(tus.path(final))) == b"abcdef"
    stop(host)


def test_the_task_names_its_address_with_the_prefix(host: Host) -> None:
    drive = Embedded(host, "/deep/down")
    asked = {"fileName": "a", "fileSize": 3, "contentType": "a/b"}
    value = api(drive, "POST", "/files/upload/create", asked).json()
    assert value["uploadUrl"] == f"{drive.tus}/{value['taskId']}"
    stop(host)


def test_nothing_is_opened_that_nobody_asked_for(host: Host) -> None:
    """Hosted it opens at the start; otherwise with the first request of its own."""
    hosted = "hosted" in host.log.with_name("host.py").read_text()
    with host.connect() as connection:
        assert connection.exchange("GET", "/").status == 200
    assert (host.data / "tusdrive.db").exists() is hosted
    assert Embedded(host, "/deep/down").request("GET", "/alive").status == 200
    assert (host.data / "tusdrive.db").exists()
    stop(host)


def test_many_first_requests_open_it_once(host: Host) -> None:
    from asking import at_once

    drive = Embedded(host, "/deep/down")
    answers = at_once(lambda _: tus.create(drive, 5).status, 8)
    assert answers == [201] * 8
    stop(host)


def test_what_arrived_is_there_after_a_restart(host: Host) -> None:
    drive = Embedded(host, "/deep/down")
    id = make(drive, 3 * MIB, body=bytes(MIB))
    stop(host)
    host.start()
    assert tus.offset(drive, f"/deep/down/files/{id}") == MIB
    assert tus.patch(drive, f"/deep/down/files/{id}", MIB, bytes(2 * MIB)).status == 204
    assert len(content(drive, id)) == 3 * MIB
    stop(host)


def test_a_hanging_upload_does_not_hold_up_the_host(host: Host) -> None:
    """uvicorn waits for answers before it closes the app; a body that is drained answers at once or is cut."""
    host.kill()
    host.options = ("--timeout-graceful-shutdown", "1")
    host.start()
    drive = Embedded(host, "/deep/down")
    id = make(drive, 1000)
    with tus.hung(drive, f"/deep/down/files/{id}", 0, 1000, b"x" * 100):
        assert tus.head(drive, f"/deep/down/files/{make(drive, 5)}").status == 200
        host.signal(signal.SIGTERM)
        assert host.wait(8) in (0, -signal.SIGTERM)
    # uvicorn cancelled the request, and says so in the log; that is no concern of ours.
    host.start()
    assert tus.offset(drive, f"/deep/down/files/{id}") in (0, 100)
    assert host.stop() in (0, -signal.SIGTERM)


def test_behind_a_root_path(tmp_path: Path) -> None:
    """The host itself is below a prefix that a proxy takes away."""
    with Host(tmp_path, HOSTS["starlette-hosted"], "--root-path", "/outer") as host:
        host.start()
        drive = Embedded(host, "/deep/down")
        location = drive.request("POST", "/files", (V, length(3))).header("location") or ""
        seen, _, id = location.rpartition("/")
        assert seen == f"http://127.0.0.1:{host.port}/outer/deep/down/files"
        assert told(drive, id).status == 200
        assert places(drive) == []
        stop(host)


def test_two_drives_in_one_host(tmp_path: Path) -> None:
    source = """
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from starlette.applications import Starlette
from starlette.routing import Mount
from tusdrive import create_app
from tusdrive.settings import Settings

drives = [create_app(Settings(data=Path("data", name), auth="none", base_path="/up")) for name in "ab"]

@asynccontextmanager
async def lifespan(app):
    async with AsyncExitStack() as stack:
        for drive in drives:
            await stack.enter_async_context(drive.hosted(app))
        yield

app = Starlette(routes=[Mount("/a", drives[0]), Mount("/b", drives[1])], lifespan=lifespan)
"""
    (tmp_path / "data").mkdir()
    with Host(tmp_path, source) as host:
        host.start()
        for name in "ab":
            with host.connect() as connection:
                answer = connection.exchange("POST", f"/{name}/up", (V, BODY, length(3)), b"abc")
                assert answer.status == 201
                assert (answer.header("location") or "").startswith(f"http://127.0.0.1:{host.port}/{name}/up/")
        assert [len(list((tmp_path / "data" / name / "bytes").glob("*/*"))) for name in "ab"] == [1, 1]
        assert host.stop() in (0, -signal.SIGTERM)


async def test_one_application_can_be_started_again(tmp_path: Path) -> None:
    """As test clients do: each `with` is one lifespan."""
    drive = create_app(Settings(data=tmp_path / "data", auth="none"))
    transport = httpx2.ASGITransport(app=drive)
    addresses = []
    for start in range(3):
        async with drive.hosted(None), httpx2.AsyncClient(transport=transport, base_url="http://drive") as client:
            made = await client.post("/files", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"})
            addresses.append(made.headers["location"].partition("drive")[2])
            for address in addresses:
                head = await client.head(address, headers={"Tus-Resumable": "1.0.0"})
                offset = int(head.headers["upload-offset"])
                assert (head.status_code, offset) == (200, start - addresses.index(address))
                patch = await client.patch(
                    address, content=b"x",
                    headers={"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), BODY[0]: BODY[1]},
                )
                assert (patch.status_code, patch.headers["upload-offset"]) == (204, str(offset + 1))
