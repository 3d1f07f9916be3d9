"""tus 1.0.0 answers, at the level of headers. Numbers in ids are those of the conformance check list."""

from __future__ import annotations

import pytest

from tusdrive.domain import errors
from tusdrive.domain.ranges import Ranges
from tusdrive.domain.upload import Kind, State, Upload
from tusdrive.protocols.dialect import Dialect, Reply
from tusdrive.protocols.tus import Tus

TUS: Dialect = Tus()
ID = "0123456789abcdef0123456789abcdef"
RESUMABLE = (b"tus-resumable", b"1.0.0")
NO_STORE = (b"cache-control", b"no-store")
TEXT = (b"content-type", b"text/plain; charset=utf-8")
EXPIRES = (b"upload-expires", b"Wed, 25 Jun 2014 16:00:00 GMT")
LATER = 1_403_712_000_000_000


def upload(**fields: object) -> Upload:
    return Upload(**{"id": ID, "account": "ann", "place": "h/a", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "with_upload", "more"),
    [
        pytest.param(upload(length=9), False, [], id="37"),
        pytest.param(upload(length=9, received=Ranges(4)), True, [(b"upload-offset", b"4")], id="60"),
        pytest.param(upload(length=9, expires_at=LATER), False, [EXPIRES], id="68"),
        pytest.param(upload(length=9, expires_at=LATER), True, [(b"upload-offset", b"0"), EXPIRES], id="68 with body"),
    ],
)
def test_created(made: Upload, with_upload: bool, more: list[tuple[bytes, bytes]]) -> None:
    location = "https://h/files/" + ID
    wanted = [RESUMABLE, NO_STORE, (b"location", location.encode()), *more]
    assert TUS.created(made, location, with_upload) == Reply(201, wanted)


@pytest.mark.parametrize(
    ("after", "more"),
    [
        pytest.param(upload(length=9, received=Ranges(4, ((6, 9),))), [(b"upload-offset", b"4")], id="21"),
        pytest.param(upload(received=Ranges(4), expires_at=LATER), [(b"upload-offset", b"4"), EXPIRES], id="54 67"),
        pytest.param(
            upload(length=4, received=Ranges(4), state=State.COMPLETED, file_id="f"),
            [(b"upload-offset", b"4")],
            id="30 69",
        ),
    ],
)
def test_appended(after: Upload, more: list[tuple[bytes, bytes]]) -> None:
    assert TUS.appended(after) == Reply(204, [RESUMABLE, NO_STORE, *more])


OFFSET4 = (b"upload-offset", b"4")
LENGTH9 = (b"upload-length", b"9")


@pytest.mark.parametrize(
    ("known", "more"),
    [
        pytest.param(upload(length=9), [(b"upload-offset", b"0"), LENGTH9], id="14 15 16 20 102"),
        pytest.param(
            upload(length=9, received=Ranges(9), state=State.COMPLETED),
            [(b"upload-offset", b"9"), LENGTH9],
            id="15 done",
        ),
        pytest.param(upload(received=Ranges(4)), [OFFSET4, (b"upload-defer-length", b"1")], id="53 54"),
        pytest.param(upload(length=9, received=Ranges(4)), [OFFSET4, LENGTH9], id="55"),
        pytest.param(
            upload(length=9, metadata="b Yg==,is_confidential, a YQ=="),
            [(b"upload-offset", b"0"), LENGTH9, (b"upload-metadata", b"b Yg==,is_confidential, a YQ==")],
            id="19 46",
        ),
        pytest.param(upload(length=9, expires_at=LATER), [(b"upload-offset", b"0"), LENGTH9, EXPIRES], id="69"),
        pytest.param(
            upload(length=9, file_expires_at=LATER, received=Ranges(4)),
            [OFFSET4, LENGTH9],
            id="69 only its file will expire",
        ),
        pytest.param(
            upload(length=9, file_expires_at=LATER, received=Ranges(9), state=State.COMPLETED, file_id="f"),
            [(b"upload-offset", b"9"), LENGTH9, EXPIRES],
            id="69 a file that expires",
        ),
        pytest.param(
            upload(length=9, kind=Kind.PARTIAL, concat="partial", received=Ranges(4)),
            [OFFSET4, LENGTH9, (b"upload-concat", b"partial")],
            id="90",
        ),
        pytest.param(
            upload(length=9, received=Ranges(9), kind=Kind.FINAL, concat="final;/a /b", state=State.COMPLETED),
            [(b"upload-offset", b"9"), LENGTH9, (b"upload-concat", b"final;/a /b")],
            id="92",
        ),
        pytest.param(
            upload(length=9, kind=Kind.FINAL, concat="final;/a /b", state=State.ASSEMBLING),
            [LENGTH9, (b"upload-concat", b"final;/a /b")],
            id="93",
        ),
        pytest.param(
            upload(kind=Kind.FINAL, concat="final;/a /b", state=State.ASSEMBLING),
            [(b"upload-concat", b"final;/a /b")],
            id="93 length unknown",
        ),
        pytest.param(
            upload(length=9, kind=Kind.FINAL, concat="final;/a /b", metadata="a YQ==", state=State.ASSEMBLING),
            [LENGTH9, (b"upload-metadata", b"a YQ=="), (b"upload-concat", b"final;/a /b")],
            id="99",
        ),
        pytest.param(
            upload(length=9, auto_finish=False, file_name="日.txt", content_type="text/plain", received=Ranges(4)),
            [OFFSET4, LENGTH9, (b"upload-metadata", b"filename 5pelLnR4dA==,filetype dGV4dC9wbGFpbg==")],
            id="begun by REST",
        ),
    ],
)
def test_described(known: Upload, more: list[tuple[bytes, bytes]]) -> None:
    assert TUS.described(known) == Reply(200, [RESUMABLE, NO_STORE, *more])


