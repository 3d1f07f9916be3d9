"""The application: `create_app(settings)`, to be served by itself or mounted into another Starlette or FastAPI app."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from . import __version__
from .domain.errors import Invalid, MethodNotAllowed, NotFound, TusdriveError
from .http.context import Context, call_of
from .http.download import Downloads
from .http.drive import DriveUploads
from .http.files import DriveFiles
from .http.front import Front
from .http.ops import Ops
from .http.replies import Careful, error_response
from .http.resumable import Resumable, ResumableRoute
from .services import Services
from .settings import Settings

PREFIXES = ("/api", "/drive")
"""Where the REST API is: by itself, and as the spec says of the gateway."""


class Tusdrive(Starlette):
    """The whole server as one ASGI application.

    Served by itself it opens and closes with its lifespan. Mounted into another app it opens at the first request at
    the latest; `lifespan=drive.hosted` on the host opens it at start and closes it in order:

        drive = create_app(Settings(data=Path("uploads")))
        app = Starlette(routes=[Mount("/drive", drive)], lifespan=drive.hosted)
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        super().__init__(
            routes=routes(services.context),
            exception_handlers={HTTPException: _http_exception},
            lifespan=self.hosted,
        )
        self.router.redirect_slashes = False
        # In front of Starlette's own layers and router, of which a small upload needs none.
        self._front = Front(super().__call__, self._hot(), services.context)

    def _hot(self) -> ASGIApp:
        """What serves the resumable protocols; all of the routes when they are at the root, where REST comes first."""
        first = self.routes[0]
        return first.app if isinstance(first, ResumableRoute) else super().__call__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._front(scope, receive, send)

    @contextlib.asynccontextmanager
    async def hosted(self, host: object) -> AsyncIterator[None]:
        """Open while the host runs. Raises StorageFailed when the data directory cannot be used."""
        await self.services.open()
        try:
            yield
        finally:
            await self.drain()
            await self.services.close()

    async def drain(self) -> None:
        """Take no more requests and ask every body that is being read to stop; what it brought is committed."""
        await self.services.drain()


def create_app(settings: Settings | None = None) -> Tusdrive:
    """The server as an ASGI application; nothing is opened or made before it starts."""
    return Tusdrive(Services(settings or Settings()))


def routes(context: Context) -> list[BaseRoute]:
    """Every route of the server, in the order in which they are tried: the hot ones first."""
    downloads = Downloads(context.library)
    resumable = ResumableRoute(context, Resumable(context, downloads))
    uploads, files = DriveUploads(context), DriveFiles(context, downloads)
    rest = [route for prefix in PREFIXES for route in (*uploads.routes(prefix), *files.routes(prefix))]
    rest += Ops(context, __version__).routes()
    return [*rest, resumable] if context.options.base_path in ("", "/") else [resumable, *rest]


async def _http_exception(request: Request, exc: Exception) -> Response:
    """What the router says, in our words."""
    assert isinstance(exc, HTTPException)
    context: Context = request.app.services.context
    error: TusdriveError
    if exc.status_code == 405:
        error = MethodNotAllowed(allow=sorted((exc.headers or {}).get("Allow", "").split(", ")))
    else:
        error = NotFound() if exc.status_code == 404 else Invalid(str(exc.detail))
    return Careful(error_response(error, call_of(request.scope), context.options.snake))
