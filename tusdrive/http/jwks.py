"""Public keys of others whose tokens are taken: a JWK Set (RFC 7517) from a file or a URL, kept fresh.

Keys come from configuration alone, never from what a token says. A key is good for the one algorithm of its type.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWKClient
from jwt.exceptions import PyJWTError

log = logging.getLogger(__name__)

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

LIFESPAN = 300.0
"""Seconds after which keys from a URL are fetched again."""

COOLDOWN = 30.0
"""Seconds that lie at least between two fetches, whatever tokens name."""

TIMEOUT = 5.0
"""Seconds a fetch may take."""

LOOK = 1.0
"""Seconds between two looks at a file's date."""

Clock = Callable[[], float]
"""Seconds that never go back."""


class BadKeys(ValueError):
    """A JWK Set without a single key that could be used."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, its id, and the one algorithm it verifies: RS256, ES256 or EdDSA."""

    id: str | None
    algorithm: str
    public: PublicKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys as they stood at one time."""

    keys: tuple[Key, ...] = ()

    def find(self, id: str | None, algorithm: str) -> Key | None:
        """The key a token names. A token that names none gets the only one of its algorithm, if there is but one."""
        fitting = [key for key in self.keys if key.algorithm == algorithm and id in (None, key.id)]
        return fitting[0] if len(fitting) == 1 else None

    def knows(self, id: str | None) -> bool:
        return id is None or any(key.id == id for key in self.keys)


def parse_keys(document: Any) -> KeySet:
    """Read a JWK Set. Keys of other types and for other uses are left out. Raises BadKeys when none is left."""
    entries = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(entries, list):
        raise BadKeys("no JWK Set: there is no list of keys")
    keys = tuple(key for entry in entries if (key := _parse_key(entry)) is not None)
    if not keys:
        raise BadKeys("the JWK Set has no RSA (2048 bits or more), P-256 or Ed25519 key for signatures")
    return KeySet(keys)


def _parse_key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or not _is_for_signatures(entry):
        return None
    id = entry.get("kid")
    # A symmetric key has no place in a set of public ones: whoever can read the set could sign with it.
    algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm or not isinstance(id, str | None):
        return None
    with contextlib.suppress(PyJWTError, ValueError, TypeError):
        public = PyJWK(entry, algorithm).key
        if _is_strong(public):
            return Key(id, algorithm, public)
    return None


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _is_strong(public: Any) -> bool:
    if isinstance(public, RSAPublicKey):
        return public.key_size >= 2048
    if isinstance(public, EllipticCurvePublicKey):
        return isinstance(public.curve, SECP256R1)
    return isinstance(public, Ed25519PublicKey)


class KeySource(Protocol):
    """Where keys come from."""

    @property
    def keys(self) -> KeySet:
        """The last good ones. Another object than before when they changed."""

    async def open(self) -> None:
        """Get the first keys. Raises BadKeys or OSError when that cannot come right by itself."""

    async def prepare(self, id: str | None) -> None:
        """Look for newer keys if it is time to, or if `id` is not known. Never raises; the last good keys stay."""


@dataclass(slots=True, kw_only=True)
class FileKeys:
    """Keys in a file, read again when its date changes."""

    path: Path
    clock: Clock = time.monotonic
    keys: KeySet = KeySet()
    _stamp: tuple[int, int, int] | None = None
    _looked: float = 0.0

    async def open(self) -> None:
        self._stamp = self._date()
        self.keys = parse_keys(json.loads(self.path.read_bytes()))
        self._looked = self.clock()

    async def prepare(self, id: str | None) -> None:
        now = self.clock()
        if now - self._looked < LOOK:
            return
        self._looked = now
        try:
            stamp = self._date()
            if stamp != self._stamp:
                self.keys = parse_keys(json.loads(self.path.read_bytes()))
                self._stamp = stamp
        except (OSError, ValueError) as exc:
            log.warning("keys not read, the old ones stay", extra={"action": "jwks", "source": str(self.path),
                                                                   "error": str(exc)})

    def _date(self) -> tuple[int, int, int]:
        found = self.path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


def fetch(url: str) -> Any:
    """The JSON document at an http(s) URL, without redirects. Blocks. Raises PyJWTError, OSError or ValueError."""
    return PyJWKClient(url, cache_jwk_set=False, timeout=TIMEOUT).fetch_data()


@dataclass(slots=True, kw_only=True)
class UrlKeys:
    """Keys at a URL. Fetched in a thread, one fetch at a time, with a pause between two."""

    url: str
    clock: Clock = time.monotonic
    fetch: Callable[[str], Any] = fetch
    keys: KeySet = KeySet()
    _fetched: float | None = None  # last success
    _tried: float | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Whoever issues the tokens may be down: then this server starts all the same and goes on trying."""
        await self._refresh()

    async def prepare(self, id: str | None) -> None:
        if not self.keys.keys or not self.keys.knows(id):
            await self._refresh()
        elif self._due(self._fetched, LIFESPAN) and self._due(self._tried, COOLDOWN) and self._task is None:
            # Keys are there, so nobody waits for newer ones.
            self._task = asyncio.create_task(self._refresh())
            self._task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._task = None

    def _due(self, since: float | None, seconds: float) -> bool:
        return since is None or self.clock() - since >= seconds

    async def _refresh(self) -> None:
        async with self._turn:
            if not self._due(self._tried, COOLDOWN):
                return
            self._tried = self.clock()
            try:
                keys = parse_keys(await asyncio.to_thread(self.fetch, self.url))
            except (PyJWTError, OSError, ValueError) as exc:
                log.warning("keys not fetched, the old ones stay", extra={"action": "jwks", "source": self.url,
                                                                          "error": str(exc)})
                return
            self._fetched = self.clock()
            if keys != self.keys:
                self.keys = keys


def key_source(where: str) -> KeySource:
    """Keys at an http(s) URL, or in a file."""
    return UrlKeys(url=where) if "://" in where else FileKeys(path=Path(where))
