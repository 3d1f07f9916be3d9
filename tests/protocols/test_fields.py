"""The strict readers, row by row."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusdrive.domain.errors import (
    HeaderTooLarge,
    Invalid,
    InvalidChecksum,
    InvalidConcat,
    InvalidLength,
    InvalidMetadata,
    InvalidOffset,
    TooLarge,
)
from tusdrive.domain.upload import Kind
from tusdrive.protocols import fields
from tusdrive.protocols.algorithms import ALGORITHMS
from tusdrive.protocols.fields import Concat

NO_NUMBERS = [
    b"", b"-1", b"+5", b"+1", b"1.5", b"1_000", b" 5", b"5 ", b"5\n", b"\t5", b"1e3", b"0x10", b"abc", b"NaN", b"1,000",
    b"5, 5", "５".encode(), "²".encode(), "٣".encode(), b"\xb2", b"5\0",
]  # fmt: skip
HUGE = [b"1" + b"0" * 16, str(2**63).encode(), b"1" + b"0" * 400, b"9" * 5000]


@pytest.mark.parametrize(("text", "value"), [(b"0", 0), (b"007", 7), (b"9999999999999999", 9_999_999_999_999_999)])
def test_numbers(text: bytes, value: int) -> None:
    assert (fields.whole(text), fields.length(text), fields.offset(text)) == (value, value, value)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_numbers(text: bytes) -> None:
    assert fields.whole(text) is None
    with pytest.raises(InvalidLength) as refused:
        fields.length(text)
    assert refused.value.details == {"field": "Upload-Length"}
    with pytest.raises(InvalidOffset):
        fields.offset(text)


@pytest.mark.parametrize("text", HUGE, ids=lambda text: f"{len(text)} digits")
def test_huge_numbers(text: bytes) -> None:
    assert fields.whole(text) is None
    with pytest.raises(TooLarge):
        fields.length(text)
    with pytest.raises(InvalidOffset):
        fields.offset(text)


def test_a_missing_offset() -> None:
    with pytest.raises(InvalidOffset):
        fields.offset(None)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (b"", {}),
        (b"  ", {}),
        (b"filename d29ybGQ=,is_confidential", {"filename": b"world", "is_confidential": b""}),
        (b"key ", {"key": b""}),
        (b"key", {"key": b""}),
        (b"key ,other", {"key": b"", "other": b""}),
        (b"b Yg==, a YQ==", {"b": b"b", "a": b"a"}),
        (b"b Yg==\t,\ta YQ== ", {"b": b"b", "a": b"a"}),
        (b"crlf DQo=", {"crlf": b"\r\n"}),
        (b"k" * 64, {"k" * 64: b""}),
        (b'!"#$%&\'()*+-./09:;<=>?@AZ[\\]^_`az{|}~', {'!"#$%&\'()*+-./09:;<=>?@AZ[\\]^_`az{|}~': b""}),
    ],
)
def test_metadata(header: bytes, wanted: dict[str, bytes]) -> None:
    found = fields.metadata(header)
    assert list(found.items()) == list(wanted.items())


@pytest.mark.parametrize(
    "header",
    [
        b" dmFs", b",a YQ==", b"a YQ==,", b"a,,b", b",", b"a YQ==,a Yg==", b"a,b,a", b"a key YQ==", b"a  YQ==",
        b"a YQ=", b"a YQ", b"a Y", b"a Y Q==", b"a YQ==YQ==", b"a Y@==", b"a YQ==\n", b"a -_-_", b"a =", b"a YQ==junk",
        "schlüssel YQ==".encode(), b"\xff YQ==", b"a\tb YQ==", b"a\0b YQ==", b"k" * 65, b"a YQ==\0",
        b",".join(b"k%d" % n for n in range(33)),
    ],
)  # fmt: skip
def test_metadata_refuses(header: bytes) -> None:
    with pytest.raises(InvalidMetadata):
        fields.metadata(header)


def test_metadata_caps() -> None:
    assert len(fields.metadata(b",".join(b"k%d" % n for n in range(32)))) == 32
    assert len(fields.metadata(b"a " + b"QUFB" * 1023)["a"]) == 3069
    with pytest.raises(HeaderTooLarge):
        fields.metadata(b"a " + b"QUFB" * 1024)


KEYS = st.text(st.sampled_from([chr(c) for c in range(0x21, 0x7F) if chr(c) != ","]), min_size=1, max_size=20)


@given(st.dictionaries(KEYS, st.binary(max_size=40), min_size=1, max_size=32), st.sampled_from([b",", b", "]))
def test_metadata_round_trip(values: dict[str, bytes], comma: bytes) -> None:
    header = comma.join(key.encode() + b" " + b64encode(value) for key, value in values.items())
    assert list(fields.metadata(header).items()) == list(values.items())


@given(st.binary(max_size=80))
def test_metadata_is_understood_or_refused(header: bytes) -> None:
    try:
        found = fields.metadata(header)
    except InvalidMetadata:
        return
    assert all(key.isascii() and key.isprintable() and " " not in key for key in found)
    assert header.isascii()




@pytest.mark.parametrize("name", ["sha1", "md5", "sha256", "sha512", "crc32", "xxh3-128"])
def test_checksum(name: str) -> None:
    hasher = ALGORITHMS[name].begin()
    hasher.update(b"123456789")
    checksum = fields.checksum(name.encode() + b" " + b64encode(hasher.digest()), ALGORITHMS)
    assert (checksum.algorithm.name, checksum.digest) == (name, hasher.digest())


def test_checksum_known_values() -> None:
    sha1 = fields.checksum(b"sha1 98O8HYCOBHMq32eZZczDTKeuNEE=", ALGORITHMS)
    assert sha1.digest == hashlib.sha1(b"123456789", usedforsecurity=False).digest()
    assert fields.checksum(b"crc32 y/Q5Jg==", ALGORITHMS).digest == bytes.fromhex("cbf43926")


@pytest.mark.parametrize(
    "header",
    [
        b"", b"sha1", b"sha1 ", b" 98O8HYCOBHMq32eZZczDTKeuNEE=", b"98O8HYCOBHMq32eZZczDTKeuNEE=",
        b"SHA1 98O8HYCOBHMq32eZZczDTKeuNEE=", b"Sha1 98O8HYCOBHMq32eZZczDTKeuNEE=",
        b"sha1  98O8HYCOBHMq32eZZczDTKeuNEE=", b"sha1 98O8HYCOBHMq32eZZczDTKeuNEE",
        b"sha1 98O8HYCOBHMq32eZZczDTKeuNE==",
        b"sha1 f7c3bc1d808e04732adf679965ccc34ca7ae3441", b"sha1 y/Q5Jg==", b"md5 98O8HYCOBHMq32eZZczDTKeuNEE=",
        b"sha1 98O8HYCOBHMq32eZZczDTKeuNEE= extra", b"sha3 98O8HYCOBHMq32eZZczDTKeuNEE=", b"sha-256 AAAA",
        b"sha1 98O8HYCOBHMq32eZZczDTKeuNEE=, sha1 98O8HYCOBHMq32eZZczDTKeuNEE=", b"\xff\xfe y/Q5Jg==",
    ],
)  # fmt: skip
def test_checksum_refuses(header: bytes) -> None:
    with pytest.raises(InvalidChecksum):
        fields.checksum(header, ALGORITHMS)


def test_xxh3_is_canonical() -> None:
    """The big-endian digest of the reference implementation (xxhsum -H2)."""
    hasher = ALGORITHMS["xxh3-128"].begin()
    hasher.update(b"")
    assert hasher.digest().hex() == "99aa06d3014798d86001c324468d497f"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, Concat(Kind.WHOLE)),
        (b"partial", Concat(Kind.PARTIAL, (), "partial")),
        (b"final;/files/a /files/b", Concat(Kind.FINAL, ("/files/a", "/files/b"), "final;/files/a /files/b")),
        (b"final;http://h/a", Concat(Kind.FINAL, ("http://h/a",), "final;http://h/a")),
        (b"final; /a  /a ", Concat(Kind.FINAL, ("/a", "/a"), "final; /a  /a ")),
        (b"final;/a?x=1;2", Concat(Kind.FINAL, ("/a?x=1;2",), "final;/a?x=1;2")),
    ],
)
def test_concat(header: bytes | None, wanted: Concat) -> None:
    assert fields.concat(header) == wanted


@pytest.mark.parametrize(
    "header",
    [b"", b"final", b"final;", b"final; ", b"foo", b"Partial", b"FINAL;/a", b"partial;", b"partial;/a", b" final;/a",
     "final;/ä".encode(), b"partial, partial"],
)  # fmt: skip
def test_concat_refuses(header: bytes) -> None:
    with pytest.raises(InvalidConcat):
        fields.concat(header)


@given(st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1), min_size=1, max_size=9))
def test_concat_round_trip(urls: list[str]) -> None:
    assert fields.concat(b"final;" + " ".join(urls).encode()).urls == tuple(urls)


@pytest.mark.parametrize("name", ["", "a", "日本.txt", "a b", "../x", "é" * 512, "n" * 1024, "\u202egnp.exe", "\x80"])
def test_names(name: str) -> None:
    assert fields.file_name(name) == name
    assert fields.decoded_name(name.encode()) == name


@pytest.mark.parametrize("name", ["\0", "a\r", "a\nb", "\x1b[2J", "\x1f", "\x7f", "\t", "é" * 513, "n" * 1025])
def test_hostile_names(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        fields.file_name(name)
    assert type(refused.value) is Invalid
    with pytest.raises(InvalidMetadata):
        fields.decoded_name(name.encode())


def test_names_that_are_no_unicode() -> None:
    with pytest.raises(Invalid):
        fields.file_name("\ud800")
    for raw in (b"\xff", b"\xed\xa0\x80", b"\xc0\xae"):
        with pytest.raises(InvalidMetadata):
            fields.decoded_name(raw)


@pytest.mark.parametrize(
    "text",
    ["text/plain", "image/svg+xml", "Text/HTML", "text/plain; charset=utf-8", 'a/b;x="y z"', "a/vnd.a-b.c+json"],
)
def test_content_types(text: str) -> None:
    assert fields.content_type(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "text", "text/", "/plain", "text/plain/x", "te xt/plain", "text/plain\r\nx: y", "text/plain;", "a/b; c", "ä/b",
     "a/" + "b" * 254, "null", "text/plain\n", 'a/b;x="\r\n"'],
)  # fmt: skip
def test_no_content_types(text: str) -> None:
    assert fields.content_type(text) == ""


@pytest.mark.parametrize(
    ("header", "wanted"),
    [(None, b""), (b"", b""), (b"A/B", b"a/b"), (b"a/b;charset=x", b"a/b"), (b" a/b ; q", b"a/b")],
)
def test_media_type(header: bytes | None, wanted: bytes) -> None:
    assert fields.media_type(header) == wanted


def test_upload_ids() -> None:
    assert fields.is_upload_id("0123456789abcdef" * 2)
    for text in ("", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "../" + "a" * 29, "１" * 32):
        assert not fields.is_upload_id(text)


def test_references() -> None:
    assert fields.reference("550e8400-e29b-41d4-a716-446655440000", "poolId") == "550e8400-e29b-41d4-a716-446655440000"
    for text in ("", "a" * 65, "a b", "../a", "a\n", "ä"):
        with pytest.raises(Invalid) as refused:
            fields.reference(text, "poolId")
        assert refused.value.details == {"field": "poolId"}


@pytest.mark.parametrize(
    ("at", "wanted"),
    [
        (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (1_403_712_000_000_000, b"Wed, 25 Jun 2014 16:00:00 GMT"),
        (1_403_712_000_999_999, b"Wed, 25 Jun 2014 16:00:00 GMT"),
        (784_111_777_000_000, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400_000_000, b"Tue, 29 Feb 2000 00:00:00 GMT"),
    ],
)
def test_http_date(at: int, wanted: bytes) -> None:
    assert fields.http_date(at) == wanted


@given(st.datetimes(timezones=st.just(UTC)))
def test_http_date_agrees_with_the_standard_library(at: datetime) -> None:
    seconds = (at.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    assert fields.http_date(int(seconds) * 1_000_000) == format_datetime(at, usegmt=True).encode()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("2025-11-09T01:56:00.0000000Z", 1_762_653_360_000_000),
        ("2025-11-09T01:56:00.1234567Z", 1_762_653_360_123_456),
        ("2025-11-09t01:56:00z", 1_762_653_360_000_000),
        ("2025-11-09 01:56", 1_762_653_360_000_000),
        ("2025-11-09T02:56:00+01:00", 1_762_653_360_000_000),
        ("2025-11-08T20:26:00-05:30", 1_762_653_360_000_000),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000_000),
        ("9999-12-31T23:59:59.999999-23:59", 253_402_387_139_999_999),
    ],
)
def test_instant(text: str, wanted: int) -> None:
    assert fields.instant(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2025", "2025-13-01T00:00:00Z", "2025-02-30", "2025-11-09T25:00:00Z", "20251109T015600Z",
     "1762653360", "2025-11-09T01:56:00Zx", "2025-11-09T01:56:00 Z", "2025-W01-1", "２025-11-09", "0000-01-01",
     "2025-11-09T01:56:00+25:00", "2025-11-09T01:56:00+01:00\n"],
)  # fmt: skip
def test_no_instant(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        fields.instant(text)
    assert refused.value.details == {"field": "expiredAt"}
