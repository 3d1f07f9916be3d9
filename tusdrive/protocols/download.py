"""Serving a file: ranges, conditions, names and types (RFC 9110 sections 13 and 14, RFC 6266).

Uploaded bytes are not to be trusted by whoever looks at them: only a short list of types is shown in the browser,
everything else is offered for saving, and nothing may be sniffed, run scripts or load anything.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from ..domain.errors import PreconditionFailed, RangeNotSatisfiable
from ..domain.file import File
from ..domain.ranges import Span
from ..domain.upload import SECOND
from .fields import Headers, http_date, media_type

MAX_RANGES = 8
"""Who asks for more pieces than this at once gets the whole file: each costs a seek and a part header."""

INLINE = frozenset({
    "text/plain",
    "image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp",
    "audio/wave", "audio/wav", "audio/x-wav", "audio/x-pn-wav", "audio/webm", "audio/ogg",
    "video/mp4", "video/webm", "video/ogg", "application/ogg",
})  # fmt: skip
"""Types that a browser may show: tusd's list. No HTML, SVG or PDF, which can hold scripts."""

SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-site"),
)
"""On every answer that serves a file."""

_RANGE = re.compile(rb"([0-9]{0,18})-([0-9]{0,18})")
_ENTITY_TAG = re.compile(rb'(W/)?("[!#-~\x80-\xff]*")')
_UNSAFE_IN_NAME = re.compile(r'[^ !#-$&-\[\]-~]')
_OCTETS = b"application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes `[start, end)` of the file, after `head` (the framing of a part, empty unless there are several)."""

    start: int
    end: int
    head: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send: each part's head and bytes in order, then `tail`. `length` is the Content-Length (in `headers`).

    A HEAD sends `status` and `headers` only. A 304 has no parts and no Content-Length.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    parts: tuple[Part, ...] = ()
    tail: bytes = b""
    length: int = 0


def plan(file: File, method: str, headers: Headers, *, boundary: bytes, attachment: bool = False) -> Plan:
    """How to answer GET or HEAD for `file`. `boundary` separates the parts if there are several.

    Conditions come first, in the order of RFC 9110 13.2.2; ranges count on GET only (14.2).
    Raises PreconditionFailed, RangeNotSatisfiable (with `size`).
    """
    tag = entity_tag(file)
    common = [(b"etag", tag), (b"last-modified", http_date(file.created_at)), (b"cache-control", b"private, no-cache")]
    if is_unmodified(headers, tag, file.created_at):
        return Plan(status=304, headers=[*common, *SECURITY])
    kind = served_type(file.content_type)
    spans = None
    if method == "GET" and _wants_ranges(headers, tag, file.created_at):
        spans = ranges(headers.get(b"range", b""), file.size)
    common += [(b"accept-ranges", b"bytes"), disposition(file, kind, attachment), *_digest(file), *SECURITY]
    if spans is None:
        return _framed(200, [*common, (b"content-type", kind)], (Part(start=0, end=file.size),))
    if len(spans) == 1:
        span = (b"content-range", _content_range(spans[0], file.size))
        return _framed(206, [*common, (b"content-type", kind), span], (Part(start=spans[0][0], end=spans[0][1]),))
    several = (b"content-type", b"multipart/byteranges; boundary=" + boundary)
    parts = tuple(_part(at, span, kind, file.size, boundary) for at, span in enumerate(spans))
    return _framed(206, [*common, several], parts, b"\r\n--%s--\r\n" % boundary)


def entity_tag(file: File) -> bytes:
    """A strong ETag. A file's bytes never change, so its id will do, and stays when the hash becomes known."""
    return b'"%s"' % file.id.encode("ascii")


def is_unmodified(headers: Headers, tag: bytes, modified: int) -> bool:
    """Whether the answer is 304 (RFC 9110 13.2.2). `modified` in microseconds. Raises PreconditionFailed."""
    if (match := headers.get(b"if-match")) is not None:
        if match.strip() != b"*" and (b"", tag) not in _entity_tags(match):
            raise PreconditionFailed()
    elif (since := _seconds(headers.get(b"if-unmodified-since"))) is not None and modified // SECOND > since:
        raise PreconditionFailed()
    if (none := headers.get(b"if-none-match")) is not None:
        return none.strip() == b"*" or any(known == tag for _, known in _entity_tags(none))
    since = _seconds(headers.get(b"if-modified-since"))
    return since is not None and modified // SECOND <= since


