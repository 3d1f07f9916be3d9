"""The JavaScript of the API's own description, run as it is written there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rest
from harness import MIB, Pattern, Proxy, Server

SCRIPT = Path(__file__).with_name("spec-usage.mjs")
SIZE = 64 * MIB + 11
CHUNKS = 13
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def data(tmp_path: Path) -> tuple[Pattern, Path]:
    pattern = Pattern(47, SIZE)
    return pattern, pattern.write(tmp_path / "source.bin")


@pytest.fixture
def run(node: str, server: Server, proxy: Proxy, data: tuple[Pattern, Path]) -> Run:
    def go(**asked: Any) -> dict[str, Any]:
        base = f"http://{proxy.host}:{proxy.port}"
        asked = {"base": base, "token": server.token, "file": str(data[1])} | asked
        done = subprocess.run([node, SCRIPT, json.dumps(asked)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return go


def assert_stored(server: Server, file: dict[str, Any], pattern: Pattern) -> None:
    stored = rest.file(server, file["id"])
    assert stored.status == 200
    assert len(stored.body) == pattern.length
    assert pattern.differs(stored.body) is None


def test_upload_file(run: Run, server: Server, data: tuple[Pattern, Path]) -> None:
    report = run()
    assert report["error"] is None
    assert report["sent"] == list(range(CHUNKS))
    assert_stored(server, report["file"], data[0])


def test_a_chunk_fails_and_resume_upload_finishes(
    run: Run, server: Server, proxy: Proxy, data: tuple[Pattern, Path]
) -> None:
    proxy.trip(32 * MIB)
    broken = run()
    assert proxy.cuts == 1
    assert broken["error"] is not None
    assert broken["sent"] == [0, 1, 2, 3, 4, 5]
    resumed = run(resume=broken["task"])
    assert resumed["error"] is None
    assert resumed["sent"] == [6, 7, 8, 9, 10, 11, 12], "only what was missing was sent"
    again = rest.complete(server, broken["task"])
    assert again.status == 200, "complete can be asked for twice"
    assert_stored(server, again.json(), data[0])


def test_a_file_that_is_already_there_is_given_back(run: Run, data: tuple[Pattern, Path]) -> None:
    first = run()
    second = run()
    assert second["sent"] == []
    assert second["file"]["id"] == first["file"]["id"]
