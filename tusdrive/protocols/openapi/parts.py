"""The pieces that OpenAPI operations are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .schemas import ID, Schema, ref

Operation = dict[str, Any]

JSON = "application/json"
OCTETS = "application/octet-stream"

BYTES: Schema = {"description": "raw bytes", "contentMediaType": OCTETS}

REASONS = {
    400: "The request says something that cannot be",
    401: "A valid bearer token is required",
    403: "Not allowed, or no room left in the account",
    404: "There is nothing here, or nothing for you",
    405: "This address does not know that method",
    408: "The body stopped coming",
    409: "The request does not fit the present state; `details` say what is",
    410: "It was here, and is no longer: cancelled, expired or deleted",
    412: "The version or the condition does not hold",
    413: "More than a limit allows",
    415: "The body is not of the type that is wanted here",
    416: "The file has no such range",
    422: "The bytes do not have the hash that was declared; nothing is lost",
    423: "Another request holds the upload; try again in a moment",
    431: "The request headers are too large",
    460: "The bytes do not have the checksum that came with them; they were discarded",
    500: "Something went wrong on the server",
    503: "The server is busy or about to stop; try again in a moment",
    507: "The server has no room for this",
}
"""What each status that refuses means, whatever the operation."""

ALWAYS = (400, 403, 405, 431, 500, 503)
"""What any request may be refused with."""


def operation(
    id: str,
    summary: str,
    answers: dict[int, Schema],
    errors: Sequence[int] = (),
    *,
    parameters: Sequence[Schema] = (),
    body: Schema | None = None,
    error_types: Sequence[str] = (JSON,),
) -> Operation:
    """An operation with its answers by status, its refusals (ALWAYS and `errors`), and what it takes."""
    responses = {str(status): answer for status, answer in answers.items()}
    for status in sorted({*ALWAYS, *errors} - answers.keys()):
        responses[str(status)] = _refusal(status, error_types)
    made: Operation = {"operationId": id, "summary": summary, "responses": responses}
    if parameters:
        made["parameters"] = list(parameters)
    if body is not None:
        made["requestBody"] = body
    return made


def _refusal(status: int, types: Sequence[str]) -> Schema:
    refusal: Schema = {"description": REASONS[status]}
    if types:
        refusal["content"] = {kind: {"schema": ref("Error") if kind == JSON else {"type": "string"}} for kind in types}
    return refusal


def answer(description: str, schema: Schema | None = None, headers: Sequence[str] = ()) -> Schema:
    """A JSON answer, or one without content; `headers` that may come with it."""
    made: Schema = {"description": description}
    if schema is not None:
        made["content"] = {JSON: {"schema": schema}}
    if headers:
        made["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return made


def body(types: dict[str, Schema], required: bool = True) -> Schema:
    """A request body: media types to schemas."""
    return {"required": required, "content": {kind: {"schema": schema} for kind, schema in types.items()}}


def path(name: str, schema: Schema = ID) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def query(name: str, **schema: Any) -> Schema:
    return {"name": name, "in": "query", "schema": schema}


def header(name: str, required: bool = False, **schema: Any) -> Schema:
    return {"name": name, "in": "header", "required": required, "schema": {"type": "string", **schema}}


def public(made: Operation) -> Operation:
    """The same operation, for everybody."""
    return {**made, "security": []}


_CONDITIONS = ("Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")


def download(id: str, summary: str, error_types: Sequence[str]) -> Operation:
    """GET of a file's bytes."""
    content = {"*/*": {"schema": BYTES}}
    answers: dict[int, Schema] = {
        200: {"description": "The bytes", "content": content},
        206: {"description": "Some of the bytes", "content": content},
        304: {"description": "Not modified"},
    }
    parameters = [header(name) for name in _CONDITIONS]
    errors = (401, 404, 409, 410, 412, 416)
    return operation(id, summary, answers, errors, parameters=parameters, error_types=error_types)
