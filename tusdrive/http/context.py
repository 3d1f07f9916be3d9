"""What endpoints work with: the engine, who may ask, and how answers are to look. Made once by `services`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from starlette._utils import get_route_path
from starlette.types import Receive, Scope

from ..domain.account import ADMIN, Principal
from ..domain.errors import Unauthenticated
from ..engine.library import Library
from ..engine.uploads import Uploads
from ..engine.writing import Writing
from ..ports import Now
from ..protocols.dialect import Dialect, Offer
from ..protocols.fields import Headers
from ..transport.body import ReceiveBody
from .tokens import Tokens, bearer

Network = IPv4Network | IPv6Network

SMALL_BODY = 64 * 1024
"""Bytes of an unwanted body that are read past, so that the connection can be used again."""

EVERYBODY = Principal(account="local", roles=frozenset({ADMIN}))
"""Who everybody is when nobody is asked (`auth = none`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How answers are to look, and what is let in."""

    base_path: str = "/files"
    cors_origins: frozenset[str] = frozenset({"*"})
    trusted: tuple[Network, ...] = ()  # proxies whose Forwarded headers are believed
    relative_location: bool = False
    upload_tokens: bool = True
    snake: bool = False
    max_header: int = 32 * 1024  # bytes, all header lines of a request together
    body_idle: float = 30.0  # seconds
    docs: bool = True


@dataclass(slots=True, kw_only=True)
class Context:
    """The server, as its endpoints see it. `tokens` is None when nobody is asked who they are."""

    uploads: Uploads
    writing: Writing
    library: Library
    offer: Offer
    dialects: tuple[Dialect, ...]
    now: Now
    options: Options
    tokens: Tokens | None = None
    facts: Callable[[], Awaitable[Mapping[str, Any]]]
    opener: Callable[[], Awaitable[None]]
    _base: str = field(init=False, default="")
    is_open: bool = False
    is_stopping: bool = False

    def __post_init__(self) -> None:
        self._base = self.options.base_path.rstrip("/")

    def is_resumable(self, path: str) -> bool:
        """Whether a path, without what the application is mounted at, belongs to the resumable upload protocols."""
        return path.startswith(self._base) and (len(path) == len(self._base) or path[len(self._base)] == "/")

    def dialect(self, call: Call) -> Dialect:
        """The first that speaks; the last one answers for what nobody else does."""
        *others, last = self.dialects
        for each in others:
            if each.speaks(call.method, call.headers):
                return each
        return last

    def trusts(self, scope: Scope) -> bool:
        """Whether the peer is a proxy whose Forwarded headers are believed. A Unix socket's peer is one if any is."""
        if not self.options.trusted:
            return False
        client = scope.get("client")
        if client is None:
            return True
        try:
            address = ip_address(client[0])
        except ValueError:
            return not client[0]
        return any(address in network for network in self.options.trusted)

    async def caller(self, call: Call, upload: str | None = None) -> Principal:
        """Who asks. The capability of `upload` counts where there is no valid token. Raises Unauthenticated."""
        if self.tokens is None:
            return EVERYBODY
        try:
            token = bearer(call.authorization)
            if token is not None:
                return await self.tokens.verify(token, self.now())
            raise Unauthenticated()
        except Unauthenticated:
            if upload is not None and (shown := call.capability()) and self.tokens.check_upload(upload, shown):
                return Principal(account="", upload=upload)
            raise

    def capability(self, upload: str) -> str | None:
        """The capability of an upload to hand out with its address; None where none is needed or wanted."""
        if self.tokens is None or not self.options.upload_tokens:
            return None
        return self.tokens.grant_upload(upload)


class Call:
    """One HTTP request's head, read once: headers by lower-case name, repeated ones joined with `, `."""

    __slots__ = ("_body", "headers", "id", "method", "path", "query", "repeated", "scope", "size")

    def __init__(self, scope: Scope, id: str) -> None:
        headers: dict[bytes, bytes] = {}
        repeated = []
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value) + 4
            if name in headers:
                repeated.append(name)
                value = headers[name] + b", " + value
            headers[name] = value
        self.scope = scope
        self.headers: Headers = headers
        self.repeated = repeated
        self.size = size  # bytes of all header lines
        self.path: str = get_route_path(scope) if scope.get("root_path") else scope["path"]
        self.query: bytes = scope["query_string"]
        self.id = id
        self.method: str = scope["method"]
        self._body: ReceiveBody | None = None

    @property
    def authorization(self) -> list[bytes]:
        """The values of all Authorization headers."""
        return [value for name, value in self.scope["headers"] if name == b"authorization"]

    def override(self) -> None:
        """Let X-HTTP-Method-Override replace the method, before anything else looks at it."""
        self.method = self.headers.get(b"x-http-method-override", b"").decode("latin-1").upper() or self.method

    def body(self, receive: Receive, idle: float) -> ReceiveBody:
        """The request's body; `idle` in seconds. Raises Invalid for one that is framed in two ways."""
        self._body = ReceiveBody(receive, self.headers, idle=idle)
        return self._body

    def leaves_body(self) -> bool:
        """Whether more of the body may come than is worth waiting for, or it stopped half way."""
        if self._body is not None and (self._body.is_over or self._body.is_stuck):
            return self._body.is_stuck
        length = self.headers.get(b"content-length", b"0")
        return b"transfer-encoding" in self.headers or not length.isdigit() or int(length[:20]) > SMALL_BODY

    def close(self) -> None:
        """Nothing more is wanted of the body."""
        if self._body is not None:
            self._body.close()

    def capability(self) -> str | None:
        """The upload's capability, from the address (`uploadToken`) or the header `X-Upload-Token`."""
        shown = self.headers.get(b"x-upload-token")
        if shown is None:
            for pair in self.query.split(b"&"):
                name, _, value = pair.partition(b"=")
                if name in (b"uploadToken", b"upload_token"):
                    shown = value
        return None if shown is None else shown.decode("latin-1")


def call_of(scope: Scope) -> Call:
    """The Call that the front put into the scope."""
    call: Call = scope["tusdrive.call"]
    return call
