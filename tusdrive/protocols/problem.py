"""Errors on the wire: THE one table from domain errors to status codes, and the error object of the REST API.

REST API "Error Response Format": `{code, message, status, details}`, and `traceId` to find the log lines by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ..domain.errors import (
    BodyTimeout,
    Busy,
    ChecksumMismatch,
    Conflict,
    Forbidden,
    Gone,
    HashMismatch,
    HeaderTooLarge,
    Incomplete,
    Interrupted,
    Invalid,
    Locked,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    RangeNotSatisfiable,
    ShuttingDown,
    StorageFailed,
    StorageFull,
    TooLarge,
    TusdriveError,
    Unauthenticated,
    UnsupportedMedia,
    UnsupportedVersion,
)

Table = Mapping[type[TusdriveError], int]

STATUS: Table = MappingProxyType({
    TusdriveError: 500,
    Invalid: 400,
    Incomplete: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    QuotaExceeded: 403,  # REST API "Common Error Codes": 403 is permission or quota; `code` tells which
    NotFound: 404,
    MethodNotAllowed: 405,
    BodyTimeout: 408,
    Conflict: 409,
    Interrupted: 409,
    Gone: 410,
    PreconditionFailed: 412,
    UnsupportedVersion: 412,
    TooLarge: 413,
    UnsupportedMedia: 415,
    RangeNotSatisfiable: 416,
    ChecksumMismatch: 422,
    HashMismatch: 422,
    Locked: 423,
    HeaderTooLarge: 431,
    StorageFailed: 500,
    Busy: 503,
    ShuttingDown: 503,
    StorageFull: 507,
})

RETRY_AFTER: Mapping[type[TusdriveError], int] = MappingProxyType({Locked: 1, Busy: 1, ShuttingDown: 5})
"""Seconds to wait. A locked upload comes free as soon as its holder noticed; a restart takes a moment longer."""

_NONE: Table = MappingProxyType({})
_UNKNOWN = "Something went wrong on the server"


def known(error: BaseException) -> TusdriveError:
    """`error` if it is one of ours and may be shown, else a stand-in that says nothing about the cause."""
    if isinstance(error, StorageFailed):
        return StorageFailed()  # its message and details are about our disk: for the log, not for a client
    return error if isinstance(error, TusdriveError) else TusdriveError(_UNKNOWN)


def status_of(error: BaseException, overrides: Table = _NONE) -> int:
    """The status code of the nearest class that has one; `overrides` win over the table, class by class."""
    for kind in type(error).__mro__:
        status = overrides.get(kind) or STATUS.get(kind)
        if status is not None:
            return status
    return 500


def problem(error: BaseException, trace_id: str | None) -> dict[str, Any]:
    """The error object of the REST API. Nothing of an unknown exception is told."""
    shown = known(error)
    return {
        "code": shown.code,
        "message": shown.message,
        "status": status_of(shown),
        "details": shown.details,
        "traceId": trace_id,
    }


def headers_of(error: BaseException) -> list[tuple[bytes, bytes]]:
    """Headers that go with an error in every protocol: Retry-After, WWW-Authenticate, Allow, Content-Range.

    Allow comes from the detail `allow` (method names), Content-Range from the detail `size` (bytes of the file).
    """
    if isinstance(error, Unauthenticated):
        return [(b"www-authenticate", b"Bearer")]
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", _listed(error.details.get("allow", ())))]
    if isinstance(error, RangeNotSatisfiable) and "size" in error.details:
        return [(b"content-range", b"bytes */%d" % error.details["size"])]
    for kind, seconds in RETRY_AFTER.items():
        if isinstance(error, kind):
            return [(b"retry-after", b"%d" % seconds)]
    return []


def _listed(names: Iterable[str]) -> bytes:
    return ", ".join(names).encode("ascii")
