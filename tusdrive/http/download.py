"""Sending a file: ranges, conditions, safe headers. Streams in pieces; takes no lock."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.types import Scope, Send

from ..engine.library import Library, Opened
from ..protocols.download import Plan, plan
from .context import call_of


class Downloads:
    """Answers GET and HEAD for files."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def send(self, opened: Opened, scope: Scope, send: Send) -> None:
        """Send the file, or the part of it that was asked for. Raises PreconditionFailed, RangeNotSatisfiable."""
        call = call_of(scope)
        attachment = b"download=" in b"&" + call.query and b"&download=false" not in b"&" + call.query
        boundary = secrets.token_hex(16).encode()
        answer = plan(opened.file, scope["method"], call.headers, boundary=boundary, attachment=attachment)
        if scope["method"] == "HEAD" or not answer.parts:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            return await send({"type": "http.response.body", "body": b""})
        async with aclosing(self._pieces(opened, answer)) as pieces:
            first = await anext(pieces)  # what cannot be read at all is an error, not an answer that breaks off
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        return await send({"type": "http.response.body", "body": b""})

    async def _pieces(self, opened: Opened, answer: Plan) -> AsyncGenerator[bytes, None]:
        for part in answer.parts:
            head = part.head
            if part.start == part.end:
                yield head
                continue
            async with aclosing(self._library.read(opened, part.start, part.end)) as pieces:
                async for piece in pieces:
                    yield head + piece if head else piece
                    head = b""
        yield answer.tail
