"""Uppy's Dashboard in Chromium, uploading across origins, over a connection that breaks, across a reload."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tus
from harness import MIB, Fault, Pattern, Proxy, Server

SCRIPT = Path(__file__).with_name("uppy.mjs")
SIZE = 24 * MIB + 11


def drive(node: str, chromium: str, server: Server, proxy: Proxy, file: Path, **more: Any) -> dict[str, Any]:
    """Run Uppy; its report. Screenshots lie beside the file."""
    endpoint = f"http://{proxy.host}:{proxy.port}{server.path}"
    asked = {"chromium": chromium, "endpoint": endpoint, "token": server.token, "file": str(file)}
    asked |= {"shots": str(file.parent)} | more
    done = subprocess.run([node, SCRIPT, json.dumps(asked)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout, done.stderr, server.output()[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def assert_stored(server: Server, url: str, pattern: Pattern) -> None:
    stored = tus.get(server, urlsplit(url).path)
    assert len(stored.body) == pattern.length
    assert pattern.differs(stored.body) is None


def test_a_cut_on_the_way(node: str, chromium: str, server: Server, proxy: Proxy, tmp_path: Path) -> None:
    pattern = Pattern(53, SIZE)
    proxy.trip(10 * MIB)
    report = drive(node, chromium, server, proxy, pattern.write(tmp_path / "holiday.bin"))
    assert report["failed"] == []
    assert proxy.cuts == 1
    assert [method for method, _, _ in report["requests"]].count("POST") == 1, "it never had to start again"
    assert_stored(server, report["successful"][0], pattern)


def test_a_reload_on_the_way(node: str, chromium: str, server: Server, proxy: Proxy, tmp_path: Path) -> None:
    pattern = Pattern(59, SIZE)
    proxy.default = Fault(rate_up=16 * MIB)
    source = pattern.write(tmp_path / "holiday.bin")
    report = drive(node, chromium, server, proxy, source, reloadAt=8 * MIB)
    assert report["failed"] == []
    assert report["complaints"] == []
    requests = [tuple(request) for request in report["requests"]]
    after = [request for request in requests[requests.index(("reload", 0, None)) + 1 :] if request[0] != "OPTIONS"]
    assert after[0] == ("HEAD", 200, None)
    assert after[1][:2] == ("PATCH", 204)
    assert after[1][2] > 0, "the bytes from before the reload were not sent again"
    assert "POST" not in [method for method, _, _ in after]
    assert_stored(server, report["successful"][0], pattern)
