"""The one status table: every error has a status, a code of its own, and says nothing that it should not."""

from __future__ import annotations

import pytest

from tusdrive.domain import errors
from tusdrive.domain.errors import TusdriveError
from tusdrive.protocols import problem, tus

REST = {
    "Invalid": (400, "VALIDATION_ERROR"),
    "InvalidOffset": (400, "INVALID_OFFSET"),
    "InvalidLength": (400, "INVALID_LENGTH"),
    "InvalidMetadata": (400, "INVALID_METADATA"),
    "InvalidChecksum": (400, "INVALID_CHECKSUM"),
    "InvalidConcat": (400, "INVALID_CONCAT"),
    "ChunkOutOfRange": (400, "CHUNK_OUT_OF_RANGE"),
    "Unauthenticated": (401, "UNAUTHORIZED"),
    "Forbidden": (403, "FORBIDDEN"),
    "ModifyFinal": (403, "MODIFY_FINAL"),
    "OriginNotAllowed": (403, "ORIGIN_NOT_ALLOWED"),
    "NotFound": (404, "NOT_FOUND"),
    "Gone": (410, "GONE"),
    "MethodNotAllowed": (405, "METHOD_NOT_ALLOWED"),
    "Conflict": (409, "CONFLICT"),
    "OffsetMismatch": (409, "OFFSET_MISMATCH"),
    "ChunkExists": (409, "CHUNK_EXISTS"),
    "BytesDiffer": (409, "BYTES_DIFFER"),
    "MissingChunks": (409, "CHUNKS_MISSING"),
    "WrongState": (409, "WRONG_STATE"),
    "UnsupportedVersion": (412, "UNSUPPORTED_VERSION"),
    "PreconditionFailed": (412, "PRECONDITION_FAILED"),
    "TooLarge": (413, "TOO_LARGE"),
    "SizeExceeded": (413, "SIZE_EXCEEDED"),
    "HeaderTooLarge": (431, "HEADER_TOO_LARGE"),
    "UnsupportedMedia": (415, "UNSUPPORTED_MEDIA_TYPE"),
    "RangeNotSatisfiable": (416, "RANGE_NOT_SATISFIABLE"),
    "HashMismatch": (422, "HASH_MISMATCH"),
    "ChecksumMismatch": (422, "CHECKSUM_MISMATCH"),
    "QuotaExceeded": (403, "QUOTA_EXCEEDED"),
    "StorageFull": (507, "STORAGE_FULL"),
    "Locked": (423, "UPLOAD_LOCKED"),
    "Interrupted": (409, "UPLOAD_INTERRUPTED"),
    "BodyTimeout": (408, "BODY_TIMEOUT"),
    "Incomplete": (400, "INCOMPLETE_BODY"),
    "Busy": (503, "BUSY"),
    "ShuttingDown": (503, "SHUTTING_DOWN"),
    "StorageFailed": (500, "STORAGE_FAILED"),
}
TUS = {
    "ChecksumMismatch": 460,
    "QuotaExceeded": 413,
    "Interrupted": 423,
    "BodyTimeout": 503,
    "Incomplete": 503,
}
"""Where tus differs."""


def below(kind: type[TusdriveError]) -> list[type[TusdriveError]]:
    return [each for child in kind.__subclasses__() for each in (child, *below(child))]


ALL = below(TusdriveError)


def test_every_error_is_in_the_table_of_this_test() -> None:
    assert {kind.__name__ for kind in ALL} == set(REST)


def test_every_error_is_drawn_in_the_tree() -> None:
    drawn = {line.split("──")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "──" in line}
    assert drawn == set(REST)


def test_codes_are_unique() -> None:
    assert len({kind.code for kind in ALL}) == len(ALL)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_status_and_code(kind: type[TusdriveError]) -> None:
    error = kind()
    assert (problem.status_of(error), kind.code) == REST[kind.__name__]
    assert problem.status_of(error, tus.STATUS) == TUS.get(kind.__name__, REST[kind.__name__][0])
    assert error.message == (kind.__doc__ or "").strip()
    assert error.message.endswith(".")


def test_unknown_errors_are_500() -> None:
    for error in (RuntimeError("x"), KeyboardInterrupt(), TusdriveError("x")):
        assert problem.status_of(error) == 500


def test_problem() -> None:
    error = errors.MissingChunks(missingChunks=[[1, 2]], missingBytes=9, taskId="t")
    assert problem.problem(error, "trace-1") == {
        "code": "CHUNKS_MISSING",
        "message": "Some chunks have not arrived; send them, then complete again.",
        "status": 409,
        "details": {"missingChunks": [[1, 2]], "missingBytes": 9, "taskId": "t"},
        "traceId": "trace-1",
    }


@pytest.mark.parametrize("error", [RuntimeError("secret"), KeyError("secret"), OSError(2, "secret", "/secret")])
def test_nothing_is_told_of_unknown_errors(error: Exception) -> None:
    assert problem.problem(error, None) == {
        "code": "SERVER_ERROR",
        "message": "Something went wrong on the server",
        "status": 500,
        "details": {},
        "traceId": None,
    }


def test_nothing_is_told_of_our_disk() -> None:
    told = problem.problem(errors.StorageFailed("/var/lib/secret", errno=5), None)
    assert (told["message"], told["details"]) == ("The server could not store or read the data.", {})


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (errors.Unauthenticated(), [(b"www-authenticate", b"Bearer")]),
        (errors.MethodNotAllowed(allow=["GET", "PUT"]), [(b"allow", b"GET, PUT")]),
        (errors.MethodNotAllowed(), [(b"allow", b"")]),
        (errors.RangeNotSatisfiable(size=9), [(b"content-range", b"bytes */9")]),
        (errors.RangeNotSatisfiable(), []),
        (errors.Locked(), [(b"retry-after", b"1")]),
        (errors.Busy(), [(b"retry-after", b"1")]),
        (errors.ShuttingDown(), [(b"retry-after", b"5")]),
        (errors.NotFound(), []),
        (ValueError(), []),
    ],
)
def test_headers(error: Exception, headers: list[tuple[bytes, bytes]]) -> None:
    assert problem.headers_of(error) == headers
