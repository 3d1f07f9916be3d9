"""tus-js-client, every way it can be set up: 64 MiB each, the connection cut on the way, the result compared."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import tus
from harness import MIB, Fault, Pattern, Proxy, Server, eventually, token

SCRIPT = Path(__file__).with_name("tusjs.mjs")
SIZE = 64 * MIB + 11
CHUNK = 5 * MIB
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def data(tmp_path: Path) -> tuple[Pattern, Path]:
    pattern = Pattern(41, SIZE)
    return pattern, pattern.write(tmp_path / "source.bin")


@pytest.fixture
def run(node: str, server: Server, proxy: Proxy, data: tuple[Pattern, Path]) -> Run:
    """Runs the script against the server through the proxy; its report."""

    def go(**asked: Any) -> dict[str, Any]:
        endpoint = f"http://{proxy.host}:{proxy.port}{server.path}"
        asked = {"endpoint": endpoint, "file": str(data[1]), "token": server.token} | asked
        done = subprocess.run([node, SCRIPT, json.dumps(asked)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (done.stdout, done.stderr, server.output()[-2000:])
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return go


def methods(report: dict[str, Any]) -> list[str]:
    return [method for method, _, _ in report["requests"]]


def statuses(report: dict[str, Any], method: str) -> set[int]:
    return {status for name, status, _ in report["requests"] if name == method}


def assert_stored(server: Server, report: dict[str, Any], pattern: Pattern) -> None:
    at = urlsplit(report["url"]).path
    eventually(lambda: tus.head(server, at).header("upload-offset"))  # joined parts are copied in the background
    stored = tus.get(server, at)
    assert stored.status == 200
    assert len(stored.body) == pattern.length
    assert pattern.differs(stored.body) is None


CASES: dict[str, dict[str, Any]] = {
    "plain": {"options": {}},
    "chunked": {"options": {"chunkSize": CHUNK}},
    "override": {"options": {"chunkSize": CHUNK, "overridePatchMethod": True}},
    "created with data": {"options": {"chunkSize": CHUNK, "uploadDataDuringCreation": True}},
    "deferred length": {"options": {"chunkSize": CHUNK, "uploadLengthDeferred": True}, "stream": True},
}


@pytest.mark.parametrize("case", CASES)
def test_two_cuts_and_still_one_upload(
    case: str, run: Run, server: Server, proxy: Proxy, data: tuple[Pattern, Path]
) -> None:
    proxy.trip(20 * MIB, 45 * MIB)
    report = run(**CASES[case])
    assert report["result"] == "done"
    assert proxy.cuts == 2
    assert methods(report).count("POST") == 1, "it never had to start again"
    assert methods(report).count("HEAD") == 2
    assert statuses(report, "HEAD") == {200}
    assert statuses(report, "POST=PATCH" if case == "override" else "PATCH") == {204}
    resumed = [offset for _, _, offset in report["requests"] if offset]
    assert resumed == sorted(resumed), "each PATCH went on where the last one got to"
    assert resumed[0] > 0
    assert_stored(server, report, data[0])


def test_the_whole_body_in_the_creation(run: Run, server: Server, data: tuple[Pattern, Path]) -> None:
    report = run(options={"uploadDataDuringCreation": True})
    assert report["requests"] == [["POST", 201, None]]
    assert_stored(server, report, data[0])


def test_three_parallel_parts(run: Run, server: Server, proxy: Proxy, data: tuple[Pattern, Path]) -> None:
    proxy.trip(20 * MIB, 45 * MIB)
    report = run(options={"parallelUploads": 3})
    assert report["result"] == "done"
    assert proxy.cuts == 2
    assert methods(report).count("POST") == 4
    assert statuses(report, "POST") == {201}
    assert statuses(report, "HEAD") == {200}
    assert_stored(server, report, data[0])


def test_abort_and_resume_in_another_process(
    run: Run, server: Server, proxy: Proxy, data: tuple[Pattern, Path], tmp_path: Path
) -> None:
    store = tmp_path / "uploads.json"
    store.write_text("{}")
    first = run(options={"chunkSize": CHUNK}, store=str(store), abortAt=24 * MIB)
    assert first["result"] == "aborted"
    second = run(options={"chunkSize": CHUNK}, store=str(store))
    assert second["result"] == "done"
    assert second["url"] == first["url"]
    assert second["requests"][0][:2] == ["HEAD", 200]
    assert second["requests"][1][2] >= 20 * MIB, "the chunks that were acknowledged were not sent again"
    assert proxy.up < SIZE + 16 * MIB
    assert_stored(server, second, data[0])


def test_terminate_while_it_runs(run: Run, server: Server) -> None:
    report = run(options={"chunkSize": CHUNK}, abortAt=24 * MIB, terminate=True)
    assert report["result"] == "aborted"
    assert report["requests"][-1][:2] == ["DELETE", 204]
    assert tus.head(server, urlsplit(report["url"]).path).status in (404, 410)


def test_a_login_that_expires_on_the_way(run: Run, server: Server, proxy: Proxy, data: tuple[Pattern, Path]) -> None:
    short = token(server, "--lifetime", "2s")
    proxy.default = Fault(rate_up=16 * MIB)
    proxy.trip(48 * MIB)  # about a second after the token has died
    report = run(token=short, options={"chunkSize": CHUNK})
    assert report["result"] == "done"
    assert proxy.cuts == 1
    assert methods(report).count("POST") == 1, "it never had to start again"
    assert statuses(report, "HEAD") == {200}
    denied = server.request("POST", server.path, (tus.VERSION, ("Upload-Length", 1), *server.bearer(short).items()))
    assert denied.status == 401, "the token is dead by now"
    assert_stored(server, report, data[0])
