"""Who a bearer token speaks for, and capabilities for single uploads.

A token is a JWT (RFC 7519) of at most 8 KiB, signed with this server's secret (HS256) or with one of the keys of a
JWK Set (RS256, ES256, EdDSA). The algorithm follows from the key, never from the token. All that can be wrong with a
token is Unauthenticated. Times called `now` are microseconds since 1970 UTC.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jwt import PyJWS
from jwt.exceptions import PyJWTError

from ..domain.account import Principal
from ..domain.errors import Unauthenticated
from ..domain.upload import SECOND
from .jwks import KeySet, KeySource, PublicKey

MAX_TOKEN = 8192
"""Characters."""

MAX_LIFE = 10 * 366 * 86400
"""Seconds that a token's end may lie ahead."""

MIN_SECRET = 32
"""Bytes. RFC 7518 section 3.2: a key for HS256 is no shorter than its hash."""

MAX_NAME = 255
MAX_ROLES = 64
REMEMBERED = 1024
"""Verified tokens that are remembered: a signature takes longer to check than the rest of a small request."""

_ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
_FOREIGN_KEYS = ("jwk", "jku", "x5u", "crit", "b64")
_TYPES = ("jwt", "at+jwt", "application/at+jwt")
_BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/=-]+) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    begins: float  # seconds since 1970
    ends: float
    keys: KeySet | None  # as they stood; None for the server's own secret


class Tokens:
    """Makes and reads the tokens of one server."""

    def __init__(
        self,
        secret: bytes,
        *,
        jwks: KeySource | None = None,
        audience: str | None = None,
        issuer: str | None = None,
        leeway: float = 0.0,
    ) -> None:
        """`leeway` in seconds. Raises ValueError when the secret is shorter than 32 bytes."""
        if len(secret) < MIN_SECRET:
            raise ValueError(f"the signing secret must have at least {MIN_SECRET} bytes")
        self._secret = secret
        self._jwks = jwks
        self._audience = audience
        self._issuer = issuer
        self._leeway = leeway
        self._jws = PyJWS(algorithms=_ALGORITHMS)
        self._seen: OrderedDict[str, _Verified] = OrderedDict()
        # Another key than the one that signs tokens, so that no token can be mistaken for a capability.
        self._upload_key = hmac.digest(secret, b"tusdrive upload capability 1", "sha256")

    def mint(self, account: str, roles: Iterable[str], lifetime_s: float, now: int) -> str:
        """A token for this server. Raises ValueError for a name or lifetime that it would not take itself."""
        begins = now // SECOND
        claims: dict[str, Any] = {"sub": account, "iat": begins, "exp": begins + int(lifetime_s)}
        claims["roles"] = sorted(set(roles))
        claims |= {name: value for name, value in (("aud", self._audience), ("iss", self._issuer)) if value}
        token = self._jws.encode(json.dumps(claims, separators=(",", ":")).encode(), self._secret, "HS256")
        try:
            self.principal(token, now)
        except Unauthenticated as exc:
            raise ValueError(exc.message) from exc
        return token

    async def open(self) -> None:
        """Get the first public keys, if any are configured. Raises ValueError or OSError."""
        if self._jwks is not None:
            await self._jwks.open()

    async def verify(self, token: str, now: int) -> Principal:
        """As `principal`, and looks for newer public keys first where that is called for."""
        if self._jwks is not None and len(token) <= MAX_TOKEN:
            await self._jwks.prepare(None if token in self._seen else _key_id(token))
        return self.principal(token, now)

    def principal(self, token: str, now: int) -> Principal:
        """Who the token speaks for. Never waits. Raises Unauthenticated."""
        seconds = now / SECOND
        found = self._seen.get(token)
        if found is None or not self._is_current(found, seconds):
            found = self._check(token, seconds)
            self._remember(token, found)
        else:
            self._seen.move_to_end(token)
        return found.principal

    def grant_upload(self, upload: str) -> str:
        """The capability of one upload: 192 bits that only this secret can make. It does not expire by itself."""
        return _unpadded(hmac.digest(self._upload_key, upload.encode(), "sha256")[:24])

    def check_upload(self, upload: str, capability: str) -> bool:
        """Whether that is the capability of that upload, in constant time."""
        return hmac.compare_digest(self.grant_upload(upload).encode(), capability.encode("utf-8", "replace"))

    def _is_current(self, found: _Verified, seconds: float) -> bool:
        if found.keys is not None and (self._jwks is None or found.keys is not self._jwks.keys):
            return False  # a key may have been withdrawn
        return found.begins - self._leeway <= seconds < found.ends + self._leeway

    def _remember(self, token: str, found: _Verified) -> None:
        self._seen[token] = found
        self._seen.move_to_end(token)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _check(self, token: str, seconds: float) -> _Verified:
        self._seen.pop(token, None)
        if len(token) > MAX_TOKEN:
            raise Unauthenticated("the token is too long")
        header, claims = _parts(token)
        _refuse_header(header)
        keys, key = self._key(header)
        try:
            self._jws.decode(token, key, [header["alg"]])
        except (PyJWTError, ValueError, TypeError) as exc:
            raise Unauthenticated("the token's signature is not valid") from exc
        begins, ends = _times(claims, seconds, self._leeway)
        self._refuse_foreign(claims)
        return _Verified(Principal(account=_account(claims), roles=_roles(claims)), begins, ends, keys)

    def _key(self, header: dict[str, Any]) -> tuple[KeySet | None, bytes | PublicKey]:
        """The one key a token can be signed with. Its type fixes the algorithm."""
        algorithm, id = header.get("alg"), header.get("kid")
        if algorithm == "HS256" and (id is None or self._jwks is None):
            return None, self._secret
        if self._jwks is not None and algorithm in _ALGORITHMS[1:]:
            keys = self._jwks.keys
            if found := keys.find(id, algorithm):
                return keys, found.public
        raise Unauthenticated("the token is not signed with a key of this server")

    def _refuse_foreign(self, claims: dict[str, Any]) -> None:
        """Tokens for others, or by others. One that names an audience is for nobody else (RFC 7519, 4.1.3)."""
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience] if "aud" in claims else []
        if named if self._audience is None else self._audience not in named:
            raise Unauthenticated("the token is for another audience")
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise Unauthenticated("the token is by another issuer")


