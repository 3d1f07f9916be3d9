"""tus 1.0.0 requests, exactly one per call, nothing retried. `at` is an upload's path, as `path` reads it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from harness import Connection, Response, Server

Header = tuple[str, str | int]
VERSION: Header = ("Tus-Resumable", "1.0.0")
BODY: Header = ("Content-Type", "application/offset+octet-stream")


def create(server: Server, length: int | None, *more: Header, body: bytes = b"") -> Response:
    """POST to the collection; a length of None is deferred."""
    size: Header = ("Upload-Defer-Length", 1) if length is None else ("Upload-Length", length)
    kind = (BODY,) if body else ()
    return server.request("POST", server.path, (VERSION, size, *kind, *more), body)


def new(server: Server, length: int | None, *more: Header) -> str:
    """Create an upload that must be granted; its path."""
    answer = create(server, length, *more)
    assert answer.status == 201, answer
    return path(answer)


def path(answer: Response) -> str:
    """The path, query included, of the Location in an answer."""
    location = answer.header("location")
    assert location is not None, answer
    parts = urlsplit(location)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def head(server: Server, at: str, timeout: float = 20.0) -> Response:
    return server.request("HEAD", at, (VERSION,), timeout=timeout)


def offset(server: Server, at: str) -> int:
    """The offset of an upload that must be there."""
    answer = head(server, at)
    assert answer.status == 200, answer
    return answer.number("upload-offset")


def patch(server: Server, at: str, offset: int, body: bytes, *more: Header, timeout: float = 20.0) -> Response:
    return server.request("PATCH", at, (*patch_headers(offset), *more), body, timeout=timeout)


def patch_headers(offset: int, size: int | None = None) -> tuple[Header, ...]:
    """The headers of a PATCH, with a Content-Length when `size` is given."""
    length: tuple[Header, ...] = () if size is None else (("Content-Length", size),)
    return (VERSION, BODY, ("Upload-Offset", offset), *length)


def checksum(body: bytes) -> Header:
    return ("Upload-Checksum", "sha1 " + base64.b64encode(hashlib.sha1(body).digest()).decode())


def delete(server: Server, at: str) -> Response:
    return server.request("DELETE", at, (VERSION,))


def get(server: Server, at: str, timeout: float = 60.0) -> Response:
    return server.request("GET", at, timeout=timeout)


@contextlib.contextmanager
def hung(server: Server, at: str, offset: int, size: int, sent: bytes) -> Iterator[Connection]:
    """A PATCH that announced `size` bytes, sent some, and now says nothing."""
    with server.connect() as connection:
        connection.start("PATCH", at, server.signed(patch_headers(offset, size)))
        connection.send(sent)
        yield connection
