"""An HTTP/1.1 client that does exactly what it is told: half bodies, chunked bodies, silence, broken requests."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Headers = Mapping[str, str | int] | Iterable[tuple[str, str | int]]
RECEIVE = 1 << 18


class Closed(ConnectionError):
    """The server closed the connection before a whole response had come."""


@dataclass(frozen=True)
class Response:
    """One response. Header names are lower case, in the order they came, repeats included."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    interim: tuple[int, ...] = ()  # statuses of the 1xx responses before it

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)

    def number(self, name: str) -> int:
        """A header that must be there and be a whole number."""
        value = self.header(name)
        assert value is not None, f"no {name} in {self}"
        return int(value)

    def json(self) -> Any:
        return json.loads(self.body)


def head(method: str, path: str, host: str, headers: Headers = ()) -> bytes:
    """The bytes of a request up to the empty line, and not one header more than asked for besides Host."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("Host", host))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def chunked(*pieces: bytes, trailers: Mapping[str, str] | None = None, end: bool = True) -> bytes:
    """A chunked body of these pieces; without its last chunk when `end` is false."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    if end:
        fields = "".join(f"{name}: {value}\r\n" for name, value in (trailers or {}).items())
        out += b"0\r\n" + fields.encode() + b"\r\n"
    return out


class Connection:
    """One TCP connection. Every read is bounded by `timeout` seconds (TimeoutError)."""

    def __init__(self, host: str, port: int, timeout: float = 20.0) -> None:
        self.host = f"{host}:{port}"
        self.sent = 0
        self._buffer = bytearray()
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)
        self.sent += len(data)

    def start(self, method: str, path: str, headers: Headers = ()) -> None:
        """Send a request's head alone."""
        self.send(head(method, path, self.host, headers))

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Close with RST, as a crashed peer would."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def at_end(self) -> bool:
        """Whether the server has closed its side and nothing is left to read. Waits for one or the other."""
        if self._buffer:
            return False
        try:
            return not self._fill()
        except ConnectionError:
            return True

    def response(self, method: str = "GET") -> Response:
        """The next response, whole. Raises Closed when the connection ends first."""
        interim: list[int] = []
        while True:
            status, headers = self._head()
            if status >= 200 or status == 101:
                break
            interim.append(status)
        body = b"" if method == "HEAD" or status in (204, 304) else self._body(dict(headers))
        return Response(status, headers, body, tuple(interim))

    def exchange(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Response:
        """One request with a Content-Length of its own, and its response. An early answer is not lost."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        names = {name.lower() for name, _ in pairs}
        if (body or method in ("POST", "PATCH", "PUT")) and not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", len(body)))
        with contextlib.suppress(ConnectionError):
            self.start(method, path, pairs)
            self.send(body)
        return self.response(method)

    def read_all(self) -> bytes:
        """Everything until the server closes or says nothing for the time-out."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while self._fill():
                pass
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def _fill(self) -> bool:
        data = self.socket.recv(RECEIVE)
        self._buffer += data
        return bool(data)

    def _until(self, mark: bytes) -> bytes:
        searched = 0
        while (at := self._buffer.find(mark, searched)) < 0:
            searched = max(0, len(self._buffer) - len(mark))
            if not self._fill():
                raise Closed(f"closed with {bytes(self._buffer[:200])!r} read")
        return self._take(at + len(mark))

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._fill():
                raise Closed(f"closed with {len(self._buffer)} of {size} bytes read")
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return data

    def _head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        pairs = (line.partition(":") for line in lines)
        return int(first.split(" ", 2)[1]), tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)

    def _body(self, headers: dict[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        if "content-length" in headers:
            return self._take(int(headers["content-length"]))
        while self._fill():
            pass
        return self._take(len(self._buffer))

    def _chunks(self) -> bytes:
        out = bytearray()
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            out += self._take(size)
            self._take(2)
        while self._until(b"\r\n") != b"\r\n":
            pass
        return bytes(out)


def request(
    host: str, port: int, method: str, path: str, headers: Headers = (), body: bytes = b"", timeout: float = 20.0
) -> Response:
    """One request on a connection of its own."""
    with Connection(host, port, timeout) as connection:
        return connection.exchange(method, path, headers, body)


def raw(host: str, port: int, data: bytes, timeout: float = 5.0) -> bytes:
    """Send these bytes; everything that comes back until the server closes or is silent for `timeout` seconds."""
    with Connection(host, port, timeout) as connection:
        with contextlib.suppress(ConnectionError):
            connection.send(data)
        return connection.read_all()
