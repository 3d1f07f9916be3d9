"""The outermost layer: request ids, header caps, CORS on every answer, and errors that nobody else caught.

Pure ASGI, one object per application; bodies pass through untouched.
"""

from __future__ import annotations

import itertools
import logging
import re
import secrets
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..domain.errors import HeaderTooLarge, Invalid, OriginNotAllowed, ShuttingDown, TusdriveError
from ..transport.body import content_length
from .context import Call, Context
from .replies import Careful, error_response, send_reply

logger = logging.getLogger(__name__)
access = logging.getLogger("tusdrive.access")

_RUN = secrets.token_hex(4)
_NUMBERS = itertools.count()
"""A fresh request id is this run's number and the request's. It names log lines; nobody is let in by it."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")

ALLOW_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
ALLOW_HEADERS = (
    b"Authorization, Origin, X-Requested-With, X-Request-ID, X-HTTP-Method-Override, X-Upload-Token, Content-Type, "
    b"Content-Disposition, Content-Digest, Repr-Digest, Range, If-Range, If-Match, If-None-Match, If-Modified-Since, "
    b"Last-Event-ID, Upload-Length, Upload-Offset, Tus-Resumable, Tus-Version, Upload-Metadata, Upload-Defer-Length, "
    b"Upload-Concat, Upload-Checksum, Upload-Incomplete, Upload-Complete, Upload-Draft-Interop-Version, "
    b"Idempotency-Key, Prefer"
)
EXPOSE_HEADERS = (
    b"Location, Upload-Offset, Upload-Length, Upload-Defer-Length, Upload-Metadata, Upload-Expires, Upload-Concat, "
    b"Upload-Checksum, Tus-Version, Tus-Resumable, Tus-Max-Size, Tus-Extension, Tus-Checksum-Algorithm, "
    b"Upload-Incomplete, Upload-Complete, Upload-Limit, Upload-Draft-Interop-Version, ETag, Accept-Ranges, "
    b"Content-Range, Content-Disposition, Content-Length, Content-Type, Link, X-Total, Retry-After, X-Request-ID"
)
MAX_AGE = b"7200"

_SIMPLE = frozenset({"GET", "HEAD", "OPTIONS"})


class Front:
    """Stands before the routed application, and before the hot path, which needs no router."""

    def __init__(self, app: ASGIApp, hot: ASGIApp, context: Context) -> None:
        """`hot` serves the resumable upload protocols, `app` everything else."""
        self._app, self._hot, self._context = app, hot, context
        options = context.options
        self._any = "*" in options.cors_origins
        self._origins = frozenset(origin.encode() for origin in options.cors_origins)
        self._max_header = options.max_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if not self._context.is_open:
            await self._context.opener()
        call = Call(scope, _request_id(scope))
        scope["tusdrive.call"] = call
        app = self._app
        if self._context.is_resumable(call.path):
            call.override()
            app = self._hot
        outgoing = _Outgoing(send, [(b"x-request-id", call.id.encode()), *self._cors(call)])
        refused = self._refusal(call)
        if refused is not None:
            return await self._refuse(refused, scope, receive, outgoing)
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in call.headers:
            return await self._preflight(call, outgoing)
        try:
            await app(scope, receive, outgoing)
        except Exception as exc:
            if outgoing.started:
                raise
            await self._refuse(exc, scope, receive, outgoing)
        if access.isEnabledFor(logging.DEBUG):
            path = scope["path"]
            access.debug("%s %s %s", scope["method"], path, outgoing.status, extra={"action": "request", "id": call.id})

    def _refusal(self, call: Call) -> TusdriveError | None:
        if self._context.is_stopping:
            return ShuttingDown()
        try:
            content_length(call.headers)
        except Invalid as exc:
            return exc
        if call.scope["http_version"] == "1.1" and (b"host" not in call.headers or b"host" in call.repeated):
            return Invalid("exactly one Host header is needed")  # RFC 9112 section 3.2
        if call.size > self._max_header:
            return HeaderTooLarge(limit=self._max_header)
        origin = call.headers.get(b"origin")
        if origin is None or self._admits(origin, call) or call.method in _SIMPLE:
            return None
        return OriginNotAllowed()

    def _admits(self, origin: bytes, call: Call) -> bool:
        if self._any or origin in self._origins:
            return True
        own: bytes = call.scope.get("scheme", "http").encode() + b"://" + call.headers.get(b"host", b"")
        return origin == own

    def _cors(self, call: Call) -> list[tuple[bytes, bytes]]:
        origin = call.headers.get(b"origin")
        if origin is None:
            return []
        if self._any:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSE_HEADERS)]
        headers = [(b"vary", b"Origin")]
        if self._admits(origin, call):
            headers.append((b"access-control-allow-origin", origin))
            headers.append((b"access-control-expose-headers", EXPOSE_HEADERS))
        return headers

    async def _preflight(self, call: Call, send: Send) -> None:
        headers = [
            (b"access-control-allow-methods", ALLOW_METHODS),
            (b"access-control-allow-headers", ALLOW_HEADERS),
            (b"access-control-max-age", MAX_AGE),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _refuse(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope["tusdrive.call"]
        if not isinstance(error, TusdriveError):
            logger.error("unexpected error", exc_info=error, extra={"action": "error", "id": call.id})
        if self._context.is_resumable(call.path):
            reply = self._context.dialect(call).refused(error, None)
            return await send_reply(reply, scope, receive, send)
        response = error_response(error, call, self._context.options.snake)
        return await Careful(response)(scope, receive, send)


class _Outgoing:
    """Adds headers to whatever is answered."""

    __slots__ = ("_extra", "_send", "started", "status")

    def __init__(self, send: Send, extra: list[tuple[bytes, bytes]]) -> None:
        self._send, self._extra = send, extra
        self.started = False
        self.status: Any = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self._extra]
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The client's X-Request-ID if it is a sane one, else a fresh one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return f"{_RUN}{next(_NUMBERS):08x}"
