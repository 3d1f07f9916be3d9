"""Requests of the Drive REST API, exactly one per call, nothing retried."""

from __future__ import annotations

import json

from harness import Response, Server

BOUNDARY = "----tusdrive-0f7b3a"
UPLOAD = "/files/upload"


def create(server: Server, size: int, hash: str, *, chunk_size: int | None = None, name: str = "data.bin") -> Response:
    """`hash` is the file's SHA-256 in hex."""
    asked = {"fileName": name, "fileSize": size, "contentType": "application/octet-stream", "hash": hash}
    if chunk_size is not None:
        asked["chunkSize"] = chunk_size
    return post(server, f"{UPLOAD}/create", json.dumps(asked).encode(), "application/json")


def new(server: Server, size: int, hash: str, chunk_size: int | None = None) -> str:
    """Create a task that must be granted; its id."""
    answer = create(server, size, hash, chunk_size=chunk_size)
    assert answer.status in (200, 201), answer
    return str(answer.json()["taskId"])


def chunk(server: Server, task: str, index: int, body: bytes) -> Response:
    """Send a chunk as the form field `chunk`."""
    body, kind = form(body)
    return post(server, f"{UPLOAD}/chunk/{task}/{index}", body, kind)


def raw_chunk(server: Server, task: str, index: int, body: bytes) -> Response:
    """Send a chunk as the body itself."""
    return post(server, f"{UPLOAD}/chunk/{task}/{index}", body, "application/octet-stream")


def complete(server: Server, task: str, timeout: float = 60.0) -> Response:
    return post(server, f"{UPLOAD}/complete/{task}", timeout=timeout)


def resume(server: Server, task: str) -> Response:
    return server.request("GET", f"{server.api}{UPLOAD}/resume/{task}")


def cancel(server: Server, task: str) -> Response:
    return server.request("DELETE", f"{server.api}{UPLOAD}/task/{task}")


def file(server: Server, id: str) -> Response:
    return server.request("GET", f"{server.api}/files/{id}", timeout=60.0)


def form(data: bytes) -> tuple[bytes, str]:
    """A multipart body with `data` as the file field `chunk`, and its Content-Type."""
    opening = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="chunk"; filename="blob"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return opening.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


def post(server: Server, path: str, body: bytes = b"", kind: str | None = None, *, timeout: float = 20.0) -> Response:
    headers = {"Content-Type": kind} if kind else {}
    return server.request("POST", server.api + path, headers, body, timeout=timeout)
