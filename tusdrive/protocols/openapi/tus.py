"""The tus endpoints for the OpenAPI document. Refusals are text/plain; a few come from in front of them, as JSON."""

from __future__ import annotations

from typing import Any

from .parts import BYTES, JSON, Operation, answer, body, download, header, operation, path, public

_ERRORS = ("text/plain", JSON)
_BODY = "application/offset+octet-stream"
_SIZE = "^[0-9]{1,16}$"

_VERSION = header("Tus-Resumable", True, enum=["1.0.0"])
_CHECKSUM = header("Upload-Checksum", description="`<algorithm> <Base64 digest>` of this request's bytes")
_TOLD = ("Tus-Resumable", "Upload-Offset", "Upload-Expires")
_DESCRIBED = (*_TOLD, "Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat")
_CAPABILITIES = ("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm")
_TAKING = (401, 404, 408, 409, 410, 412, 413, 415, 422, 423, 460, 507)
"""What may go wrong while bytes are taken."""


def tus_paths(base: str) -> dict[str, Any]:
    """The collection at `base` and the uploads below it."""
    below: dict[str, Any] = {
        "parameters": [path("id")],
        "head": _head(),
        "get": download("tusDownload", "The bytes of a finished upload", _ERRORS),
        "patch": _patch(),
        "delete": _delete(),
        "options": _options("tusUploadOptions"),
    }
    return {base or "/": {"post": _create(), "options": _options("tusOptions")}, base + "/{id}": below}


def _options(id: str) -> Operation:
    answers = {200: answer("Versions, extensions and limits", None, _CAPABILITIES)}
    return public(operation(id, "What the server can do", answers, (404,), error_types=_ERRORS))


def _create() -> Operation:
    parameters = [
        _VERSION,
        header("Upload-Length", pattern=_SIZE, description="bytes; or Upload-Defer-Length"),
        header("Upload-Defer-Length", enum=["1"]),
        header("Upload-Metadata", description="comma-separated `key Base64`"),
        header("Upload-Concat", description="`partial`, or `final;` and the addresses of the parts"),
        _CHECKSUM,
    ]
    return operation(
        "tusCreate",
        "Make an upload, with its first bytes or without",
        {201: answer("Made; Location is its address", None, ("Location", *_TOLD))},
        _TAKING,
        parameters=parameters,
        body=body({_BODY: BYTES}, required=False),
        error_types=_ERRORS,
    )


def _head() -> Operation:
    answers = {200: answer("How the upload stands", None, _DESCRIBED)}
    errors = (401, 404, 410, 412, 422, 423)
    return operation("tusHead", "How an upload stands", answers, errors, parameters=[_VERSION], error_types=())


def _patch() -> Operation:
    parameters = [
        _VERSION,
        header("Upload-Offset", True, pattern=_SIZE),
        header("Upload-Length", pattern=_SIZE, description="declares a deferred length"),
        _CHECKSUM,
    ]
    return operation(
        "tusAppend",
        "Send bytes for the end of an upload",
        {204: answer("Taken", None, _TOLD)},
        _TAKING,
        parameters=parameters,
        body=body({_BODY: BYTES}),
        error_types=_ERRORS,
    )


def _delete() -> Operation:
    answers = {204: answer("Removed")}
    errors = (401, 404, 409, 410, 412, 423)
    return operation("tusTerminate", "Remove an upload", answers, errors, parameters=[_VERSION], error_types=_ERRORS)
