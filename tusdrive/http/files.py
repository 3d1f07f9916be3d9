"""The REST API's file endpoints: download, facts, rename, delete, list."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from ..domain.errors import TusdriveError
from ..protocols import drive, drive_views
from .context import Call, Context, call_of
from .download import Downloads
from .drive import JSON_CAP, Handler, Rest
from .replies import error_response, json_response


class DriveFiles:
    """What uploads became."""

    def __init__(self, context: Context, downloads: Downloads) -> None:
        self._context, self._downloads = context, downloads

    def routes(self, prefix: str) -> list[BaseRoute]:
        """The routes below `prefix`. `me` comes before `{file_id}`, which would take it."""
        base = prefix + "/files"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/me", self._list),
            ("GET", "/{file_id}/info", self._info),
            ("PATCH", "/{file_id}/name", self._rename),
            ("DELETE", "/{file_id}", self._delete),
        ]
        download = Route(base + "/{file_id}", _Download(self._context, self._downloads), methods=["GET"])
        routes = [Route(base + path, Rest(self._context, each), methods=verbs.split()) for verbs, path, each in table]
        return [routes[0], routes[1], routes[2], _Verbs(base + "/{file_id}", download, routes[3])]

    def _json(self, value: Any, headers: dict[str, str] | None = None) -> Response:
        return json_response(self._context.options.snake, value, headers=headers)

    async def _list(self, request: Request, call: Call) -> Response:
        who = await self._context.caller(call)
        files, total = await self._context.library.list(who, drive.read_file_query(request.query_params))
        return self._json([drive_views.file_view(each) for each in files], {"x-total": str(total)})

    async def _info(self, request: Request, call: Call) -> Response:
        who = await self._context.caller(call)
        return self._json(drive_views.file_view(await self._context.library.get(who, request.path_params["file_id"])))

    async def _rename(self, request: Request, call: Call) -> Response:
        who = await self._context.caller(call)
        body = await call.body(request.receive, self._context.options.body_idle).text(JSON_CAP)
        name = drive.read_name(body)
        return self._json(
            drive_views.file_view(await self._context.library.rename(who, request.path_params["file_id"], name))
        )

    async def _delete(self, request: Request, call: Call) -> Response:
        who = await self._context.caller(call)
        await self._context.library.delete(who, request.path_params["file_id"])
        return Response(status_code=204)


class _Download:
    """GET and HEAD of a file, streamed."""

    def __init__(self, context: Context, downloads: Downloads) -> None:
        self._context, self._downloads = context, downloads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = call_of(scope)
        try:
            who = await self._context.caller(call)
            opened = await self._context.library.open(who, scope["path_params"]["file_id"])
            await self._downloads.send(opened, scope, send)
        except TusdriveError as exc:
            await error_response(exc, call, self._context.options.snake)(scope, receive, send)


class _Verbs(Route):
    """One path whose verbs go to different endpoints, so that 405 names them all."""

    def __init__(self, path: str, *routes: Route) -> None:
        self._by_verb = {verb: route.app for route in routes for verb in route.methods or ()}
        super().__init__(path, self._serve, methods=sorted(self._by_verb))
        self.app = self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._by_verb[scope["method"]](scope, receive, send)
