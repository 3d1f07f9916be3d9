"""Sending answers: JSON, a Dialect's Reply, an error. And what to do with a body that nobody wants."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..protocols.dialect import Reply
from ..protocols.drive_views import snake as snake_keys
from ..protocols.problem import headers_of, problem, status_of
from .context import Call, call_of

LINGER_BYTES = 256 * 1024
LINGER_SECONDS = 2.0
LINGER_SILENCE = 0.3
"""After a refusal, this much of the unwanted body is still taken: the client reads the answer before the reset."""

PRIVATE = {"cache-control": "private, no-cache"}


def json_response(snake: bool, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer, with names in the case that is set."""
    content = orjson.dumps(snake_keys(value) if snake else value)
    return Response(content, status, {**PRIVATE, **(headers or {})}, media_type="application/json")


def error_response(error: BaseException, call: Call, snake: bool) -> Response:
    """The REST API's error object."""
    body = problem(error, call.id)
    response = json_response(snake, body, status_of(error), {"cache-control": "no-store"})
    response.raw_headers.extend(headers_of(error))
    return response


async def send_reply(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a Dialect's answer. If it leaves a body unread, the connection is closed after it."""
    headers = reply.headers
    if reply.status != 204:
        headers = [*headers, (b"content-length", b"%d" % len(reply.body))]
    body = b"" if scope["method"] == "HEAD" else reply.body
    if reply.status < 400 or not call_of(scope).leaves_body():
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    headers = [*headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await _linger(receive)
    await send({"type": "http.response.body", "body": b""})


async def _linger(receive: Receive) -> None:
    taken = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while taken < LINGER_BYTES:
                async with asyncio.timeout(LINGER_SILENCE):
                    message = await receive()
                taken += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


class Careful(Response):
    """Another response, sent so that it refuses a request with an unread body the careful way, as send_reply does."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self.status_code = response.status_code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = self._response
        if response.status_code < 400 or not call_of(scope).leaves_body():
            return await response(scope, receive, send)
        headers = [pair for pair in response.raw_headers if pair[0] != b"content-length"]
        return await send_reply(Reply(response.status_code, headers, bytes(response.body)), scope, receive, send)
