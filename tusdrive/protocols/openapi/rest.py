"""The REST API's endpoints for the OpenAPI document: uploads, files, and the server's own health."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..drive import MAX_LIMIT
from .parts import BYTES, JSON, OCTETS, Operation, answer, body, download, operation, path, public, query
from .schemas import COUNT, MOST, Schema, listed, ref

_LISTED = ("X-Total",)
_OFFSET = query("offset", type="integer", minimum=0, maximum=MOST, default=0)
_LIMIT = query("limit", type="integer", minimum=1, maximum=MAX_LIMIT)
_DESCENDING = query("sortDescending", type="boolean", default=True)
_STATUS = query(
    "status",
    type="string",
    enum=["InProgress", "Completed", "Failed", "Cancelled", "Expired", "Pending", "Paused"],
)
_TASK_SORT = query("sortBy", type="string", enum=["filename", "filesize", "createdAt", "updatedAt", "lastActivity"])
_FILE_SORT = query("sortBy", type="string", enum=["name", "size", "createdAt", "updatedAt"])


def upload_paths(base: str) -> dict[str, Any]:
    """REST API "Upload Task Management" and "Task Information & Management"."""
    return {
        f"{base}/create": {"post": _create()},
        f"{base}/chunk/{{taskId}}/{{chunkIndex}}": {
            "parameters": [path("taskId"), path("chunkIndex", {**COUNT, "maximum": MOST})],
            "post": _chunk("uploadChunk"),
            "put": _chunk("putChunk"),
        },
        f"{base}/complete/{{taskId}}": {"post": _complete()},
        f"{base}/tasks": {"get": _tasks()},
        f"{base}/tasks/recent": {
            "get": _of_account("recentTasks", "The latest upload tasks", listed(ref("RecentTask")), [_LIMIT])
        },
        f"{base}/tasks/cleanup": {
            "delete": _of_account("cleanupTasks", "Forget failed and expired tasks", ref("Cleanup"))
        },
        f"{base}/tasks/{{taskId}}/details": {"get": _of_task("taskDetails", "All about a task", "Details")},
        f"{base}/progress/{{taskId}}": {"get": _of_task("taskProgress", "How far a task is", "Progress")},
        f"{base}/resume/{{taskId}}": {"get": _of_task("resumeTask", "What is needed to go on", "Resume")},
        f"{base}/task/{{taskId}}": {"delete": _of_task("cancelTask", "Cancel a task", "Message", (409, 423))},
        f"{base}/stats": {"get": _of_account("uploadStats", "The caller's uploads in numbers", ref("Stats"))},
    }


def file_paths(base: str) -> dict[str, Any]:
    """What uploads became."""
    get = download("downloadFile", "A file's bytes", (JSON,))
    rename = _of_file("renameFile", "Give a file another name", (413, 408))
    return {
        f"{base}/me": {"get": _files()},
        f"{base}/{{id}}": {
            "parameters": [path("id")],
            "get": get,
            "head": _without_content({**get, "operationId": "headFile", "summary": "A file's headers"}),
            "delete": operation("deleteFile", "Delete a file", {204: answer("Deleted")}, (401, 404, 410, 423)),
        },
        f"{base}/{{id}}/info": {"get": _of_file("fileInfo", "What is known of a file")},
        f"{base}/{{id}}/name": {"patch": {**rename, "requestBody": body({JSON: ref("Name")})}},
    }


def ops_paths() -> dict[str, Any]:
    """Health, and this document."""
    health = {200: answer("Well", ref("Health")), 503: answer("Not well", {"anyOf": [ref("Health"), ref("Error")]})}
    alive = {200: {"description": "Alive", "content": {"text/plain": {"schema": {"type": "string"}}}}}
    this = {200: answer("OpenAPI 3.1", {"type": "object"})}
    return {
        "/health": {"get": public(operation("health", "Whether the server is well", health))},
        "/health/uploads": {"get": public(operation("uploadHealth", "State, queues, space", health))},
        "/alive": {"get": public(operation("alive", "Whether the process lives", alive))},
        "/openapi.json": {"get": public(operation("openapi", "This document", this))},
    }


def _create() -> Operation:
    return operation(
        "createUpload",
        "Make an upload task, or learn that the file is there already",
        {200: answer("The task, or the file", ref("TaskCreated"))},
        (401, 404, 408, 413, 507),
        body=body({JSON: ref("CreateTask")}),
    )


def _chunk(id: str) -> Operation:
    form: Schema = {"type": "object", "properties": {"chunk": BYTES}, "required": ["chunk"]}
    return operation(
        id,
        "Send a chunk, of exactly its length",
        {200: answer("Taken", ref("ChunkReceived"))},
        (401, 404, 408, 409, 410, 413, 415, 422, 423, 507),
        body=body({"multipart/form-data": form, OCTETS: BYTES}),
    )


def _complete() -> Operation:
    errors = (408, 409, 413, 422, 423, 507)
    made = _of_task("completeUpload", "Make a file of the chunks", "CloudFile", errors)
    return {**made, "requestBody": body({JSON: ref("Complete")}, required=False)}


def _tasks() -> Operation:
    return operation(
        "listTasks",
        "The caller's upload tasks",
        {200: answer("A page", listed(ref("Task")), _LISTED)},
        (401,),
        parameters=[_STATUS, _TASK_SORT, _DESCENDING, _OFFSET, _LIMIT],
    )


def _files() -> Operation:
    return operation(
        "listFiles",
        "The caller's files",
        {200: answer("A page", listed(ref("CloudFile")), _LISTED)},
        (401,),
        parameters=[_FILE_SORT, _DESCENDING, _OFFSET, _LIMIT],
    )


def _of_account(id: str, summary: str, schema: Schema, parameters: Sequence[Schema] = ()) -> Operation:
    return operation(id, summary, {200: answer(summary, schema)}, (401,), parameters=parameters)


def _of_task(id: str, summary: str, schema: str, errors: Sequence[int] = ()) -> Operation:
    answers = {200: answer(summary, ref(schema))}
    return operation(id, summary, answers, (401, 404, 410, *errors), parameters=[path("taskId")])


def _of_file(id: str, summary: str, errors: Sequence[int] = ()) -> Operation:
    answers = {200: answer("The file", ref("CloudFile"))}
    return operation(id, summary, answers, (401, 404, 410, *errors), parameters=[path("id")])


def _without_content(made: Operation) -> Operation:
    """The same operation as HEAD: no answer has content."""
    responses = {status: {"description": each["description"]} for status, each in made["responses"].items()}
    return {**made, "responses": responses}
