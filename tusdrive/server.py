"""The process around the app: sockets, start, and a stop that keeps what arrived and ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import faulthandler
import gc
import logging
import os
import socket
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from .settings import Settings

log = logging.getLogger(__name__)

Address = tuple[Any, ...] | str
App = Callable[[Any, Any, Any], Awaitable[None]]

DRAIN, CONNECTIONS = 0.4, 0.3
"""Shares of the time to stop: for bodies to be cut and committed, and for answers to be sent. The app has the rest."""


class CannotListen(Exception):
    """The address cannot be had, or the certificate cannot be used."""


def bind(settings: Settings) -> list[socket.socket]:
    """Sockets that are bound and do not listen yet, so that a taken port is noticed before anything is opened.

    Raises CannotListen.
    """
    if settings.unix_socket is not None:
        return [_bind_unix(settings.unix_socket)]
    where = f"{settings.host}:{settings.port}"
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV)
    except OSError as exc:
        raise CannotListen(f"cannot listen on {where}: {exc.strerror}") from exc
    sockets, failure = [], None
    # A free port is one address's; a name may stand for several addresses.
    for family, _, _, _, address in found[:1] if settings.port == 0 else found:
        try:
            sockets.append(_bind(family, address))
        except OSError as exc:
            failure = failure or exc
            if exc.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                break
    if failure is not None and (not sockets or failure.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)):
        for each in sockets:
            each.close()
        raise CannotListen(f"cannot listen on {where}: {failure.strerror}") from failure
    return sockets


def _bind(family: int, address: Address) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family != socket.AF_UNIX:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found


def _bind_unix(path: Path) -> socket.socket:
    """For owner and group. A socket that a dead process left is replaced, a living one's is not."""
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.stat().st_mode) and not _is_alive(path):
                path.unlink()
        before = os.umask(0o117)
        try:
            return _bind(socket.AF_UNIX, str(path))
        finally:
            os.umask(before)
    except OSError as exc:
        raise CannotListen(f"cannot listen on {path}: {exc.strerror}") from exc


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Server(uvicorn.Server):
    """uvicorn's server. A signal ends it in time, with status 0 if all went well; a second one ends it at once."""

    def __init__(
        self, config: uvicorn.Config, *, drain: Callable[[], Awaitable[None]], grace: float, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._grace = grace
        self._ready = ready

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not remembered for uvicorn, which would raise the signal again at the end and spoil the exit status.
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True
        # Needs neither the loop nor the interpreter to go on, and says where they hang.
        faulthandler.dump_traceback_later(self._grace, exit=True)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping", extra={"action": "stop"})
        began = time.monotonic()
        for server in self.servers:
            server.close()
        try:
            await asyncio.wait_for(self._drain(), self._grace * DRAIN)
        except TimeoutError:
            log.warning("uploads did not let go in time", extra={"action": "stop"})
        except Exception:
            log.exception("uploads could not be asked to let go", extra={"action": "stop"})
        left = self._grace * (DRAIN + CONNECTIONS) - (time.monotonic() - began)
        # uvicorn calls it whole seconds, asyncio takes any.
        self.config.timeout_graceful_shutdown = left  # type: ignore[assignment]
        await super().shutdown(sockets)
        log.info("stopped", extra={"action": "stop"})


def _brief(app: App) -> App:
    """The app; of a start that fails, the reason is logged and not the way there."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def told(message: Any) -> None:
            error = sys.exc_info()[1]
            if message["type"].endswith(".failed") and error is not None:
                log.debug("the app failed", exc_info=error)
                message = {**message, "message": getattr(error, "message", f"{type(error).__name__}: {error}")}
            await send(message)

        await app(scope, receive, told)

    return wrapped


def configuration(app: App, settings: Settings) -> uvicorn.Config:
    """How uvicorn is to run. Raises CannotListen for a certificate that cannot be used."""
    config = uvicorn.Config(
        _brief(app),
        http="httptools",  # never h11: it runs a smuggled second request
        ws_max_size=65536,
        ws_per_message_deflate=False,
        lifespan="on",
        interface="asgi3",
        workers=1,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the app believes the proxies it was told of, and no others
        server_header=False,
        timeout_keep_alive=5,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except OSError as exc:
        raise CannotListen(f"tls_cert, tls_key: {exc.strerror or exc}") from exc
    return config


def _calm_collector() -> None:
    """Look for garbage in circles more rarely: requests make none to speak of, and what was imported stays anyway.

    The collector took 7 % of the time of small uploads.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def run(app: Any, settings: Settings, sockets: list[socket.socket], ready: Callable[[], None]) -> int:
    """Serve until a signal comes; the exit status. `ready` is called once connections are accepted.

    `app.drain()` asks all bodies to stop. Raises CannotListen for a certificate that cannot be used.
    """
    _calm_collector()
    server = Server(configuration(app, settings), drain=app.drain, grace=settings.shutdown_grace, ready=ready)
    try:
        server.run(sockets)
    except SystemExit:
        return 1
    finally:
        if settings.unix_socket is not None:
            settings.unix_socket.unlink(missing_ok=True)
    return 0