def bearer(authorization: Sequence[bytes]) -> str | None:
    """The token in the values of all Authorization headers; None without one. Raises Unauthenticated.

    Two headers are refused: a proxy and the server might look at different ones.
    """
    if not authorization:
        return None
    match = _BEARER.fullmatch(authorization[0])
    if len(authorization) > 1 or match is None or len(match[1]) > MAX_TOKEN:
        raise Unauthenticated()
    return match[1].decode("ascii")


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, not yet believed."""
    pieces = token.split(".")
    if len(pieces) != 3 or not all(re.fullmatch(r"[A-Za-z0-9_-]+", piece, re.ASCII) for piece in pieces):
        raise Unauthenticated("the token is not a signed JWT")
    return _object(pieces[0]), _object(pieces[1])


def _object(piece: str) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4))
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (binascii.Error, ValueError, RecursionError) as exc:
        raise Unauthenticated("the token is not a signed JWT") from exc
    if not isinstance(found, dict):
        raise Unauthenticated("the token is not a signed JWT")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """RFC 7519 section 4: of a claim given twice, one reader sees the first and another the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _key_id(token: str) -> str | None:
    try:
        id = _object(token.partition(".")[0]).get("kid")
    except Unauthenticated:
        return None
    return id if isinstance(id, str) else None


def _refuse_header(header: dict[str, Any]) -> None:
    if any(name in header for name in _FOREIGN_KEYS):
        raise Unauthenticated("the token wants a key or an extension of its own")
    if not isinstance(header.get("kid", ""), str):
        raise Unauthenticated("the token's key id is no text")
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise Unauthenticated("the token is of another type")


def _times(claims: dict[str, Any], seconds: float, leeway: float) -> tuple[float, float]:
    """When the token begins and ends to be good, in seconds since 1970."""
    ends = claims.get("exp")
    if type(ends) is not int or ends > seconds + MAX_LIFE:
        raise Unauthenticated("the token must have an end (exp), a whole number of seconds within ten years")
    if ends + leeway <= seconds:
        raise Unauthenticated("the token has expired")
    begins = 0.0
    for name in ("nbf", "iat"):
        value = claims.get(name, 0)
        if type(value) not in (int, float) or value > seconds + leeway:
            raise Unauthenticated("the token is not valid yet")
        begins = max(begins, value)
    return begins, ends


def _account(claims: dict[str, Any]) -> str:
    account = claims.get("sub")
    if not _is_name(account):
        raise Unauthenticated("the token must name its account (sub)")
    return str(account)


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    """The claims `roles` and `role`, each a text or a list of texts."""
    found: list[Any] = []
    for name in ("roles", "role"):
        value = claims.get(name, [])
        found += value if isinstance(value, list) else [value]
    if len(found) > MAX_ROLES or not all(_is_name(role) for role in found):
        raise Unauthenticated("the token's roles must be texts")
    return frozenset(found)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
