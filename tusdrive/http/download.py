"""Sending a file: ranges, conditions, safe headers. Streams in pieces; takes no lock."""

from __future__ import annotations

import secrets

from starlette.types import Scope, Send

from ..engine.library import Library, Opened
from ..protocols.download import plan
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
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if scope["method"] != "HEAD":
            for part in answer.parts:
                if part.head:
                    await send({"type": "http.response.body", "body": part.head, "more_body": True})
                if part.start < part.end:
                    async for piece in self._library.read(opened, part.start, part.end):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": answer.tail if scope["method"] != "HEAD" else b""})
