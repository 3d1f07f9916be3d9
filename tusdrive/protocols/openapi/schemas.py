"""The JSON schemas of the OpenAPI document (JSON Schema 2020-12): what `drive` reads and `drive_views` writes."""

from __future__ import annotations

from typing import Any

from ..drive_views import LISTED_CHUNKS
from ..fields import DIGITS, NAME_CAP

Schema = dict[str, Any]

MOST = 10**DIGITS - 1

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
PERCENT: Schema = {"type": "number", "minimum": 0, "maximum": 100}
ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
ANY_OBJECT: Schema = {"type": "object"}
INDICES: Schema = {"type": "array", "items": COUNT}
STATUS: Schema = {"type": "string", "enum": ["InProgress", "Completed", "Failed", "Cancelled", "Expired"]}


def ref(name: str) -> Schema:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def maybe(schema: Schema) -> Schema:
    """`schema`, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _record(**properties: Schema) -> Schema:
    """An object that has all of these members; more may come with later versions."""
    return {"type": "object", "properties": properties, "required": list(properties)}


_BRIEF: dict[str, Schema] = {
    "taskId": ID,
    "fileName": TEXT,
    "progress": PERCENT,
    "status": STATUS,
    "lastActivity": TIME,
}
_COMMON: dict[str, Schema] = {
    **_BRIEF,
    "fileSize": maybe(COUNT),
    "chunksCount": COUNT,
    "chunksUploaded": COUNT,
    "fileId": maybe(ID),
    "errorMessage": maybe(TEXT),
}
_RESUME: dict[str, Schema] = {**_COMMON, "uploadedChunks": INDICES, "contentType": TEXT, "chunkSize": COUNT}
_PLACE = _record(id=TEXT, name=maybe(TEXT), description=maybe(TEXT))
_HASH: Schema = {
    "type": "string",
    "pattern": "^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$",
    "description": "64 hex digits are SHA-256, 32 are MD5",
}
_NAME: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": NAME_CAP,
    "pattern": r"^[^\x00-\x1f\x7f]*$",
    "description": f"at most {NAME_CAP} bytes of UTF-8",
}
_REFERENCE: Schema = {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"}

SCHEMAS: dict[str, Schema] = {
    "Error": {
        "type": "object",
        "properties": {
            "code": TEXT,
            "message": TEXT,
            "status": {"type": "integer"},
            "details": ANY_OBJECT,
            "traceId": maybe(TEXT),
        },
        "required": ["code", "message", "status"],
    },
    "CreateTask": {
        "type": "object",
        "description": "snake_case names are taken too; unknown members are ignored",
        "properties": {
            "fileName": _NAME,
            "fileSize": {**COUNT, "maximum": MOST},
            "contentType": maybe(TEXT),
            "poolId": maybe(_REFERENCE),
            "bundleId": maybe(_REFERENCE),
            "chunkSize": maybe({"type": "integer", "minimum": 1, "maximum": MOST}),
            "encryptPassword": {"type": "null", "description": "not offered yet"},
            "expiredAt": maybe({**TIME, "description": "must lie ahead"}),
            "hash": maybe(_HASH),
        },
        "required": ["fileName", "fileSize"],
    },
    "TaskCreated": _record(
        fileExists=BOOLEAN,
        file=maybe(ref("CloudFile")),
        taskId=maybe(ID),
        chunkSize=maybe(COUNT),
        chunksCount=maybe(COUNT),
        uploadToken=maybe(TEXT),
        uploadUrl=maybe(TEXT),
    ),
    "ChunkReceived": _record(
        taskId=ID, chunkIndex=COUNT, chunksUploaded=COUNT, chunksCount=COUNT, progress=PERCENT
    ),
    "Complete": {"type": "object", "properties": {"hash": maybe(_HASH)}},
    "Task": _record(
        **_COMMON,
        contentType=TEXT,
        chunkSize=COUNT,
        createdAt=TIME,
        updatedAt=TIME,
        uploadedChunks={**maybe(INDICES), "description": f"null when there are more than {LISTED_CHUNKS} chunks"},
        pool=maybe(_record(poolId=TEXT, name=maybe(TEXT))),
        bundle=maybe(_record(bundleId=TEXT)),
    ),
    "Progress": _record(**_COMMON, uploadedChunks=INDICES),
    "Resume": _record(**_RESUME),
    "Details": _record(
        task=_record(**_RESUME, createdAt=TIME, updatedAt=TIME, expiredAt=maybe(TIME), hash=maybe(TEXT)),
        pool=maybe(_PLACE),
        bundle=maybe(_PLACE),
        estimatedTimeRemaining=maybe(TEXT),
        uploadSpeed=maybe(TEXT),
        estimatedSecondsRemaining=maybe(NUMBER),
        bytesPerSecond=maybe(NUMBER),
    ),
    "RecentTask": _record(**_BRIEF, fileSize=maybe(COUNT), contentType=TEXT, createdAt=TIME, fileId=maybe(ID)),
    "Activity": _record(**_BRIEF),
    "Stats": _record(
        totalTasks=COUNT,
        inProgressTasks=COUNT,
        completedTasks=COUNT,
        failedTasks=COUNT,
        cancelledTasks=COUNT,
        expiredTasks=COUNT,
        totalUploadedBytes=COUNT,
        averageProgress=PERCENT,
        recentActivity=listed(ref("Activity")),
    ),
    "Message": {"type": "object", "properties": {"message": TEXT}, "required": ["message"]},
    "Cleanup": _record(message=TEXT, count=COUNT),
    "Name": {
        "anyOf": [_NAME, {"type": "object", "properties": {"name": _NAME}, "required": ["name"]}],
        "description": "the new name, as a JSON string or in an object",
    },
    "CloudFile": _record(
        id=ID,
        name=TEXT,
        description=maybe(TEXT),
        fileMeta=maybe(ANY_OBJECT),
        userMeta=maybe(ANY_OBJECT),
        sensitiveMarks=INDICES,
        mimeType=TEXT,
        hash=maybe(TEXT),
        expiredAt=maybe(TIME),
        size=COUNT,
        uploadedAt=TIME,
        hasCompression=BOOLEAN,
        hasThumbnail=BOOLEAN,
        isEncrypted=BOOLEAN,
        pool=maybe(_PLACE),
        poolId=maybe(TEXT),
        bundleId=maybe(TEXT),
        isMarkedRecycle=BOOLEAN,
        storageId=maybe(TEXT),
        storageUrl=maybe(TEXT),
        references=listed(ANY_OBJECT),
        accountId=TEXT,
        resourceIdentifier=TEXT,
        createdAt=TIME,
        updatedAt=TIME,
        deletedAt=maybe(TIME),
    ),
    "Health": {"type": "object", "properties": {"status": TEXT}},
}
