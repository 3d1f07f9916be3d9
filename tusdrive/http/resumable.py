"""The resumable upload endpoints, for every Dialect: pick the dialect, read, act, render.

A plain ASGI callable, since this is the hot path. Everything that differs between protocols is in the dialects.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable

from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from ..domain.account import Principal
from ..domain.errors import (
    BodyTimeout,
    Incomplete,
    Interrupted,
    MethodNotAllowed,
    NotFound,
    StorageFull,
    TusdriveError,
    Unauthenticated,
)
from ..domain.requests import Append
from ..domain.upload import DAY, GONE, State, Upload, refuse_gone
from ..protocols.dialect import Dialect, Reply
from ..transport.body import ReceiveBody
from .context import Call, Context, call_of
from .download import Downloads
from .links import Links
from .replies import send_reply

logger = logging.getLogger(__name__)

ID = re.compile(r"[0-9a-f]{32}")

COLLECTION = ("POST", "OPTIONS")
MEMBER = ("GET", "HEAD", "PATCH", "DELETE", "OPTIONS")

_KEEPS = (Incomplete, BodyTimeout, Interrupted, StorageFull)
"""Ends of a body after which an upload that was made with it stays, so that its client can go on."""

Handler = Callable[["_Ask"], Awaitable[Reply | None]]


class _Ask:
    """One request, and what is known of it so far."""

    __slots__ = ("call", "dialect", "id", "method", "receive", "scope", "send", "upload", "who")

    def __init__(self, scope: Scope, receive: Receive, send: Send, dialect: Dialect, method: str) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.dialect, self.method = dialect, method
        self.call: Call = call_of(scope)
        self.id = ""
        self.who: Principal | None = None
        self.upload: Upload | None = None


class Resumable:
    """Serves the collection at the base path and the uploads below it."""

    def __init__(self, context: Context, downloads: Downloads) -> None:
        self._context, self._downloads = context, downloads
        self._handlers: dict[str, Handler] = {
            "POST": self._create,
            "HEAD": self._look,
            "GET": self._download,
            "PATCH": self._append,
            "DELETE": self._remove,
            "OPTIONS": self._options,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = call_of(scope)
        ask = _Ask(scope, receive, send, self._context.dialect(call), call.method)
        try:
            reply = await self._answer(ask)
        except TusdriveError as exc:
            reply = await self._refused(ask, exc)
        except Exception as exc:
            logger.error("unexpected error", exc_info=exc, extra={"action": "error", "id": ask.call.id})
            reply = ask.dialect.refused(exc, None)
        finally:
            ask.call.close()
        if reply is not None:
            await send_reply(reply, scope, receive, send)

    async def _answer(self, ask: _Ask) -> Reply | None:
        rest = ask.call.path[len(self._context.options.base_path) :].strip("/")
        if rest and not ID.fullmatch(rest):
            raise NotFound()
        allowed = MEMBER if rest else COLLECTION
        if ask.method not in allowed:
            raise MethodNotAllowed(allow=allowed)
        ask.dialect.check(ask.method, ask.call.headers)
        ask.id = rest
        if rest and ask.method != "OPTIONS":
            ask.who = await self._context.caller(ask.call, rest)
            upload = await self._context.uploads.get(ask.who, rest)
            self._refuse_ended(upload)
            ask.upload = upload
        return await self._handlers[ask.method](ask)

    def _refuse_ended(self, upload: Upload) -> None:
        """What ended is Gone for a day, and then was never there."""
        if upload.state in GONE and (upload.ended_at or 0) + DAY < self._context.now():
            raise NotFound("there is no such upload")
        refuse_gone(upload)

    async def _refused(self, ask: _Ask, error: TusdriveError) -> Reply:
        upload = ask.upload
        if ask.who is not None and upload is not None:
            try:
                upload = await self._context.uploads.get(ask.who, ask.id)
            except TusdriveError:
                upload = None
        return ask.dialect.refused(error, upload)

    # ------------------------------------------------------------------------------------------ verbs

    async def _options(self, ask: _Ask) -> Reply:
        return ask.dialect.options(self._context.offer)

    async def _create(self, ask: _Ask) -> Reply:
        context, call = self._context, ask.call
        who = await context.caller(call)
        links = Links(context, call)
        new, append = ask.dialect.read_create(call.headers, context.offer, links.part_id)
        body = self._body(ask)
        with_body = append is not None and body.length != 0
        created = await context.uploads.create(who, new, body.length if with_body else 0)
        upload = created.upload
        assert upload is not None, "only REST asks for files that exist already"
        if append is not None and with_body:
            upload = await self._first_bytes(who, upload, append, body)
        return ask.dialect.created(upload, links.location(upload.id), with_body)

    async def _first_bytes(self, who: Principal, upload: Upload, append: Append, body: ReceiveBody) -> Upload:
        """Take the bytes that came with a creation. The client must learn the address of what it has to go on with."""
        try:
            return await self._context.writing.append(who, upload.id, append, body)
        except _KEEPS:
            return await self._context.uploads.get(who, upload.id)
        except TusdriveError:
            await self._context.uploads.cancel(who, upload.id, finished_too=True)
            raise

    async def _look(self, ask: _Ask) -> Reply:
        assert ask.who is not None
        upload = await self._context.uploads.settle(ask.who, ask.id)
        if upload.state is State.COMPLETED and upload.file_id is not None:
            await self._context.uploads.file_of(upload)
        refuse_gone(upload)
        return ask.dialect.described(upload)

    async def _append(self, ask: _Ask) -> Reply:
        assert ask.who is not None
        append = ask.dialect.read_append(ask.call.headers, self._context.offer)
        upload = await self._context.writing.append(ask.who, ask.id, append, self._body(ask))
        return ask.dialect.appended(upload)

    async def _remove(self, ask: _Ask) -> Reply:
        assert ask.who is not None
        await self._context.uploads.cancel(ask.who, ask.id, finished_too=True)
        return ask.dialect.removed()

    async def _download(self, ask: _Ask) -> None:
        assert ask.who is not None
        assert ask.upload is not None
        if ask.who.upload is not None:
            raise Unauthenticated("an upload token is for uploading; downloads need a login")
        file = await self._context.uploads.file_of(ask.upload)
        opened = await self._context.library.open(ask.who, file.id)
        await self._downloads.send(opened, ask.scope, ask.send)

    # ------------------------------------------------------------------------------------------ pieces

    def _body(self, ask: _Ask) -> ReceiveBody:
        return ask.call.body(ask.receive, self._context.options.body_idle)


class ResumableRoute(BaseRoute):
    """Everything at and below the base path, whatever the verb."""

    def __init__(self, context: Context, app: Resumable) -> None:
        self.path = context.options.base_path
        self._context = context
        self.app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        return (Match.FULL if self._context.is_resumable(get_route_path(scope)) else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: object) -> object:  # type: ignore[override]
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)
