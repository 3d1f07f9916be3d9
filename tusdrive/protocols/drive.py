"""What REST clients send, as domain values (REST API "API Reference").

JSON in camelCase as in the specification, and in snake_case as the original service spoke it; unknown fields are
ignored. Everything that cannot be is refused with Invalid, whose detail `field` names the field or parameter.
What goes back is in `drive_views`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from ..domain.checksum import FileHash, parse_file_hash
from ..domain.errors import ChunkOutOfRange, Invalid, TooLarge
from ..domain.requests import NewUpload
from ..domain.upload import State
from ..ports import Page, Sort
from . import fields
from .drive_views import RUNNING

MAX_LIMIT = 200
"""Most items of one page."""

STATES: Mapping[str, frozenset[State]] = MappingProxyType({
    "pending": frozenset(),  # uploads never wait and never pause on the server: known names that match nothing
    "paused": frozenset(),
    "inprogress": RUNNING,
    "completed": frozenset({State.COMPLETED}),
    "failed": frozenset({State.FAILED}),
    "cancelled": frozenset({State.CANCELLED}),
    "expired": frozenset({State.EXPIRED}),
    # The numbers that the original service used. Its own document has another table, 0 to 3: hence no 0 and 2 here.
    "1": RUNNING,
    "3": frozenset({State.COMPLETED}),
    "4": frozenset({State.FAILED}),
    "5": frozenset({State.CANCELLED}),
    "6": frozenset({State.EXPIRED}),
})
"""What the parameter `status` may be, lower case, without underscores."""

SORTS: Mapping[str, Sort] = MappingProxyType({
    "filename": Sort.NAME,
    "name": Sort.NAME,
    "filesize": Sort.SIZE,
    "size": Sort.SIZE,
    "createdat": Sort.CREATED,
    "created": Sort.CREATED,
    "date": Sort.CREATED,
    "updatedat": Sort.UPDATED,
    "updated": Sort.UPDATED,
    "lastactivity": Sort.ACTIVE,
    "activity": Sort.ACTIVE,
})
"""What `sortBy` may be, lower case, without underscores: the specification's names and the original's."""

T = TypeVar("T", bound=msgspec.Struct)

_BOOLEANS = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
_FIELD_OF_ERROR = re.compile(r" - at `\$\.(\w+)")


class _Create(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The body of "create". Everything is optional to the decoder: absent and null are the same, and checked later."""

    file_name: str | None = None
    file_size: int | None = None
    content_type: str | None = None
    pool_id: str | None = None
    bundle_id: str | None = None
    chunk_size: int | None = None
    encrypt_password: str | None = None
    expired_at: str | None = None
    hash: str | None = None


class _Complete(msgspec.Struct, frozen=True, kw_only=True):
    hash: str | None = None


_NAMES: Mapping[str, str] = {field.encode_name.lower(): field.encode_name for field in msgspec.structs.fields(_Create)}
"""How the specification writes a field, by its name in lower case without underscores."""


def read_create(body: bytes, now: int) -> NewUpload:
    """`POST create`. `now` in microseconds: an `expiredAt` that is past is refused. Raises Invalid, TooLarge."""
    asked = _typed(_object(body), _Create)
    if asked.encrypt_password:
        message = "encryption is not offered yet; it comes with the background tasks"
        raise Invalid(message, field="encryptPassword")
    return NewUpload(
        length=_file_size(asked.file_size),
        auto_finish=False,
        file_name=_name(asked.file_name),
        content_type=fields.content_type(asked.content_type or ""),
        chunk_size=_chunk_size(asked.chunk_size),
        hash=parse_file_hash(asked.hash) if asked.hash else None,
        pool=fields.reference(asked.pool_id, "poolId") if asked.pool_id else None,
        bundle=fields.reference(asked.bundle_id, "bundleId") if asked.bundle_id else None,
        file_expires_at=_expiry(asked.expired_at, now),
    )


def read_complete(body: bytes) -> FileHash | None:
    """`POST complete`: an empty body, or `{"hash": "..."}` to correct the hash that was declared. Raises Invalid."""
    if not body.strip():
        return None
    asked = _typed(_object(body), _Complete)
    return parse_file_hash(asked.hash) if asked.hash else None


def read_name(body: bytes) -> str:
    """`PATCH name`: a JSON string, or an object with `name` or `fileName`. Raises Invalid."""
    value = _json(body)
    if isinstance(value, dict):
        value = value.get("name", value.get("fileName", value.get("file_name")))
    if not isinstance(value, str):
        raise Invalid("the body must be a JSON string, the new name", field="name")
    return _name(value)


def read_chunk_index(text: str) -> int:
    """The chunk's index in the path. Raises ChunkOutOfRange when it is no whole number."""
    index = fields.whole(text.encode("utf-8", "replace"))
    if index is None:
        raise ChunkOutOfRange("chunkIndex must be a whole number", field="chunkIndex")
    return index


