"""The OpenAPI document: complete, sound, and true of what the views make."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from tusdrive.domain.checksum import FileHash
from tusdrive.domain.errors import MissingChunks
from tusdrive.domain.file import File
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import State, Upload
from tusdrive.ports import Stats
from tusdrive.protocols import drive_views as views
from tusdrive.protocols import problem, tus
from tusdrive.protocols.openapi import document
from tusdrive.protocols.openapi.parts import REASONS

DOCUMENT = document(version="1.2.3", base_path="/files")

ROUTES = {
    "/files": "options post",
    "/files/{id}": "delete get head options patch",
    "/api/files/upload/create": "post",
    "/api/files/upload/chunk/{taskId}/{chunkIndex}": "post put",
    "/api/files/upload/complete/{taskId}": "post",
    "/api/files/upload/tasks": "get",
    "/api/files/upload/tasks/recent": "get",
    "/api/files/upload/tasks/cleanup": "delete",
    "/api/files/upload/tasks/{taskId}/details": "get",
    "/api/files/upload/progress/{taskId}": "get",
    "/api/files/upload/resume/{taskId}": "get",
    "/api/files/upload/task/{taskId}": "delete",
    "/api/files/upload/stats": "get",
    "/api/files/me": "get",
    "/api/files/{id}": "delete get head",
    "/api/files/{id}/info": "get",
    "/api/files/{id}/name": "patch",
    "/health": "get",
    "/health/uploads": "get",
    "/alive": "get",
    "/openapi.json": "get",
}
VERBS = ("get", "head", "post", "put", "patch", "delete", "options")


def operations(made: dict[str, Any] = DOCUMENT) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, verb, item[verb]) for path, item in made["paths"].items() for verb in VERBS if verb in item]


def test_every_route_is_there() -> None:
    assert {path: " ".join(sorted(set(item) - {"parameters"})) for path, item in DOCUMENT["paths"].items()} == ROUTES


def test_it_is_json_and_names_its_version() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    assert (DOCUMENT["openapi"], DOCUMENT["info"]["version"]) == ("3.1.0", "1.2.3")


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names)) == 29


def test_schemathesis_reads_it() -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    assert len([found.ok() for found in schema.get_all_operations()]) == 29


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [each for key, item in value.items() for each in ([item] if key == "$ref" else references(item))]
    return [each for item in value for each in references(item)] if isinstance(value, list) else []


def test_references_lead_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {found.removeprefix("#/components/schemas/") for found in references(DOCUMENT)} == set(schemas)
    for schema in schemas.values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_every_status_is_explained_and_no_other() -> None:
    assert set(REASONS) == {*problem.STATUS.values(), *tus.STATUS.values()}


def test_every_operation_may_be_refused() -> None:
    for path, verb, operation in operations():
        statuses = set(operation["responses"])
        assert {"400", "403", "405", "431", "500", "503"} <= statuses, (path, verb)
        secured = operation.get("security", DOCUMENT["security"]) != []
        assert ("401" in statuses) is secured, (path, verb)


def test_answers_to_head_have_no_content() -> None:
    heads = [operation for _, verb, operation in operations() if verb == "head"]
    assert len(heads) == 2
    assert not any("content" in answer for operation in heads for answer in operation["responses"].values())


def test_path_parameters_are_declared() -> None:
    for path, item in DOCUMENT["paths"].items():
        for verb in set(item) & set(VERBS):
            declared = [*item.get("parameters", ()), *item[verb].get("parameters", ())]
            named = {each["name"] for each in declared if each["in"] == "path"}
            assert named == {piece[1:-1] for piece in path.split("/") if piece.startswith("{")}


@pytest.mark.parametrize(("base_path", "first"), [("/files", "/files"), ("/up/", "/up"), ("/", "/"), ("", "/")])
def test_base_path(base_path: str, first: str) -> None:
    assert next(iter(document(version="1", base_path=base_path)["paths"])) == first


def test_mounted_and_open_to_all() -> None:
    made = document(version="1", base_path="/files", root="/app", secured=False)
    assert (made["servers"], made["security"]) == ([{"url": "/app"}], [])


AT = 1_762_653_360_000_000
ID = "0123456789abcdef0123456789abcdef"
UPLOAD = Upload(
    id=ID, account="ann", place="h/a", file_name="a", length=10, chunk_size=4, received=Ranges(4), created_at=AT,
    updated_at=AT, active_at=AT + 5, pool="p", bundle="b", hash=FileHash("md5", "ab" * 16), file_expires_at=AT,
)  # fmt: skip
DEFERRED = Upload(id=ID, account="ann", place="h/a", state=State.FAILED, error="x")
FILE = File(id=ID, account="ann", upload=ID, blob="b", name="n", content_type="", size=0, pool="p", expires_at=AT)
STATS = Stats(by_state={State.ACTIVE: 1}, uploaded_bytes=4, average_progress=40.0)

SHOWN = [
    ("TaskCreated", views.created_view(UPLOAD, None, "t", "u")),
    ("TaskCreated", views.created_view(None, FILE)),
    ("ChunkReceived", views.chunk_view(UPLOAD, 0)),
    ("Task", views.task_view(UPLOAD)),
    ("Task", views.task_view(DEFERRED)),
    ("Progress", views.progress_view(UPLOAD)),
    ("Resume", views.resume_view(DEFERRED)),
    ("Details", views.details_view(UPLOAD, AT + 10)),
    ("Details", views.details_view(DEFERRED, AT + 10)),
    ("RecentTask", views.recent_view(DEFERRED)),
    ("Stats", views.stats_view(STATS, [UPLOAD])),
    ("Message", views.cancelled_view()),
    ("Cleanup", views.cleanup_view(2)),
    ("CloudFile", views.file_view(FILE)),
    ("Error", problem.problem(MissingChunks(missingChunks=[[1, 2]]), "t")),
    ("Error", problem.problem(ValueError(), None)),
]


@pytest.mark.parametrize("snake", [False, True])
@pytest.mark.parametrize(("name", "shown"), SHOWN)
def test_views_are_what_is_described(name: str, shown: dict[str, Any], snake: bool) -> None:
    schemas = document(version="1", base_path="/files", snake=snake)["components"]["schemas"]
    shown = views.snake(shown) if snake else shown
    jsonschema_rs.validate(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}, shown, validate_formats=True
    )
    assert set(shown) == set(schemas[name]["properties"])


def test_only_names_of_members_are_turned() -> None:
    turned = document(version="1", base_path="/files", snake=True)["components"]["schemas"]
    assert turned["CreateTask"]["required"] == ["file_name", "file_size"]
    assert turned["CreateTask"]["properties"]["file_name"]["maxLength"] == 1024
    assert turned["Error"]["properties"].keys() == {"code", "message", "status", "details", "traceId"}
