"""A real server with accounts Ann, Bob and Root (an admin), and things that belong to Ann."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from harness import Headers, Response, Server

from tusdrive.http.tokens import Tokens
from tusdrive.storage.datadir import signing_secret

DATA = b"0123456789" * 400  # four chunks of 1024 bytes, less 96
VERSION = ("Tus-Resumable", "1.0.0")
OCTETS = ("Content-Type", "application/octet-stream")
APPEND = ("Content-Type", "application/offset+octet-stream")
JSON = ("Content-Type", "application/json")
NOBODYS = "0123456789abcdef" * 2
"""An id that nothing has."""

_BANNER = re.compile(r"^tusdrive \d.*?^  curl [^\n]*\n", re.M | re.S)
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z ")
_CAPABILITY = re.compile(r"uploadToken=([\w-]+)")
_OURS = re.compile(r"secret|ballast|tusdrive\.db(-wal|-shm)?|lock|\.?lock.*|bytes(/\d{10}(/[0-9a-f]{32})?)?")


@dataclass(frozen=True)
class Thing:
    """Something of Ann's: an open upload (three chunks missing) or a finished one."""

    id: str
    capability: str
    file: str = ""


class Guarded(Server):
    """Every request goes out under the authorization that is given with it, or under none."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder / "data", "--log-level", "debug", *options)
        self.secrets: set[str] = set()

    def __enter__(self) -> Guarded:
        self.start()
        secret = signing_secret(self.data / "secret")
        now = time.time_ns() // 1000
        tokens = Tokens(secret)
        self.ann = tokens.mint("ann", [], 86400, now)
        self.bob = tokens.mint("bob", [], 86400, now)
        self.root = tokens.mint("root", ["admin"], 86400, now)
        self.expired = tokens.mint("ann", ["admin"], 60, now - 3600 * 1_000_000)
        return self

    def ask(
        self, token: str | None, method: str, path: str, headers: Headers = (), body: bytes = b"", timeout: float = 20.0
    ) -> Response:
        pairs = list(headers.items()) if hasattr(headers, "items") else list(headers)
        if token is not None:
            pairs = [("Authorization", f"Bearer {token}"), *pairs]
        with self.connect(timeout) as connection:
            answer = connection.exchange(method, path, pairs, body)
        self.secrets |= set(_CAPABILITY.findall(answer.header("location") or "")) | {token or ""}
        return answer

    def open_upload(self, token: str = "") -> Thing:
        """A REST upload of four chunks, of which the first has arrived; Ann's, unless another token is given."""
        token, name = token or self.ann, "plain" if token else "secret-name"
        wish = {"fileName": name, "fileSize": len(DATA), "contentType": "text/plain", "chunkSize": 1024}
        answer = self.ask(token, "POST", "/api/files/upload/create", (JSON,), json.dumps(wish).encode())
        assert answer.status == 200, answer
        told = answer.json()
        answer = self.ask(token, "POST", f"/api/files/upload/chunk/{told['taskId']}/0", (OCTETS,), DATA[:1024])
        assert answer.status == 200, answer
        return Thing(told["taskId"], told["uploadToken"])

    def finished(self, token: str = "", *more: tuple[str, str]) -> Thing:
        token = token or self.ann
        name = ("Upload-Metadata", "filename c2VjcmV0LW5hbWU=")
        headers = (VERSION, APPEND, ("Upload-Length", len(DATA)), name, *more)
        answer = self.ask(token, "POST", "/files", headers, DATA)
        assert answer.status == 201, answer
        parts = urlsplit(answer.header("location") or "")
        id = parts.path.rpartition("/")[2]
        told = self.ask(token, "GET", f"/api/files/upload/progress/{id}").json()
        return Thing(id, parts.query.partition("=")[2], told["fileId"] or "")

    def is_well(self) -> bool:
        return self.ask(None, "GET", "/health").status == 200

    def logged(self) -> str:
        """What was logged, without the banner, which shows a token to the person who started the server."""
        return _BANNER.sub("", self.output())

    def assert_clean_log(self) -> None:
        """Nothing went wrong that nobody saw coming, no secret is told, and every line is one that the server wrote."""
        log = self.logged()
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:4000]
        assert " ERROR " not in log, log[log.index(" ERROR ") - 100 :][:2000]
        assert "eyJ" not in log
        assert "uploadToken" not in log
        for secret in self.secrets - {""}:
            assert secret not in log
        for line in log.splitlines():
            assert _LOG_LINE.match(line), line

    def strange_files(self) -> list[str]:
        """What lies in the data directory and is not of the server's own naming."""
        names = (str(path.relative_to(self.data)) for path in self.data.rglob("*"))
        return [name for name in names if not _OURS.fullmatch(name)]
