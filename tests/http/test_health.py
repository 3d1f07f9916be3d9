"""Health, and the description of the API: for everybody, and nothing in them that is anybody's."""

from __future__ import annotations

import re
import sqlite3

import pytest
from asking import api, file_of, make, task
from harness import Server


@pytest.mark.parametrize("path", ["/health", "/health/uploads"])
def test_health(server: Server, path: str) -> None:
    answer = server.request("GET", path)
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    value = answer.json()
    assert (value["status"], value["durability"]) == ("ok", "durable")
    assert value["database"]["status"] == "ok"
    assert value["database"]["engine"] == "sqlite"
    assert value["database"]["durability"] == "durable"
    assert value["database"]["sqliteVersion"] == sqlite3.sqlite_version
    assert value["disk"]["status"] == "ok"
    assert value["disk"]["freeBytes"] > 0
    assert value["queues"]["writer"] >= 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", value["version"])


def test_the_mode_in_force_is_named(tmp_path: object) -> None:
    from pathlib import Path

    with Server(Path(str(tmp_path)) / "data", "--durability", "relaxed", auth="none") as server:
        value = server.request("GET", "/health").json()
    assert (value["durability"], value["database"]["durability"]) == ("relaxed", "relaxed")


def test_alive(server: Server) -> None:
    answer = server.request("GET", "/alive")
    assert (answer.status, answer.body, answer.header("content-type")) == (200, b"ok\n", "text/plain; charset=utf-8")


@pytest.mark.parametrize("path", ["/health", "/health/uploads", "/alive", "/openapi.json"])
def test_nobody_is_asked_for_a_token(accounts: Server, path: str) -> None:
    for headers in ((), (("Authorization", "Bearer nonsense"),)):
        with accounts.connect() as connection:
            assert connection.exchange("GET", path, headers).status == 200
    assert accounts.request("HEAD", path).body == b""
    assert accounts.request("POST", path).status == 405


def test_nothing_is_told_that_is_anybodys(server: Server) -> None:
    id, file = task(server, b"abc", fileName="secret-name.txt"), file_of(server, b"secret", "secret-name.txt")
    for path in ("/health", "/openapi.json"):
        text = server.request("GET", path).body.decode()
        for word in (id, file, "secret-name", str(server.data), make(server, 3)):
            assert word not in text


def test_openapi(server: Server) -> None:
    value = server.request("GET", "/openapi.json").json()
    assert value["openapi"].startswith("3.1")
    paths = value["paths"]
    base = "" if any(path.startswith("/api/") for path in paths) else "/api"
    for path in ("/files/upload/create", "/files/upload/chunk/{taskId}/{chunkIndex}", "/files/upload/complete/{taskId}",
                 "/files/upload/tasks", "/files/upload/progress/{taskId}", "/files/upload/resume/{taskId}",
                 "/files/upload/task/{taskId}", "/files/upload/tasks/{taskId}/details", "/files/upload/stats",
                 "/files/upload/tasks/cleanup", "/files/upload/tasks/recent", "/files/me", "/files/{id}",
                 "/files/{id}/info", "/files/{id}/name"):  # fmt: skip
        assert ("" if base else "/api") + path in paths, path


def test_it_can_be_left_out(tmp_path: object) -> None:
    from pathlib import Path

    with Server(Path(str(tmp_path)) / "data", "--docs", "off", auth="none") as server:
        assert server.request("GET", "/openapi.json").status == 404
        assert server.request("GET", "/health").status == 200
        assert api(server, "GET", "/files/me").status == 200
