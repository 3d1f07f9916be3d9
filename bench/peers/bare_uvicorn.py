"""A raw ASGI app that answers as a tus server would and keeps nothing: what uvicorn alone costs on this machine."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CREATED = [(b"location", b"/files/0"), (b"tus-resumable", b"1.0.0"), (b"content-length", b"0")]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    filled = [(b"upload-offset", b"%d" % size), (b"tus-resumable", b"1.0.0")]
    status, headers = (201, CREATED) if scope["method"] == "POST" else (204, filled)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    door = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(f"tus endpoint: http://127.0.0.1:{door.getsockname()[1]}/files", flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", lifespan="off", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[door])


if __name__ == "__main__":
    main()
