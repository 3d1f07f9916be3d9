"""Strict readers for what stands in headers, paths and JSON: numbers, metadata, checksums, names, times.

`Headers` has lower-case names, as in ASGI; repeated headers are one value joined with `, `.
Nothing here is lenient where leniency could be read two ways: ASCII digits only, strict Base64, strict UTF-8.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ..domain.checksum import Algorithm, Checksum
from ..domain.errors import (
    HeaderTooLarge,
    Invalid,
    InvalidChecksum,
    InvalidConcat,
    InvalidLength,
    InvalidMetadata,
    InvalidOffset,
    TooLarge,
)
from ..domain.upload import SECOND, Kind

Headers = Mapping[bytes, bytes]

DIGITS = 16
"""Most digits of a size or position: 10**16 - 1 bytes, which JavaScript and SQLite hold exactly (nearly 9 PiB)."""

METADATA_CAP = 4096
METADATA_KEYS = 32
METADATA_KEY = 64
NAME_CAP = 1024
"""Bytes of UTF-8 in a file name."""

_KEY_BYTES = bytes(range(0x21, 0x7F))
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_REFERENCE = re.compile(r"[A-Za-z0-9-]{1,64}")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]"
_MEDIA_TYPE = re.compile(
    rf'{_TOKEN}{{1,127}}/{_TOKEN}{{1,127}}(?:[ \t]*;[ \t]*{_TOKEN}+=(?:{_TOKEN}+|"[ !#-\[\]-~]*"))*'
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def whole(text: bytes) -> int | None:
    """A whole number of 1 to 16 ASCII digits; None for anything else (`+5`, `1_000`, ` 5`, `1e3`, empty, longer)."""
    if text.isdigit() and len(text) <= DIGITS:
        return int(text)
    return None


def length(text: bytes, name: str = "Upload-Length") -> int:
    """A size in bytes. Raises InvalidLength; TooLarge for a number that has too many digits."""
    value = whole(text)
    if value is not None:
        return value
    if text.isdigit():
        raise TooLarge(f"{name} has more than {DIGITS} digits", field=name)
    raise InvalidLength(f"{name} must be a whole number of at most {DIGITS} digits", field=name)


def offset(text: bytes | None) -> int:
    """Upload-Offset in bytes (tus 1.0.0 "Upload-Offset"). Raises InvalidOffset, also when it is missing."""
    value = None if text is None else whole(text)
    if value is None:
        raise InvalidOffset()
    return value


def metadata(header: bytes) -> dict[str, bytes]:
    """Upload-Metadata (tus 1.0.0 "Upload-Metadata"): keys to decoded values, in order; `{}` for an empty header.

    A value may be empty, with or without the space before it. Raises InvalidMetadata; HeaderTooLarge over 4 KiB.
    """
    if len(header) > METADATA_CAP:
        raise HeaderTooLarge(f"Upload-Metadata has more than {METADATA_CAP} bytes", limit=METADATA_CAP)
    if not header or header.isspace():
        return {}
    pairs = header.split(b",")
    if len(pairs) > METADATA_KEYS:
        raise InvalidMetadata(f"Upload-Metadata has more than {METADATA_KEYS} keys", limit=METADATA_KEYS)
    found: dict[str, bytes] = {}
    for at, pair in enumerate(pairs):
        # RFC 9110 5.6.1: blanks around a comma do not count. The very first byte is the key's.
        key, _, value = (pair.strip(b" \t") if at else pair.rstrip(b" \t")).partition(b" ")
        name = _metadata_key(key)
        if name in found:
            raise InvalidMetadata("Upload-Metadata names a key twice", key=name)
        found[name] = _base64(value, InvalidMetadata, "a value in Upload-Metadata is not Base64")
    return found


def _metadata_key(key: bytes) -> str:
    if not 1 <= len(key) <= METADATA_KEY:
        raise InvalidMetadata(f"a metadata key must have 1 to {METADATA_KEY} characters")
    if key.translate(None, _KEY_BYTES):
        raise InvalidMetadata("a metadata key must be visible ASCII without blanks and commas")
    return key.decode("ascii")


def _base64(text: bytes, error: type[Invalid], message: str) -> bytes:
    if not text:
        return b""
    try:
        return a2b_base64(text, strict_mode=True)
    except Base64Error as exc:
        raise error(message) from exc


def checksum(header: bytes, algorithms: Mapping[str, Algorithm]) -> Checksum:
    """Upload-Checksum (tus 1.0.0 "Checksum"): `<algorithm> <Base64 digest>`. Raises InvalidChecksum."""
    name, _, digest = header.partition(b" ")
    algorithm = algorithms.get(name.decode("latin-1"))
    if algorithm is None:
        raise InvalidChecksum("Upload-Checksum names no algorithm that is offered", offered=sorted(algorithms))
    value = _base64(digest, InvalidChecksum, "the digest in Upload-Checksum is not Base64")
    if len(value) != algorithm.length:
        raise InvalidChecksum(f"a {algorithm.name} digest has {algorithm.length} bytes", received=len(value))
    return Checksum(algorithm, value)


@dataclass(frozen=True, slots=True)
class Concat:
    """Upload-Concat: WHOLE when there is none, PARTIAL, or FINAL with the addresses of its parts; `text` as sent."""

    kind: Kind
    urls: tuple[str, ...] = ()
    text: str | None = None


_WHOLE = Concat(Kind.WHOLE)
_PARTIAL = Concat(Kind.PARTIAL, text="partial")


def concat(header: bytes | None) -> Concat:
    """Upload-Concat (tus 1.0.0 "Upload-Concat"): `partial` or `final;URL URL ...`. Raises InvalidConcat."""
    if header is None:
        return _WHOLE
    if header == b"partial":
        return _PARTIAL
    word, _, rest = header.partition(b";")
    # Blanks around the addresses do no harm; rustus sends one after the semicolon.
    urls = tuple(url for url in rest.split(b" ") if url)
    if word != b"final" or not urls:
        raise InvalidConcat("Upload-Concat must be `partial`, or `final;` and the addresses of the parts")
    if not rest.isascii():
        raise InvalidConcat("an address in Upload-Concat is not ASCII")
    return Concat(Kind.FINAL, tuple(url.decode("ascii") for url in urls), header.decode("ascii"))


def file_name(text: str, error: type[Invalid] = Invalid) -> str:
    """`text`, if it may be a file's name: at most 1024 bytes of UTF-8, no control characters. Raises `error`."""
    if _CONTROLS.search(text):
        raise error("a file name must not hold control characters", field="fileName")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as exc:
        raise error("a file name must be Unicode text", field="fileName") from exc
    if size > NAME_CAP:
        raise error(f"a file name has at most {NAME_CAP} bytes", field="fileName")
    return text


