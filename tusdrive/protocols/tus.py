"""tus 1.0.0 (https://tus.io/protocols/resumable-upload): headers to domain values, and back.

Extensions: creation, creation-with-upload, creation-defer-length, expiration, checksum, termination, concatenation,
and concatenation-unfinished. Errors are text/plain of the form `CODE: message`.
"""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from types import MappingProxyType

from ..domain.errors import (
    BodyTimeout,
    ChecksumMismatch,
    Incomplete,
    Interrupted,
    InvalidConcat,
    InvalidLength,
    ModifyFinal,
    OffsetMismatch,
    QuotaExceeded,
    UnsupportedMedia,
    UnsupportedVersion,
)
from ..domain.requests import Append, NewUpload
from ..domain.upload import GONE, Kind, State, Upload
from . import fields
from .dialect import Offer, PartId, Reply
from .fields import Headers
from .problem import Table, headers_of, known, status_of

VERSION = b"1.0.0"
BODY_TYPE = b"application/offset+octet-stream"

STATUS: Table = MappingProxyType({
    ChecksumMismatch: 460,  # tus 1.0.0 "Checksum"
    QuotaExceeded: 413,  # as for any upload that is larger than may be
    # tus-js-client and Uppy try again after 409, 423 and 5xx, and give up on every other 4xx. Whoever lost its upload
    # to a newer request asks where it stands and goes on; so does whoever's bytes stopped coming half way.
    Interrupted: 423,
    BodyTimeout: 503,
    Incomplete: 503,
})
"""Where tus answers otherwise than the REST API."""

_TELLS_OFFSET = frozenset({409, 423, 460})
"""Refusals after which the client wants to know where the upload stands."""

_RESUMABLE = (b"tus-resumable", VERSION)
_NO_STORE = (b"cache-control", b"no-store")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_RETRY_SOON = (b"retry-after", b"1")
_ABSENT = frozenset({b"null", b"undefined"})
"""What Uppy sends for a metadata field that has no value."""


class Tus:
    """The Dialect of tus 1.0.0. It answers for every request that no other dialect claims, so it is asked last."""

    name = "tus"

    def speaks(self, method: str, headers: Headers) -> bool:
        return True

    def check(self, method: str, headers: Headers) -> None:
        """tus 1.0.0 "Tus-Resumable": wanted on everything but OPTIONS. GET is no part of the protocol."""
        if headers.get(b"tus-resumable") != VERSION and method not in ("OPTIONS", "GET"):
            raise UnsupportedVersion("Tus-Resumable must be 1.0.0")

    def read_create(self, headers: Headers, offer: Offer, part_id: PartId) -> tuple[NewUpload, Append | None]:
        """tus 1.0.0 "Creation", "Creation With Upload", "Concatenation". Raises as Dialect.read_create says."""
        concat = fields.concat(headers.get(b"upload-concat"))
        if concat.kind is not Kind.WHOLE and not offer.concatenation:
            raise InvalidConcat("this server joins no uploads")
        final = concat.kind is Kind.FINAL
        if final:
            _refuse_own_bytes(headers)
        raw = headers.get(b"upload-metadata", b"")
        given = fields.metadata(raw)
        new = NewUpload(
            kind=concat.kind,
            length=None if final else _new_length(headers),
            file_name=_file_name(given),
            content_type=_content_type(given),
            metadata=raw.decode("ascii") if given else None,
            pool=_pool(given),
            parts=_parts(concat.urls, part_id),
            concat=concat.text,
        )
        if final or fields.media_type(headers.get(b"content-type")) != BODY_TYPE:
            return new, None
        return new, _append(0, None, headers, offer)

    def read_append(self, headers: Headers, offer: Offer) -> Append:
        """tus 1.0.0 "PATCH". Raises UnsupportedMedia, InvalidOffset, InvalidLength, TooLarge, InvalidChecksum."""
        kind = headers.get(b"content-type")
        if kind != BODY_TYPE and fields.media_type(kind) != BODY_TYPE:
            raise UnsupportedMedia("Content-Type must be application/offset+octet-stream")
        offset = fields.offset(headers.get(b"upload-offset"))
        declared = headers.get(b"upload-length")
        return _append(offset, None if declared is None else fields.length(declared), headers, offer)

    def created(self, upload: Upload, location: str, with_upload: bool) -> Reply:
        headers = [_RESUMABLE, _NO_STORE, (b"location", location.encode("ascii"))]
        if with_upload:
            headers.append(_offset(upload))
        return Reply(201, _with_expiry(headers, upload))

    def appended(self, upload: Upload) -> Reply:
        return Reply(204, _with_expiry([_RESUMABLE, _NO_STORE, _offset(upload)], upload))

    def described(self, upload: Upload) -> Reply:
        """tus 1.0.0 "HEAD". A final upload that is still being made shows no offset ("Concatenation")."""
        headers = [_RESUMABLE, _NO_STORE]
        if upload.state is not State.ASSEMBLING:
            headers.append(_offset(upload))
        if upload.length is not None:
            headers.append((b"upload-length", b"%d" % upload.length))
        elif upload.kind is not Kind.FINAL:
            headers.append((b"upload-defer-length", b"1"))
        metadata = upload.metadata or _made_up_metadata(upload)
        if metadata:
            headers.append((b"upload-metadata", metadata.encode("ascii")))
        if upload.concat is not None:
            headers.append((b"upload-concat", upload.concat.encode("ascii")))
        return Reply(200, _with_expiry(headers, upload))

    def removed(self) -> Reply:
        return Reply(204, [_RESUMABLE, _NO_STORE])

    def options(self, offer: Offer) -> Reply:
        """tus 1.0.0 "OPTIONS": 200 rather than 204, and no Tus-Resumable."""
        return Reply(200, list(_capabilities(offer)))

    def refused(self, error: Exception, upload: Upload | None) -> Reply:
        """`CODE: message`. A conflict tells the offset to go on from; nothing does that is gone or out of bounds."""
        shown = known(error)
        status = status_of(shown, STATUS)
        headers = [_RESUMABLE, _NO_STORE, _TEXT, *headers_of(shown)]
        if isinstance(shown, UnsupportedVersion):
            headers.append((b"tus-version", VERSION))
        if status in _TELLS_OFFSET and upload is not None and _has_offset(upload):
            headers.append(_offset(upload))
        elif isinstance(shown, OffsetMismatch) and "expected" in shown.details:
            headers.append((b"upload-offset", b"%d" % shown.details["expected"]))
        if status in (423, 503) and not any(name == b"retry-after" for name, _ in headers):
            headers.append(_RETRY_SOON)
        return Reply(status, headers, f"{shown.code}: {shown.message}\n".encode())


