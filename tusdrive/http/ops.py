"""Health, and the description of the API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ..protocols.openapi import document
from .context import Call, Context
from .drive import Rest
from .replies import json_response


class Ops:
    """Nobody is asked for a token here, and nothing is told that is anybody's."""

    def __init__(self, context: Context, version: str) -> None:
        self._context, self._version = context, version

    def routes(self) -> list[BaseRoute]:
        """`/health`, `/health/uploads`, `/alive`, and `/openapi.json` if it is wanted."""
        table = [("/health", self._health), ("/health/uploads", self._health), ("/alive", self._alive)]
        if self._context.options.docs:
            table.append(("/openapi.json", self._openapi))
        return [Route(path, Rest(self._context, each), methods=["GET"]) for path, each in table]

    async def _alive(self, request: Request, call: Call) -> Response:
        return PlainTextResponse("ok\n")

    async def _health(self, request: Request, call: Call) -> Response:
        """Whether the database and the disk answer, how many changes wait, and which durability is in force."""
        facts = dict(await self._context.facts())
        return json_response(False, facts, 200 if facts.get("status") == "ok" else 503)

    async def _openapi(self, request: Request, call: Call) -> Response:
        options = self._context.options
        description = document(
            base_path=options.base_path, version=self._version, snake=options.snake,
            root=request.scope.get("root_path", ""), secured=self._context.tokens is not None,
        )
        return json_response(False, description)