def test_check_85_removed() -> None:
    assert TUS.removed() == Reply(204, [RESUMABLE, NO_STORE])


RETRY = (b"retry-after", b"1")
OPEN = upload(length=9, received=Ranges(4))


@pytest.mark.parametrize(
    ("error", "known", "status", "more", "body"),
    [
        pytest.param(
            errors.OffsetMismatch(expected=3, provided=9), OPEN, 409, [OFFSET4],
            "OFFSET_MISMATCH: Upload-Offset is not where the upload stands; ask with HEAD and go on from there.",
            id="24",
        ),
        pytest.param(
            errors.OffsetMismatch(expected=3, provided=9), None, 409, [(b"upload-offset", b"3")],
            "OFFSET_MISMATCH: Upload-Offset is not where the upload stands; ask with HEAD and go on from there.",
            id="24 without the upload",
        ),
        pytest.param(
            errors.OffsetMismatch("elsewhere"), None, 409, [], "OFFSET_MISMATCH: elsewhere", id="24 nothing known"
        ),
        pytest.param(errors.WrongState("busy"), OPEN, 409, [OFFSET4], "WRONG_STATE: busy", id="409"),
        pytest.param(errors.ChunkExists("there"), None, 409, [], "CHUNK_EXISTS: there", id="409 chunk"),
        pytest.param(errors.Gone("the upload is expired"), upload(state=State.EXPIRED), 410, [],
                     "GONE: the upload is expired", id="70"),
        pytest.param(errors.NotFound("no such upload"), None, 404, [], "NOT_FOUND: no such upload", id="17 26 87"),
        pytest.param(errors.UnsupportedMedia("no"), OPEN, 415, [], "UNSUPPORTED_MEDIA_TYPE: no", id="22"),
        pytest.param(errors.InvalidOffset("no"), OPEN, 400, [], "INVALID_OFFSET: no", id="25"),
        pytest.param(errors.InvalidLength("no"), OPEN, 400, [], "INVALID_LENGTH: no", id="35 57"),
        pytest.param(errors.InvalidChecksum("no"), OPEN, 400, [], "INVALID_CHECKSUM: no", id="74"),
        pytest.param(errors.InvalidConcat("no"), None, 400, [], "INVALID_CONCAT: no", id="98"),
        pytest.param(errors.SizeExceeded("no"), OPEN, 413, [], "SIZE_EXCEEDED: no", id="27"),
        pytest.param(errors.TooLarge("no"), None, 413, [], "TOO_LARGE: no", id="42 101"),
        pytest.param(errors.QuotaExceeded("no"), None, 413, [], "QUOTA_EXCEEDED: no", id="quota"),
        pytest.param(errors.HeaderTooLarge("no"), None, 431, [], "HEADER_TOO_LARGE: no", id="52"),
        pytest.param(errors.ChecksumMismatch("no"), OPEN, 460, [OFFSET4], "CHECKSUM_MISMATCH: no", id="73"),
        pytest.param(errors.HashMismatch("no"), OPEN, 422, [], "HASH_MISMATCH: no", id="hash"),
        pytest.param(errors.ModifyFinal("no"), None, 403, [], "MODIFY_FINAL: no", id="94"),
        pytest.param(errors.Unauthenticated("no"), None, 401, [(b"www-authenticate", b"Bearer")], "UNAUTHORIZED: no",
                     id="401"),
        pytest.param(errors.MethodNotAllowed("no", allow=("GET", "HEAD")), None, 405, [(b"allow", b"GET, HEAD")],
                     "METHOD_NOT_ALLOWED: no", id="13 45"),
        pytest.param(errors.Locked("no"), OPEN, 423, [RETRY, OFFSET4], "UPLOAD_LOCKED: no", id="33"),
        pytest.param(errors.Locked("no"), upload(state=State.ASSEMBLING), 423, [RETRY], "UPLOAD_LOCKED: no",
                     id="93 no offset"),
        pytest.param(errors.Interrupted("no"), OPEN, 423, [OFFSET4, RETRY], "UPLOAD_INTERRUPTED: no", id="34"),
        pytest.param(errors.BodyTimeout("no"), OPEN, 503, [RETRY], "BODY_TIMEOUT: no", id="32"),
        pytest.param(errors.Incomplete("no"), OPEN, 503, [RETRY], "INCOMPLETE_BODY: no", id="31"),
        pytest.param(errors.Busy("no"), None, 503, [RETRY], "BUSY: no", id="busy"),
        pytest.param(errors.ShuttingDown("no"), None, 503, [(b"retry-after", b"5")], "SHUTTING_DOWN: no", id="stop"),
        pytest.param(errors.StorageFull("no"), None, 507, [], "STORAGE_FULL: no", id="507"),
        pytest.param(errors.StorageFailed("/var/x"), None, 500, [],
                     "STORAGE_FAILED: The server could not store or read the data.", id="500"),
        pytest.param(ValueError("secret"), OPEN, 500, [], "SERVER_ERROR: Something went wrong on the server",
                     id="500 unknown"),
    ],
)  # fmt: skip
def test_refused(
    error: Exception, known: Upload | None, status: int, more: list[tuple[bytes, bytes]], body: str
) -> None:
    """Check 3: every refusal carries Tus-Resumable; check 16: and no-store; check 80: and says why in a short text."""
    reply = TUS.refused(error, known)
    assert reply == Reply(status, [RESUMABLE, NO_STORE, TEXT, *more], body.encode() + b"\n")
