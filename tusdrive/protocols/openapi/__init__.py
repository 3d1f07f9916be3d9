"""The OpenAPI 3.1 description of everything the server answers to, written by hand so that it can be exact."""

from __future__ import annotations

from typing import Any

from ..drive_views import snake_key
from .rest import file_paths, ops_paths, upload_paths
from .schemas import SCHEMAS
from .tus import tus_paths

__all__ = ["document"]


def document(
    *, version: str, base_path: str, api: str = "/api", root: str = "", snake: bool = False, secured: bool = True
) -> dict[str, Any]:
    """The whole document. `base_path` is where tus is served, `root` the path that the application is mounted at.

    `snake`: JSON goes out in snake_case. `secured` is false where nobody is asked who they are.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tusdrive",
            "version": version,
            "description": "Resumable uploads: tus 1.0.0 and a chunked REST API over the same uploads. "
            "Everything under `/api` answers under `/drive` as well. On tus addresses `X-HTTP-Method-Override` "
            "replaces the method of any request.",
        },
        "servers": [{"url": root or "/"}],
        "security": [{"bearer": []}] if secured else [],
        "paths": {
            **tus_paths(base_path.rstrip("/")),
            **upload_paths(f"{api}/files/upload"),
            **file_paths(f"{api}/files"),
            **ops_paths(),
        },
        "components": {
            "schemas": _snaked(SCHEMAS) if snake else SCHEMAS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _snaked(schema: Any) -> Any:
    """A schema with the names of its members, and nothing else, in snake_case."""
    if isinstance(schema, list):
        return [_snaked(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    turned = {key: _snaked(value) for key, value in schema.items()}
    if "properties" in turned:
        turned["properties"] = {snake_key(name): value for name, value in turned["properties"].items()}
    if "required" in turned:
        turned["required"] = [snake_key(name) for name in turned["required"]]
    return turned
