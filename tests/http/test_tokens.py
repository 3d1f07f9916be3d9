"""Tokens: what is taken, and every known way to forge one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import os
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tusdrive.domain.account import Principal
from tusdrive.domain.errors import Unauthenticated
from tusdrive.http.jwks import BadKeys, FileKeys, KeySet, UrlKeys, fetch, key_source, parse_keys
from tusdrive.http.tokens import REMEMBERED, Tokens, bearer

SECRET = b"0123456789abcdef0123456789abcdef"
NOW_S = 1_800_000_000
NOW = NOW_S * 1_000_000
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
GOOD: dict[str, Any] = {"sub": "ann", "exp": NOW_S + 60}


def public_jwk(algorithm: type[Any], key: Any, **more: str) -> dict[str, Any]:
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), **more}


RSA_JWK = public_jwk(jwt.algorithms.RSAAlgorithm, RSA_KEY, kid="r1", use="sig")
EC_JWK = public_jwk(jwt.algorithms.ECAlgorithm, EC_KEY, kid="e1")
ED_JWK = public_jwk(jwt.algorithms.OKPAlgorithm, ED_KEY, kid="d1", alg="EdDSA")
OCT_JWK = {"kty": "oct", "kid": "o1", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}
JWKS = {"keys": [RSA_JWK, EC_JWK, ED_JWK, OCT_JWK]}
RSA_PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


class Fixed:
    """Keys that never change."""

    keys = parse_keys(JWKS)

    async def open(self) -> None: ...

    async def prepare(self, id: str | None) -> None: ...


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(header: str, claims: str, key: bytes = SECRET) -> str:
    """An HS256 token of exactly these texts."""
    signed = f"{b64(header.encode())}.{b64(claims.encode())}"
    return f"{signed}.{b64(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def hs(claims: dict[str, Any], key: bytes = SECRET, **header: Any) -> str:
    return raw(json.dumps({"alg": "HS256", "typ": "JWT", **header}), json.dumps(claims), key)


def signed(claims: dict[str, Any], key: Any, algorithm: str, **header: Any) -> str:
    return jwt.encode(claims, key, algorithm, headers=header)


def refused(token: str, tokens: Tokens | None = None) -> None:
    with pytest.raises(Unauthenticated):
        (tokens or Tokens(SECRET, jwks=Fixed())).principal(token, NOW)


def swap(token: str, part: int, text: str) -> str:
    pieces = token.split(".")
    pieces[part] = text
    return ".".join(pieces)


def claim(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not ...}


# ---- taken


def test_own_token() -> None:
    tokens = Tokens(SECRET)
    token = tokens.mint("ann", ["admin", "user"], 3600, NOW)
    assert tokens.principal(token, NOW) == Principal(account="ann", roles=frozenset({"admin", "user"}))
    claims = jwt.decode(token, SECRET, ["HS256"], options={"verify_exp": False, "verify_iat": False})
    assert claims == {"sub": "ann", "iat": 1_800_000_000, "exp": 1_800_003_600, "roles": ["admin", "user"]}


def test_own_token_with_audience_and_issuer() -> None:
    tokens = Tokens(SECRET, audience="drive", issuer="me")
    token = tokens.mint("ann", [], 60, NOW)
    assert tokens.principal(token, NOW).account == "ann"
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == "drive"
    assert jwt.decode(token, options={"verify_signature": False})["iss"] == "me"


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(RSA_KEY, "RS256", "r1"), (EC_KEY, "ES256", "e1"), (ED_KEY, "EdDSA", "d1")]
)
def test_foreign_keys(key: Any, algorithm: str, kid: str) -> None:
    tokens = Tokens(SECRET, jwks=Fixed())
    assert tokens.principal(signed(GOOD, key, algorithm, kid=kid), NOW).account == "ann"
    assert tokens.principal(signed(GOOD, key, algorithm), NOW).account == "ann"


def test_own_tokens_stay_good_beside_foreign_keys() -> None:
    tokens = Tokens(SECRET, jwks=Fixed())
    assert tokens.principal(tokens.mint("root", ["admin"], 60, NOW), NOW).is_admin


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        (claim(), set()),
        (claim(roles=["a", "b"]), {"a", "b"}),
        (claim(role="admin"), {"admin"}),
        (claim(role=["a"], roles="b"), {"a", "b"}),
        (claim(scope="admin"), set()),
    ],
)
def test_roles(claims: dict[str, Any], roles: set[str]) -> None:
    assert Tokens(SECRET).principal(hs(claims), NOW).roles == roles


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt"])
def test_types(typ: str) -> None:
    assert Tokens(SECRET).principal(hs(GOOD, typ=typ), NOW).account == "ann"


@pytest.mark.parametrize("audience", ["drive", ["x", "drive"]])
def test_audience(audience: Any) -> None:
    assert Tokens(SECRET, audience="drive").principal(hs(claim(aud=audience)), NOW).account == "ann"


@pytest.mark.parametrize(
    ("claims", "at", "taken"),
    [
        (claim(exp=NOW_S + 1), 0, True),
        (claim(exp=NOW_S), 0, True),
        (claim(exp=NOW_S), 4_999_999, True),
        (claim(exp=NOW_S), 5_000_000, False),
        (claim(nbf=NOW_S + 5), 0, True),
        (claim(nbf=NOW_S + 6), 0, False),
        (claim(nbf=NOW_S + 6), 1_000_000, True),
        (claim(iat=NOW_S + 6), 0, False),
        (claim(iat=NOW_S - 0.5), 0, True),
    ],
)
def test_leeway_of_five_seconds(claims: dict[str, Any], at: int, taken: bool) -> None:
    tokens = Tokens(SECRET, leeway=5)
    if taken:
        assert tokens.principal(hs(claims), NOW + at).account == "ann"
    else:
        with pytest.raises(Unauthenticated):
            tokens.principal(hs(claims), NOW + at)


# ---- refused

ATTACKS: dict[str, str] = {
    "nothing": "",
    "no JWT": "hello",
    "two parts": "a.b",
    "five parts, as an encrypted one": hs(GOOD) + ".a.b",
    "alg none, unsigned": "eyJhbGciOiJub25lIn0." + b64(json.dumps(GOOD).encode()) + ".",
    "alg none, old signature": swap(hs(GOOD), 0, b64(b'{"alg":"none","typ":"JWT"}')),
    "alg None": swap(hs(GOOD), 0, b64(b'{"alg":"None"}')),
    "alg NONE": swap(hs(GOOD), 0, b64(b'{"alg":"NONE"}')),
    "alg null": raw('{"alg":null}', json.dumps(GOOD)),
    "alg list": raw('{"alg":["HS256"]}', json.dumps(GOOD)),
    "alg object": raw('{"alg":{"a":1}}', json.dumps(GOOD)),
    "no alg": raw("{}", json.dumps(GOOD)),
    "alg hs256": raw('{"alg":"hs256"}', json.dumps(GOOD)),
    "HS512, right secret": signed(GOOD, SECRET * 2, "HS512"),
    "PS256": signed(GOOD, RSA_KEY, "PS256", kid="r1"),
    "RS512": signed(GOOD, RSA_KEY, "RS512", kid="r1"),
    "HS256 signed with the RSA public key": hs(GOOD, RSA_PEM),
    "HS256 signed with the RSA public key, kid": hs(GOOD, RSA_PEM, kid="r1"),
    "HS256 with the RSA modulus": hs(GOOD, RSA_JWK["n"].encode(), kid="r1"),
    "HS256 with a symmetric key of the JWKS": hs(GOOD, SECRET, kid="o1"),
    "RS256 header over an HS256 signature": swap(hs(GOOD), 0, b64(b'{"alg":"RS256","kid":"r1"}')),
    "HS256 header over an RS256 signature": swap(signed(GOOD, RSA_KEY, "RS256"), 0, b64(b'{"alg":"HS256"}')),
    "ES256 header, id of the RSA key": signed(GOOD, EC_KEY, "ES256", kid="r1"),
    "RS256 by another key": signed(GOOD, OTHER_RSA, "RS256", kid="r1"),
    "ES256 all zeros (CVE-2022-21449)": swap(signed(GOOD, EC_KEY, "ES256", kid="e1"), 2, b64(bytes(64))),
    "ES256 short signature": swap(signed(GOOD, EC_KEY, "ES256", kid="e1"), 2, b64(bytes(8))),
    "embedded jwk": signed(GOOD, OTHER_RSA, "RS256", jwk=public_jwk(jwt.algorithms.RSAAlgorithm, OTHER_RSA)),
    "embedded jwk, right key": signed(GOOD, RSA_KEY, "RS256", kid="r1", jwk=RSA_JWK),
    "jku": signed(GOOD, OTHER_RSA, "RS256", kid="r1", jku="http://127.0.0.1:9/keys"),
    "x5u": signed(GOOD, OTHER_RSA, "RS256", kid="r1", x5u="http://127.0.0.1:9/cert"),
    "kid is a path": hs(GOOD, b"", kid="../../../../dev/null"),
    "kid is SQL": hs(GOOD, b"x", kid="x' UNION SELECT 'x' --"),
    "kid is a URL": signed(GOOD, OTHER_RSA, "RS256", kid="http://127.0.0.1:9/"),
    "kid is a number": raw('{"alg":"HS256","kid":1}', json.dumps(GOOD)),
    "kid is null": raw('{"alg":"HS256","kid":null}', json.dumps(GOOD)),
    "kid unknown": signed(GOOD, RSA_KEY, "RS256", kid="r2"),
    "empty key": hs(GOOD, b""),
    "wrong secret": hs(GOOD, SECRET[::-1]),
    "empty signature": swap(hs(GOOD), 2, ""),
    "signature of other claims": swap(hs(GOOD), 1, b64(json.dumps(claim(sub="root")).encode())),
    "padded signature": hs(GOOD) + "=",
    "signature in base64, not base64url": swap(hs(GOOD), 2, "+/" + "A" * 41),
    "white space before": " " + hs(GOOD),
    "line break within": hs(GOOD).replace(".", ".\n", 1),
    "not ASCII": hs(GOOD) + "é",
    "lone surrogate": hs(GOOD) + "\ud800",
    "unknown crit": hs(GOOD, crit=["exp"], exp=1),
    "crit b64": hs(GOOD, crit=["b64"], b64=True),
    "b64 false": hs(GOOD, b64=False),
    "empty crit": hs(GOOD, crit=[]),
    "proof type": hs(GOOD, typ="dpop+jwt"),
    "no exp": hs(claim(exp=...)),
    "exp null": hs(claim(exp=None)),
    "exp past": hs(claim(exp=NOW_S)),
    "exp long past": hs(claim(exp=1)),
    "exp negative": hs(claim(exp=-1)),
    "exp 2^63": hs(claim(exp=2**63)),
    "exp 10^400": hs(claim(exp=10**400)),
    "exp of 5,000 digits": raw('{"alg":"HS256"}', '{"sub":"ann","exp":' + "9" * 5000 + "}"),
    "exp float": hs(claim(exp=NOW_S + 60.0)),
    "exp text": hs(claim(exp=str(NOW_S + 60))),
    "exp true": hs(claim(exp=True)),
    "exp Infinity": raw('{"alg":"HS256"}', '{"sub":"ann","exp":Infinity}'),
    "NaN elsewhere": raw('{"alg":"HS256"}', '{"sub":"ann","exp":1800000060,"x":NaN}'),
    "exp 1e999": raw('{"alg":"HS256"}', '{"sub":"ann","exp":1e999}'),
    "exp in 11 years": hs(claim(exp=NOW_S + 11 * 366 * 86400)),
    "nbf ahead": hs(claim(nbf=NOW_S + 1)),
    "nbf text": hs(claim(nbf="0")),
    "nbf 1e999": raw('{"alg":"HS256"}', '{"sub":"ann","exp":1800000060,"nbf":1e999}'),
    "iat ahead": hs(claim(iat=NOW_S + 1)),
    "exp twice": raw('{"alg":"HS256"}', '{"sub":"ann","exp":1,"exp":1800000060}'),
    "sub twice": raw('{"alg":"HS256"}', '{"sub":"root","exp":1800000060,"sub":"ann"}'),
    "alg twice": raw('{"alg":"none","alg":"HS256"}', json.dumps(GOOD)),
    "no sub": hs(claim(sub=...)),
    "sub empty": hs(claim(sub="")),
    "sub number": hs(claim(sub=7)),
    "sub list": hs(claim(sub=["ann"])),
    "sub with NUL": hs(claim(sub="ann\0")),
    "sub with line break": hs(claim(sub="ann\r\nSet-Cookie: x")),
    "sub surrogate": raw('{"alg":"HS256"}', '{"sub":"\\ud800","exp":1800000060}'),
    "sub of 256 characters": hs(claim(sub="a" * 256)),
    "roles number": hs(claim(roles=1)),
    "roles object": hs(claim(roles={"admin": True})),
    "roles with a number": hs(claim(roles=["a", 1])),
    "role null": hs(claim(role=None)),
    "65 roles": hs(claim(roles=["a"] * 65)),
    "aud, but none is set": hs(claim(aud="drive")),
    "aud null": hs(claim(aud=None)),
    "claims list": raw('{"alg":"HS256"}', '["sub"]'),
    "claims text": raw('{"alg":"HS256"}', '"sub"'),
    "claims not UTF-8": "eyJhbGciOiJIUzI1NiJ9._w." + b64(hmac.digest(SECRET, b"eyJhbGciOiJIUzI1NiJ9._w", "sha256")),
    "header list": raw("[]", json.dumps(GOOD)),
    "nested 100,000 deep": raw('{"alg":"HS256"}', "[" * 3000),
    "over 8 KiB": hs(claim(x="a" * 8192)),
    "1 MiB": hs(claim(x="a" * 1048576)),
    "1 MiB of dots": "." * 1048576,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str) -> None:
    refused(ATTACKS[name])
    with pytest.raises(Unauthenticated):
        asyncio.run(Tokens(SECRET, jwks=Fixed()).verify(ATTACKS[name], NOW))


def test_attacks_are_many() -> None:
    assert len(ATTACKS) >= 90


def test_without_foreign_keys_only_hs256() -> None:
    for key, algorithm in ((RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")):
        refused(signed(GOOD, key, algorithm), Tokens(SECRET))


@pytest.mark.parametrize("audience", [..., "other", ["x", "y"], [], {"drive": 1}, None])
def test_wrong_audience(audience: Any) -> None:
    refused(hs(claim(aud=audience)), Tokens(SECRET, audience="drive"))


@pytest.mark.parametrize("issuer", [..., "other", ["me"], None])
def test_wrong_issuer(issuer: Any) -> None:
    refused(hs(claim(iss=issuer)), Tokens(SECRET, issuer="me"))


def test_messages_do_not_carry_the_token() -> None:
    for token in ATTACKS.values():
        with pytest.raises(Unauthenticated) as caught:
            Tokens(SECRET, jwks=Fixed()).principal(token, NOW)
        assert "eyJ" not in caught.value.message
        assert caught.value.details == {}


def test_mint_refuses_what_would_not_be_taken() -> None:
    tokens = Tokens(SECRET)
    for account, roles, life in (("", [], 60), ("a\n", [], 60), ("a", [""], 60), ("a", [], 0), ("a", [], 4e8)):
        with pytest.raises(ValueError, match="token"):
            tokens.mint(account, roles, life, NOW)


def test_short_secret() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Tokens(b"a" * 31)


# ---- remembered


def test_remembered_token_ends_on_time() -> None:
    tokens = Tokens(SECRET)
    token = hs(claim(exp=NOW_S + 10))
    assert tokens.principal(token, NOW).account == "ann"
    assert tokens.principal(token, NOW + 9_999_999) is tokens.principal(token, NOW)
    with pytest.raises(Unauthenticated):
        tokens.principal(token, NOW + 10_000_000)


def test_remembered_token_is_not_good_before_its_time() -> None:
    tokens = Tokens(SECRET)
    token = hs(claim(nbf=NOW_S))
    assert tokens.principal(token, NOW).account == "ann"
    with pytest.raises(Unauthenticated):
        tokens.principal(token, NOW - 1_000_000)


def test_memory_is_bounded_and_keeps_what_is_used() -> None:
    tokens = Tokens(SECRET)
    kept = hs(claim(sub="kept"))
    first = tokens.principal(kept, NOW)
    for number in range(REMEMBERED + 10):
        tokens.principal(hs(claim(sub=f"a{number}")), NOW)
        assert tokens.principal(kept, NOW) is first
    assert len(tokens._seen) == REMEMBERED


def test_refused_tokens_are_not_remembered() -> None:
    tokens = Tokens(SECRET, jwks=Fixed())
    for token in ATTACKS.values():
        with pytest.raises(Unauthenticated):
            tokens.principal(token, NOW)
    assert len(tokens._seen) == 0


def test_withdrawn_key_ends_remembered_tokens() -> None:
    source = Fixed()
    tokens = Tokens(SECRET, jwks=source)
    token = signed(GOOD, RSA_KEY, "RS256", kid="r1")
    assert tokens.principal(token, NOW).account == "ann"
    source.keys = parse_keys({"keys": [EC_JWK]})
    with pytest.raises(Unauthenticated):
        tokens.principal(token, NOW)


# ---- the header


@pytest.mark.parametrize(
    ("values", "token"),
    [
        ([], None),
        ([b"Bearer abc"], "abc"),
        ([b"bearer  a.b-c_d "], "a.b-c_d"),
    ],
)
def test_bearer(values: list[bytes], token: str | None) -> None:
    assert bearer(values) == token


@pytest.mark.parametrize(
    "values",
    [
        [b"Bearer a", b"Bearer a"],
        [b"Bearer a", b"Basic YTpi"],
        [b"Basic YTpi"],
        [b"Bearer"],
        [b"Bearer "],
        [b""],
        [b"abc"],
        [b"Bearer a b"],
        [b"Bearer a,Bearer b"],
        [b"Bearer \xff"],
        [b"Bearer " + b"a" * 8193],
    ],
)
def test_bearer_refused(values: list[bytes]) -> None:
    with pytest.raises(Unauthenticated):
        bearer(values)


# ---- capabilities


def test_capability() -> None:
    tokens = Tokens(SECRET)
    capability = tokens.grant_upload("a" * 32)
    # HMAC-SHA256(HMAC-SHA256(secret, label), id), first 24 bytes
    assert capability == "fglBevMuh9BNV5E_MxsV4YzpvONrVF16"
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", capability)
    assert tokens.check_upload("a" * 32, capability)
    assert Tokens(SECRET).check_upload("a" * 32, capability)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: "",
        lambda c: c[:-1],
        lambda c: c + "A",
        lambda c: c[:-1] + ("A" if c[-1] != "A" else "B"),
        lambda c: c.swapcase(),
        lambda c: c + "=",
        lambda c: "é" * 32,
        lambda c: "\ud800",
        lambda c: Tokens(SECRET).grant_upload("b" * 32),
        lambda c: Tokens(SECRET[::-1]).grant_upload("a" * 32),
        lambda c: b64(hmac.digest(SECRET, b"a" * 32, "sha256")[:24]),
    ],
)
def test_capability_refused(change: Callable[[str], str]) -> None:
    tokens = Tokens(SECRET)
    assert not tokens.check_upload("a" * 32, change(tokens.grant_upload("a" * 32)))


def test_capability_is_no_token_and_token_no_capability() -> None:
    tokens = Tokens(SECRET)
    refused(tokens.grant_upload("a" * 32), tokens)
    assert not tokens.check_upload("a" * 32, tokens.mint("ann", [], 60, NOW))


# ---- JWK Sets


def test_parse_keys() -> None:
    assert [(key.id, key.algorithm) for key in parse_keys(JWKS).keys] == [
        ("r1", "RS256"), ("e1", "ES256"), ("d1", "EdDSA")]  # fmt: skip


WEAK_RSA = public_jwk(jwt.algorithms.RSAAlgorithm, rsa.generate_private_key(65537, 1024))
P384 = public_jwk(jwt.algorithms.ECAlgorithm, ec.generate_private_key(ec.SECP384R1()))


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"keys": {}},
        {"keys": []},
        {"keys": [1, None, {}]},
        {"keys": [OCT_JWK]},
        {"keys": [WEAK_RSA]},
        {"keys": [P384]},
        {"keys": [{**RSA_JWK, "use": "enc"}]},
        {"keys": [{**RSA_JWK, "key_ops": ["encrypt"]}]},
        {"keys": [{**RSA_JWK, "key_ops": 1}]},
        {"keys": [{**RSA_JWK, "alg": "PS256"}]},
        {"keys": [{**RSA_JWK, "alg": "HS256"}]},
        {"keys": [{**RSA_JWK, "kid": 1}]},
        {"keys": [{"kty": "RSA", "kid": "r1"}]},
        {"keys": [{**EC_JWK, "x": "AA"}]},
    ],
)
def test_parse_keys_refused(document: Any) -> None:
    with pytest.raises(BadKeys):
        parse_keys(document)


def test_a_token_without_key_id_needs_a_single_key() -> None:
    other = public_jwk(jwt.algorithms.RSAAlgorithm, OTHER_RSA, kid="r2")
    keys = parse_keys({"keys": [RSA_JWK, other]})
    assert keys.find(None, "RS256") is None
    found = keys.find("r2", "RS256")
    assert found is not None
    assert found.id == "r2"


def test_key_source_by_name() -> None:
    assert isinstance(key_source("https://id.example/keys"), UrlKeys)
    assert isinstance(key_source("/etc/keys.json"), FileKeys)


async def test_file_is_read_again_when_it_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, clock = tmp_path / "keys", [0.0]
    path.write_text(json.dumps({"keys": [RSA_JWK]}))
    source = FileKeys(path=path, clock=lambda: clock[0])
    await source.open()
    tokens = Tokens(SECRET, jwks=source)
    ed = signed(GOOD, ED_KEY, "EdDSA", kid="d1")
    with pytest.raises(Unauthenticated):
        await tokens.verify(ed, NOW)
    path.write_text(json.dumps({"keys": [ED_JWK]}))
    clock[0] = 0.9
    with pytest.raises(Unauthenticated):
        await tokens.verify(ed, NOW)
    clock[0] = 1.0
    assert (await tokens.verify(ed, NOW)).account == "ann"
    path.write_text("{")
    clock[0] = 2.0
    with caplog.at_level(logging.WARNING):
        assert (await tokens.verify(ed, NOW)).account == "ann"
    assert [record.message for record in caplog.records] == ["keys not read, the old ones stay"]
    os.unlink(path)
    clock[0] = 3.0
    assert (await tokens.verify(ed, NOW)).account == "ann"


@pytest.mark.parametrize("text", ["{", '{"keys": []}', "\xff"])
async def test_bad_file_at_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text, "latin-1")
    with pytest.raises(ValueError, match=r"."):
        await Tokens(SECRET, jwks=FileKeys(path=tmp_path / "keys")).open()


async def test_no_file_at_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await FileKeys(path=tmp_path / "keys").open()


class Issuer:
    """Serves a JWK Set, or fails, and counts."""

    def __init__(self) -> None:
        self.answer: Any = {"keys": [RSA_JWK]}
        self.asked = 0
        self.clock = 0.0

    def fetch(self, url: str) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def source(self) -> UrlKeys:
        return UrlKeys(url="https://id.example/keys", clock=lambda: self.clock, fetch=self.fetch)


async def test_url_keys_are_fetched_when_a_key_is_unknown() -> None:
    issuer = Issuer()
    tokens = Tokens(SECRET, jwks=issuer.source())
    await tokens.open()
    assert issuer.asked == 1
    ed = signed(GOOD, ED_KEY, "EdDSA", kid="d1")
    issuer.answer = {"keys": [RSA_JWK, ED_JWK]}
    for issuer.clock in (1.0, 29.9):
        with pytest.raises(Unauthenticated):
            await tokens.verify(ed, NOW)
    assert issuer.asked == 1
    issuer.clock = 30.0
    assert (await tokens.verify(ed, NOW)).account == "ann"
    assert issuer.asked == 2


async def test_unknown_keys_cannot_make_it_fetch_all_the_time() -> None:
    issuer = Issuer()
    tokens = Tokens(SECRET, jwks=issuer.source())
    issuer.clock = 100.0
    results = await asyncio.gather(
        *(tokens.verify(signed(GOOD, OTHER_RSA, "RS256", kid=f"x{n}"), NOW) for n in range(50)), return_exceptions=True
    )
    assert all(isinstance(result, Unauthenticated) for result in results)
    assert issuer.asked == 1


async def test_url_keys_grow_old_in_the_background() -> None:
    issuer = Issuer()
    source = issuer.source()
    tokens = Tokens(SECRET, jwks=source)
    await tokens.open()
    token = signed(GOOD, RSA_KEY, "RS256", kid="r1")
    issuer.clock = 299.0
    await tokens.verify(token, NOW)
    assert issuer.asked == 1
    before = source.keys
    issuer.clock = 300.0
    assert (await tokens.verify(token, NOW)).account == "ann"
    assert source._task is not None
    await source._task
    assert issuer.asked == 2
    assert source.keys is before
    issuer.answer = {"keys": [ED_JWK]}
    issuer.clock = 600.0
    assert (await tokens.verify(token, NOW)).account == "ann"
    assert source._task is not None
    await source._task
    assert issuer.asked == 3
    with pytest.raises(Unauthenticated):
        await tokens.verify(token, NOW)


@pytest.mark.parametrize("failure", [OSError("down"), jwt.PyJWKClientError("x"), ValueError("no JSON"), {"keys": []}])
async def test_last_good_keys_stay(failure: Any, caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    source = issuer.source()
    tokens = Tokens(SECRET, jwks=source)
    await tokens.open()
    issuer.answer, issuer.clock = failure, 1000.0
    with caplog.at_level(logging.WARNING):
        assert (await tokens.verify(signed(GOOD, RSA_KEY, "RS256", kid="r1"), NOW)).account == "ann"
        assert source._task is not None
        await source._task
    assert issuer.asked == 2
    assert [record.message for record in caplog.records] == ["keys not fetched, the old ones stay"]
    assert (await tokens.verify(signed(GOOD, RSA_KEY, "RS256", kid="r1"), NOW)).account == "ann"


async def test_issuer_down_at_start() -> None:
    issuer = Issuer()
    issuer.answer = OSError("down")
    source = issuer.source()
    tokens = Tokens(SECRET, jwks=source)
    await tokens.open()
    assert source.keys == KeySet()
    issuer.answer, issuer.clock = {"keys": [RSA_JWK]}, 30.0
    assert (await tokens.verify(signed(GOOD, RSA_KEY, "RS256"), NOW)).account == "ann"


def test_fetch_over_http_follows_no_redirect() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/redirect":
                self.send_response(302)
                self.send_header("Location", "/keys")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(JWKS).encode() if self.path == "/keys" else b"<html>")

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        try:
            assert fetch(base + "/keys") == JWKS
            with pytest.raises(jwt.PyJWKClientError):
                fetch(base + "/redirect")
            with pytest.raises(ValueError, match="Expecting value"):
                fetch(base + "/html")
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(jwt.PyJWKClientError):
        fetch("file:///etc/passwd")