def _new_length(headers: Headers) -> int | None:
    """Upload-Length, or None with `Upload-Defer-Length: 1`; exactly one of the two."""
    length = headers.get(b"upload-length")
    deferred = headers.get(b"upload-defer-length")
    if deferred is None:
        if length is None:
            raise InvalidLength("Upload-Length or Upload-Defer-Length: 1 is needed")
        return fields.length(length)
    if length is not None:
        raise InvalidLength("Upload-Length and Upload-Defer-Length exclude each other")
    if deferred != b"1":
        raise InvalidLength("Upload-Defer-Length must be 1")
    return None


def _refuse_own_bytes(headers: Headers) -> None:
    """A final upload has the length of its parts and no bytes of its own. Raises InvalidLength, ModifyFinal."""
    if b"upload-length" in headers or b"upload-defer-length" in headers:
        raise InvalidLength("the length of a final upload is that of its parts")
    if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
        raise ModifyFinal()


def _parts(urls: tuple[str, ...], part_id: PartId) -> tuple[str, ...]:
    found = []
    for url in urls:
        part = part_id(url)
        if part is None:
            raise InvalidConcat("a part is not an upload of this server", part=url)
        found.append(part)
    return tuple(found)


def _append(offset: int, declares: int | None, headers: Headers, offer: Offer) -> Append:
    checksum = headers.get(b"upload-checksum")
    return Append(
        offset=offset,
        declares=declares,
        checksum=None if checksum is None else fields.checksum(checksum, offer.algorithms),
    )


def _file_name(given: dict[str, bytes]) -> str:
    """`filename`, as tus-js-client's examples and Uppy name it, or Uppy's `name`."""
    raw = given.get("filename") or given.get("name") or b""
    return fields.decoded_name(raw) if raw else ""


def _content_type(given: dict[str, bytes]) -> str:
    raw = given.get("filetype") or given.get("type") or b""
    return fields.content_type(raw.decode("latin-1")) if raw else ""


def _pool(given: dict[str, bytes]) -> str | None:
    raw = given.get("pool", b"")
    return None if not raw or raw in _ABSENT else fields.reference(raw.decode("latin-1"), "pool")


def _made_up_metadata(upload: Upload) -> str:
    """Name and type of an upload that was begun by REST, for tus clients that go on with it."""
    if upload.auto_finish:
        return ""
    pairs = (("filename", upload.file_name), ("filetype", upload.content_type))
    return ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in pairs if value)


def _has_offset(upload: Upload) -> bool:
    return upload.state not in GONE and upload.state is not State.ASSEMBLING


def _offset(upload: Upload) -> tuple[bytes, bytes]:
    return b"upload-offset", b"%d" % upload.received.prefix


def _with_expiry(headers: list[tuple[bytes, bytes]], upload: Upload) -> list[tuple[bytes, bytes]]:
    """tus 1.0.0 "Upload-Expires", as long as the upload will expire, or the file that it became."""
    at = upload.expires_at
    if at is None and upload.state is State.COMPLETED:
        at = upload.file_expires_at
    if at is not None:
        headers.append((b"upload-expires", fields.http_date(at)))
    return headers


@lru_cache(maxsize=8)
def _capabilities(offer: Offer) -> tuple[tuple[bytes, bytes], ...]:
    headers = [(b"tus-version", VERSION), (b"tus-extension", ",".join(_extensions(offer)).encode("ascii"))]
    if offer.limits.max_size is not None:
        headers.append((b"tus-max-size", b"%d" % offer.limits.max_size))
    if offer.algorithms:
        headers.append((b"tus-checksum-algorithm", ",".join(offer.algorithms).encode("ascii")))
    return tuple(headers)


def _extensions(offer: Offer) -> list[str]:
    names = {
        "creation": True,
        "creation-with-upload": True,
        "creation-defer-length": True,
        "expiration": offer.limits.expire_after is not None,
        "checksum": bool(offer.algorithms),
        "termination": offer.termination,
        "concatenation": offer.concatenation,
        "concatenation-unfinished": offer.concatenation,
    }
    return [name for name, offered in names.items() if offered]
