"""Addresses: where clients find this server, the Location of an upload, and which upload an address names."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..protocols import forwarded
from .context import Call, Context


class Links:
    """The addresses of one request's answer."""

    __slots__ = ("_base", "_base_path", "_context")

    def __init__(self, context: Context, call: Call) -> None:
        self._context = context
        scope = call.scope
        self._base_path = context.options.base_path.rstrip("/")
        self._base = forwarded.public_base(
            scheme=scope.get("scheme", "http"),
            root_path=scope.get("root_path", ""),
            headers=call.headers,
            trusted=context.trusts(scope),
        )

    def location(self, id: str) -> str:
        """The upload's address, with its capability where there is one."""
        base = urlsplit(self._base).path if self._context.options.relative_location else self._base
        capability = self._context.capability(id)
        query = f"?uploadToken={capability}" if capability else ""
        return f"{base}{self._base_path}/{id}{query}"

    def part_id(self, url: str) -> str | None:
        """The id of one of our own uploads, or None."""
        return forwarded.part_id(url, base=self._base, base_path=self._base_path)