def read_task_query(params: Mapping[str, str]) -> tuple[frozenset[State] | None, Page]:
    """`GET tasks`: the states to show (None: all; empty: none) and the page. Raises Invalid."""
    given = _parameters(params)
    return _states(given.get("status", "")), _page(given, Sort.ACTIVE, 50)


def read_file_query(params: Mapping[str, str]) -> Page:
    """`GET files/me`: newest first, 20 a page; `order`, `orderDesc` and `take` of the original work too."""
    return _page(_parameters(params), Sort.CREATED, 20)


def read_recent_query(params: Mapping[str, str]) -> Page:
    """`GET tasks/recent`: the latest, 10 unless `limit` says otherwise. Raises Invalid."""
    given = _parameters(params)
    return Page(limit=_number(given, "limit", 10, 1, MAX_LIMIT))


def _json(body: bytes) -> Any:
    """Not msgspec's decoder: of a field given twice it keeps the last, and a proxy may have looked at the first."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except ValueError as exc:
        raise Invalid("the body is not valid JSON", field="body") from exc
    except RecursionError as exc:
        raise Invalid("the body is nested too deeply", field="body") from exc


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Invalid("a field is given twice", field="body")
    return found


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _object(body: bytes) -> dict[str, Any]:
    """A JSON object with its keys as the specification writes them. Raises Invalid when a field comes twice."""
    raw = _json(body)
    if not isinstance(raw, dict):
        raise Invalid("the body must be a JSON object", field="body")
    found: dict[str, Any] = {}
    for key, value in raw.items():
        name = _NAMES.get(key.replace("_", "").lower(), key)
        if name in found:
            raise Invalid(f"{name} is given twice", field=name)
        found[name] = value
    return found


def _typed(raw: dict[str, Any], shape: type[T]) -> T:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as exc:
        where = _FIELD_OF_ERROR.search(str(exc))
        name = where.group(1) if where else "body"
        raise Invalid(f"{name}: {str(exc).partition(' - at ')[0]}", field=name) from exc


def _name(text: str | None) -> str:
    if not text:
        raise Invalid("fileName is required", field="fileName")
    return fields.file_name(text)


def _file_size(value: int | None) -> int:
    if value is None:
        raise Invalid("fileSize is required", field="fileSize")
    if value < 0:
        raise Invalid("fileSize must not be negative", field="fileSize")
    if value >= 10**fields.DIGITS:
        raise TooLarge(f"fileSize has more than {fields.DIGITS} digits", field="fileSize")
    return value


def _chunk_size(value: int | None) -> int | None:
    if value is not None and not 0 < value < 10**fields.DIGITS:
        raise Invalid("chunkSize must be a positive number of bytes", field="chunkSize")
    return value


def _expiry(text: str | None, now: int) -> int | None:
    if not text:
        return None
    at = fields.instant(text)
    if at <= now:
        raise Invalid("expiredAt is past", field="expiredAt")
    return at


def _parameters(params: Mapping[str, str]) -> dict[str, str]:
    """Query parameters by their name in lower case without underscores: `sortBy`, `sort_by` and `sortby` are one."""
    return {key.replace("_", "").lower(): value for key, value in params.items()}


def _states(text: str) -> frozenset[State] | None:
    if not text:
        return None
    found: frozenset[State] = frozenset()
    for word in text.split(","):
        states = STATES.get(word.strip().replace("_", "").lower())
        if states is None:
            names = "InProgress, Completed, Failed, Cancelled, Expired, Pending or Paused"
            raise Invalid(f"status must be {names}", field="status")
        found |= states
    return found


def _page(given: Mapping[str, str], default: Sort, limit: int) -> Page:
    limit_name = "take" if "take" in given and "limit" not in given else "limit"
    return Page(
        sort=_sort(given.get("sortby", given.get("order", "")), default),
        descending=_boolean(given, "sortDescending", given.get("orderdesc", "")),
        offset=_number(given, "offset", 0, 0, 10**fields.DIGITS - 1),
        limit=_number(given, limit_name, limit, 1, MAX_LIMIT),
    )


def _sort(text: str, default: Sort) -> Sort:
    if not text:
        return default
    found = SORTS.get(text.replace("_", "").lower())
    if found is None:
        raise Invalid("sortBy must be filename, filesize, createdAt, updatedAt or lastActivity", field="sortBy")
    return found


def _boolean(given: Mapping[str, str], name: str, other: str) -> bool:
    text = given.get(name.lower(), other)
    if not text:
        return True
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise Invalid(f"{name} must be true or false", field=name)
    return found


def _number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = given.get(name, "")
    if not text:
        return default
    value = fields.whole(text.encode("utf-8", "replace"))
    if value is None or not least <= value <= most:
        raise Invalid(f"{name} must be a whole number from {least} to {most}", field=name)
    return value