def decoded_name(raw: bytes) -> str:
    """A file name from metadata, strict UTF-8. Raises InvalidMetadata."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidMetadata("a file name must be UTF-8", field="filename") from exc
    return file_name(text, InvalidMetadata)


def content_type(text: str) -> str:
    """`text` when it is a media type (RFC 9110 8.3.1) of at most 255 characters, else the empty string."""
    if len(text) <= 255 and _MEDIA_TYPE.fullmatch(text):
        return text
    return ""


def media_type(header: bytes | None) -> bytes:
    """The type/subtype of a Content-Type header, lower case, without parameters; empty when there is none."""
    return b"" if header is None else header.partition(b";")[0].strip().lower()


def is_upload_id(text: str) -> bool:
    """Whether `text` has the form of the ids this server makes: 32 lower-case hex digits."""
    return _UPLOAD_ID.fullmatch(text) is not None


def http_date(at: int) -> bytes:
    """Microseconds since 1970 as an IMF-fixdate (RFC 9110 5.6.7), rounded down: `Wed, 25 Jun 2014 16:00:00 GMT`."""
    return _http_date(at // SECOND)


@lru_cache(maxsize=256)
def _http_date(seconds: int) -> bytes:
    at = _EPOCH + timedelta(seconds=seconds)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at:%H:%M:%S} GMT".encode("ascii")


def instant(text: str, name: str = "expiredAt") -> int:
    """An ISO 8601 time as microseconds since 1970; UTC when it names no zone. Raises Invalid naming the field."""
    if _TIME.fullmatch(text):
        try:
            at = datetime.fromisoformat(text.upper())
        except ValueError:
            pass
        else:
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            return (at - _EPOCH) // timedelta(microseconds=1)
    raise Invalid(f"{name} must be a time such as 2025-11-09T01:56:00Z", field=name)


def reference(text: str, name: str) -> str:
    """The id of a pool or bundle: 1 to 64 ASCII letters, digits and hyphens. Raises Invalid naming the field."""
    if _REFERENCE.fullmatch(text) is None:
        raise Invalid(f"{name} must be 1 to 64 letters, digits or hyphens", field=name)
    return text
