"""What the black-box tests of this folder share: rows of request and expected answer, and small ways to ask."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "wire"))

import tus
from harness import Response, Server

T = TypeVar("T")
Header = tuple[str, str | int]

V: Header = ("Tus-Resumable", "1.0.0")
BODY: Header = ("Content-Type", "application/offset+octet-stream")
JSON: Header = ("Content-Type", "application/json")
NOWHERE = "0123456789abcdef0123456789abcdef"
"""An id of the right form that no upload has."""


def offset(at: int | str) -> Header:
    return "Upload-Offset", at


def length(size: int | str) -> Header:
    return "Upload-Length", size


def override(method: str) -> Header:
    return "X-HTTP-Method-Override", method


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A request and the literal answer to it. `{id}` in `path` is the upload that the row is about."""

    id: str
    method: str
    path: str = "/files/{id}"
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    status: int
    code: str = ""  # what a refusal's text begins with
    has: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.id

    def ask(self, server: Server, id: str = NOWHERE) -> Response:
        """Send it, and hold the answer against what is expected."""
        answer = server.request(self.method, self.path.format(id=id), self.headers, self.body)
        self.compare(answer)
        return answer

    def compare(self, answer: Response) -> None:
        assert answer.status == self.status, answer
        if self.code and self.method != "HEAD":
            assert answer.body.decode().partition(":")[0] == self.code, answer
        assert {name: answer.header(name) for name in self.has} == dict(self.has), answer
        assert [name for name in self.lacks if answer.header(name) is not None] == [], answer


def id_of(at: str) -> str:
    """The id in an upload's path."""
    return at.partition("?")[0].rsplit("/", 1)[1]


def make(server: Server, size: int | None, *more: Header, body: bytes = b"") -> str:
    """An upload that has `body` already; its id. With a body it is sent in a PATCH of its own."""
    at = tus.new(server, size, *more)
    if body:
        answer = tus.patch(server, at, 0, body)
        assert answer.status == 204, answer
    return id_of(at)


def told(server: Server, id: str, *more: Header) -> Response:
    """HEAD of an upload."""
    return server.request("HEAD", f"/files/{id}", (V, *more))


def stands(server: Server, id: str) -> int:
    """The offset of an upload that must be there."""
    answer = told(server, id)
    assert answer.status == 200, answer
    return answer.number("upload-offset")


def content(server: Server, id: str, *more: Header) -> bytes:
    """The bytes of a finished upload, from its own address."""
    answer = server.request("GET", f"/files/{id}", more, timeout=60)
    assert answer.status == 200, answer
    return answer.body


def api(
    server: Server, method: str, path: str, value: Any = None, *more: Header, token: str | None = None
) -> Response:
    """A REST request below the REST base, with `value` as JSON."""
    headers = [*(() if token is None else (("Authorization", f"Bearer {token}"),)), *more]
    if value is None:
        return server.request(method, server.api + path, headers)
    return server.request(method, server.api + path, [JSON, *headers], json.dumps(value).encode())


def task(server: Server, data: bytes, chunk_size: int = 1024, token: str | None = None, **more: Any) -> str:
    """A REST upload task for `data` with 1 KiB chunks, no hash unless one is given; its id."""
    asked = {"fileName": "data.bin", "fileSize": len(data), "contentType": "application/octet-stream"}
    answer = api(server, "POST", "/files/upload/create", {**asked, "chunkSize": chunk_size, **more}, token=token)
    assert answer.status == 200, answer
    return str(answer.json()["taskId"])


def put(server: Server, id: str, index: int | str, body: bytes, token: str | None = None) -> Response:
    """A chunk as the body itself."""
    headers = [("Content-Type", "application/octet-stream")]
    headers += [] if token is None else [("Authorization", f"Bearer {token}")]
    return server.request("POST", f"{server.api}/files/upload/chunk/{id}/{index}", headers, body)


def finish(server: Server, id: str, hash: str | None = None, token: str | None = None) -> Response:
    value = None if hash is None else {"hash": hash}
    return api(server, "POST", f"/files/upload/complete/{id}", value, token=token)


def refusal(answer: Response) -> tuple[int, str]:
    """Status and code of a REST refusal, whose shape is checked."""
    value = answer.json()
    assert sorted(value) == ["code", "details", "message", "status", "traceId"], value
    assert value["status"] == answer.status
    return answer.status, value["code"]


def file_of(server: Server, data: bytes, name: str = "data.bin", kind: str = "application/octet-stream") -> str:
    """A file with these bytes, name and type, made by one tus request; its file id."""
    metadata = ("Upload-Metadata", f"filename {b64(name.encode())},filetype {b64(kind.encode())}")
    answer = server.request("POST", "/files", (V, length(len(data)), BODY, metadata), data, timeout=60)
    assert answer.status == 201, answer
    progress = api(server, "GET", f"/files/upload/progress/{id_of(tus.path(answer))}").json()
    return str(progress["fileId"])


def at_once(work: Callable[[int], T], count: int) -> list[T]:
    """`work(0)` to `work(count - 1)`, all at the same time."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def places(server: Server, id: str = "*") -> list[Path]:
    """Files on disk that hold the bytes of an upload, or of all of them."""
    return [path for path in (server.data / "bytes").glob(f"*/{id}") if path.is_file()]


def outbox(data: Path) -> list[tuple[str, dict[str, Any]]]:
    """All events of all accounts, in order, as type and payload. For a server that has ended."""
    with sqlite3.connect(data / "tusdrive.db") as state:
        rows = state.execute("SELECT type, data FROM outbox ORDER BY account, seq").fetchall()
    state.close()
    return [(type_, json.loads(payload)) for type_, payload in rows]


def end(server: Server) -> None:
    """Stop a server: it must end by itself, have seen no error of its own, and leave rows and files that agree."""
    assert server.stop() == 0, server.output()[-4000:]
    assert not (server.data / "tusdrive.db-wal").exists(), "the database was not closed"
    assert "Traceback" not in server.output(), server.output()[-8000:]
    check = [*server.program, "check", "--data", str(server.data)]
    done = subprocess.run(check, capture_output=True, text=True, env=server.env, timeout=60)
    assert (done.returncode, done.stdout) == (0, "rows and files agree\n"), done.stdout + done.stderr


def timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.monotonic()
    result = work()
    return time.monotonic() - began, result