def ranges(header: bytes, size: int) -> tuple[Span, ...] | None:
    """The spans that a Range header asks for, ascending, merged where they touch; None: send the whole file.

    A header that is not understood, or asks for too many, is ignored (RFC 9110 14.2). Raises RangeNotSatisfiable
    when nothing of what is asked for exists.
    """
    unit, _, rest = header.partition(b"=")
    asked = [piece.strip(b" \t") for piece in rest.split(b",")]
    asked = [piece for piece in asked if piece]
    if unit.strip().lower() != b"bytes" or not asked or len(asked) > MAX_RANGES:
        return None
    found: list[Span] = []
    for piece in asked:
        match = _RANGE.fullmatch(piece)
        if match is None or piece == b"-":
            return None
        first, last = match.groups()
        if first and last and int(first) > int(last):
            return None
        found.append(_span(first, last, size))
    spans = _merged(span for span in found if span[0] < span[1])
    if spans:
        return spans
    if size == 0 and any(piece.startswith(b"-") and piece.strip(b"-0") for piece in asked):
        return None  # the last n bytes of nothing are nothing, which no Content-Range can say
    raise RangeNotSatisfiable(size=size)


def served_type(declared: str) -> bytes:
    """The Content-Type to serve: the media type in lower case, and a charset if there is a plain one."""
    kind = media_type(declared.encode("latin-1", "replace"))
    if not re.fullmatch(rb"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", kind):
        return _OCTETS
    charset = re.search(r';\s*charset="?([A-Za-z0-9_-]{1,40})"?\s*(?:;|$)', declared, re.IGNORECASE)
    return kind + b"; charset=" + charset.group(1).lower().encode("ascii") if charset else kind


def disposition(file: File, kind: bytes, attachment: bool) -> tuple[bytes, bytes]:
    """Content-Disposition with a name in plain ASCII and, where that is not all of it, in UTF-8 (RFC 6266 4.3).

    Only the last component of the name is told, so that no client is led to write elsewhere.
    """
    show = not attachment and kind.partition(b";")[0].decode("ascii") in INLINE
    name = re.split(r"[/\\]", file.name)[-1].strip()
    if name in ("", ".", ".."):
        name = file.id
    plain = _UNSAFE_IN_NAME.sub("_", name)
    value = f'{"inline" if show else "attachment"}; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    return b"content-disposition", value.encode("ascii")


def _framed(status: int, headers: list[tuple[bytes, bytes]], parts: tuple[Part, ...], tail: bytes = b"") -> Plan:
    length = sum(len(part.head) + part.end - part.start for part in parts) + len(tail)
    headers.append((b"content-length", b"%d" % length))
    return Plan(status=status, headers=headers, parts=parts, tail=tail, length=length)


def _part(at: int, span: Span, kind: bytes, size: int, boundary: bytes) -> Part:
    head = b"--%s\r\ncontent-type: %s\r\ncontent-range: %s\r\n\r\n" % (boundary, kind, _content_range(span, size))
    return Part(start=span[0], end=span[1], head=b"\r\n" + head if at else head)


def _content_range(span: Span, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (span[0], span[1] - 1, size)


def _span(first: bytes, last: bytes, size: int) -> Span:
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size


def _merged(spans: Iterator[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return tuple(merged)


def _wants_ranges(headers: Headers, tag: bytes, modified: int) -> bool:
    """RFC 9110 13.1.5: If-Range holds a strong tag or the very Last-Modified, or the range does not count."""
    if b"range" not in headers:
        return False
    validator = headers.get(b"if-range")
    if validator is None:
        return True
    return validator.strip() == tag or _seconds(validator) == modified // SECOND


def _entity_tags(header: bytes) -> list[tuple[bytes, bytes]]:
    """The tags of a list, as (`W/` or empty, tag in quotes)."""
    return _ENTITY_TAG.findall(header)


def _seconds(header: bytes | None) -> int | None:
    """An HTTP date in any of the forms that recipients must take, as seconds since 1970; None when it is none."""
    if header is None:
        return None
    try:
        at = parsedate_to_datetime(header.decode("ascii"))
        return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _digest(file: File) -> list[tuple[bytes, bytes]]:
    """Repr-Digest (RFC 9530), once the server has hashed the bytes."""
    if file.sha256 is None:
        return []
    return [(b"repr-digest", b"sha-256=:%s:" % b64encode(bytes.fromhex(file.sha256)))]
