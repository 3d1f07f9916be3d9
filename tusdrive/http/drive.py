"""The REST API's upload endpoints (REST API "API Reference"): parse, call the engine, render."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from ..domain.account import Principal
from ..domain.errors import TusdriveError
from ..domain.upload import Upload
from ..ports import Body
from ..protocols import drive, drive_views
from ..transport.body import ReceiveBody
from ..transport.multipart import MultipartBody
from .context import Call, Context, call_of
from .links import Links
from .replies import Careful, error_response, json_response

JSON_CAP = 64 * 1024
"""Bytes of a JSON request body."""

Handler = Callable[[Request, Call], Awaitable[Response]]


class Rest:
    """One REST endpoint as an ASGI application: runs the handler, and turns refusals into the error object."""

    def __init__(self, context: Context, handler: Handler) -> None:
        self._context, self._handler = context, handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = call_of(scope)
        try:
            response = await self._handler(Request(scope, receive), call)
        except TusdriveError as exc:
            response = error_response(exc, call, self._context.options.snake)
        finally:
            call.close()
        await Careful(response)(scope, receive, send)


class DriveUploads:
    """Create, chunk, complete, and all that tells how tasks stand."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self, prefix: str) -> list[BaseRoute]:
        """The routes below `prefix` ("/api", or "/drive" as behind the gateway)."""
        base = prefix + "/files/upload"
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/create", self._create),
            ("POST PUT", "/chunk/{task_id}/{index}", self._chunk),
            ("POST", "/complete/{task_id}", self._complete),
            ("GET", "/tasks", self._tasks),
            ("GET", "/tasks/recent", self._recent),
            ("DELETE", "/tasks/cleanup", self._clean_up),
            ("GET", "/tasks/{task_id}/details", self._details),
            ("GET", "/progress/{task_id}", self._progress),
            ("GET", "/resume/{task_id}", self._resume),
            ("DELETE", "/task/{task_id}", self._cancel),
            ("GET", "/stats", self._stats),
        ]
        return [Route(base + path, Rest(self._context, each), methods=verbs.split()) for verbs, path, each in table]

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        return json_response(self._context.options.snake, value, status, headers)

    def _body(self, request: Request, call: Call) -> ReceiveBody:
        return call.body(request.receive, self._context.options.body_idle)

    async def _account(self, call: Call) -> Principal:
        """Somebody with a login; the capability of one upload is not enough. Raises Unauthenticated."""
        return await self._context.caller(call)

    async def _task(self, request: Request, call: Call) -> tuple[Principal, Upload]:
        id = request.path_params["task_id"]
        who = await self._context.caller(call, id)
        return who, await self._context.uploads.get(who, id)

    # ------------------------------------------------------------------------------------------ verbs

    async def _create(self, request: Request, call: Call) -> Response:
        who = await self._account(call)
        new = drive.read_create(await self._body(request, call).text(JSON_CAP), self._context.now())
        created = await self._context.uploads.create(who, new)
        upload = created.upload
        if upload is None:
            return self._json(drive_views.created_view(None, created.existing))
        location = Links(self._context, call).location(upload.id)
        token = self._context.capability(upload.id)
        return self._json(drive_views.created_view(upload, None, token, location))

    async def _chunk(self, request: Request, call: Call) -> Response:
        who, upload = await self._task(request, call)
        index = drive.read_chunk_index(request.path_params["index"])
        body: Body = self._body(request, call)
        content_type = call.headers.get(b"content-type", b"")
        if content_type[:19].lower() == b"multipart/form-data":
            form = MultipartBody(body, content_type)
            await form.open()
            body = form
        after = await self._context.writing.put_chunk(who, upload.id, index, body)
        return self._json(drive_views.chunk_view(after, index))

    async def _complete(self, request: Request, call: Call) -> Response:
        who, upload = await self._task(request, call)
        corrected = drive.read_complete(await self._body(request, call).text(JSON_CAP))
        done = await self._context.uploads.complete(who, upload.id, corrected)
        return self._json(drive_views.file_view(await self._context.uploads.file_of(done)))

    async def _cancel(self, request: Request, call: Call) -> Response:
        who, upload = await self._task(request, call)
        await self._context.uploads.cancel(who, upload.id, finished_too=False)
        return self._json(drive_views.cancelled_view())

    async def _progress(self, request: Request, call: Call) -> Response:
        _, upload = await self._task(request, call)
        return self._json(drive_views.progress_view(upload))

    async def _resume(self, request: Request, call: Call) -> Response:
        _, upload = await self._task(request, call)
        return self._json(drive_views.resume_view(upload))

    async def _details(self, request: Request, call: Call) -> Response:
        _, upload = await self._task(request, call)
        return self._json(drive_views.details_view(upload, self._context.now()))

    async def _tasks(self, request: Request, call: Call) -> Response:
        who = await self._account(call)
        states, page = drive.read_task_query(request.query_params)
        uploads, total = await self._context.uploads.list(who, states, page)
        return self._json([drive_views.task_view(each) for each in uploads], headers={"x-total": str(total)})

    async def _recent(self, request: Request, call: Call) -> Response:
        who = await self._account(call)
        uploads, _ = await self._context.uploads.list(who, None, drive.read_recent_query(request.query_params))
        return self._json([drive_views.recent_view(each) for each in uploads])

    async def _stats(self, request: Request, call: Call) -> Response:
        who = await self._account(call)
        recent, _ = await self._context.uploads.list(who, None, drive.read_recent_query({"limit": "5"}))
        return self._json(drive_views.stats_view(await self._context.uploads.stats(who), recent))

    async def _clean_up(self, request: Request, call: Call) -> Response:
        who = await self._account(call)
        return self._json(drive_views.cleanup_view(await self._context.uploads.clean_up(who)))
