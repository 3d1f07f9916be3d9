"""Runs the load client, and checks afterwards that what it sent is there."""

from __future__ import annotations

import http.client
import json
import subprocess
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .tools import Tools

STAMP = 512
MOST_CHECKED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Small uploads, as many as fit: sizes in bytes, times in seconds, at most 10 s in all."""

    size: int = 4096
    connections: int = 32
    warm_up: float = 1
    seconds: float = 5
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the client printed (see load.c), and the uploads it wants checked: number and path."""

    figures: dict[str, Any]
    sample: list[tuple[int, str]] = field(default_factory=list)
    complaints: str = ""


class ClientFailed(Exception):
    """The load client ended early; the text has what it said."""


def run(tools: Tools, endpoint: str, load: Load) -> Result:
    """Load a server at `endpoint`. Raises ClientFailed when the server closes its door, Missing without gcc."""
    program, sample = tools.build("load.c"), tools.folder / "sample.txt"
    where = urlsplit(endpoint)
    if where.hostname != "127.0.0.1":
        raise ClientFailed(f"{endpoint} is not on 127.0.0.1")
    command = [str(program), "-p", str(where.port), "-u", where.path, "-c", str(load.connections), "-s", str(load.size)]
    command += ["-w", str(load.warm_up), "-t", str(load.seconds), "-o", str(sample)]
    for header in load.headers:
        command += ["-H", header]
    limit = load.warm_up + load.seconds + 30
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired as exc:
        raise ClientFailed(f"the load client did not end within {limit} s") from exc
    if done.returncode != 0:
        raise ClientFailed(f"the load client ended with {done.returncode}: {done.stderr}")
    lines = (line.split(" ", 1) for line in sample.read_text().splitlines())
    picked = [(int(number), path) for number, path in lines]
    return Result(figures=json.loads(done.stdout), sample=picked, complaints=done.stderr.strip())


def body(number: int, size: int) -> bytes:
    """The bytes that load.c sends as upload `number`."""
    made = bytearray((i * 131 + (i >> 8) * 17) & 255 for i in range(size))
    for at in range(0, size - 7, STAMP):
        made[at : at + 8] = number.to_bytes(8, "little")
    return bytes(made)


def differing(endpoint: str, sample: list[tuple[int, str]], size: int) -> tuple[int, list[str]]:
    """GET a spread of the sampled uploads: how many were checked, and those that are not what was sent."""
    picked = sample[:: max(1, len(sample) // MOST_CHECKED)]
    wrong: list[str] = []
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(endpoint).port or 80, timeout=30)
    for number, path in picked:
        connection.request("GET", path, headers={"Tus-Resumable": "1.0.0"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200 or content != body(number, size):
            wrong.append(f"upload {number} at {path}: {answer.status}, {len(content)} bytes")
    connection.close()
    return len(picked), wrong
