"""Checksums: the algorithms that are offered, and a verifier that bytes pass through.

tus 1.0.0 "Checksum" for one request's bytes; the declared hash of a whole file (REST `hash`) by its length.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .errors import Invalid


class Hasher(Protocol):
    """What hashlib objects have: bytes in, a digest out."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc32:
    """CRC-32 (zlib polynomial) as a big-endian digest of 4 bytes."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A checksum algorithm: its tus name, its digest length in bytes, how to begin one."""

    name: str
    length: int
    begin: Callable[[], Hasher]


# Not for security: md5 and sha1 detect damage, and tuspy sends sha1.
STANDARD: tuple[Algorithm, ...] = (
    Algorithm("sha1", 20, lambda: hashlib.sha1(usedforsecurity=False)),
    Algorithm("md5", 16, lambda: hashlib.md5(usedforsecurity=False)),
    Algorithm("sha256", 32, hashlib.sha256),
    Algorithm("sha512", 64, hashlib.sha512),
    Algorithm("crc32", 4, Crc32),
)


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a request says that its bytes must hash to."""

    algorithm: Algorithm
    digest: bytes


@dataclass(frozen=True, slots=True)
class FileHash:
    """The declared hash of a whole file: SHA-256 (64 hex digits) or MD5 (32), lower case."""

    algorithm: str
    hex: str


def parse_file_hash(text: str) -> FileHash:
    """Read the REST field `hash` (REST API, "create"): 64 hex digits are SHA-256, 32 are MD5.

    Raises Invalid for anything else.
    """
    lowered = text.lower()
    if all(c in "0123456789abcdef" for c in lowered):
        if len(lowered) == 64:
            return FileHash("sha256", lowered)
        if len(lowered) == 32:
            return FileHash("md5", lowered)
    raise Invalid("hash must be 64 hex digits (SHA-256) or 32 (MD5)", field="hash")
