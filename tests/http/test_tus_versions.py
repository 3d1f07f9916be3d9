"""Conformance checks 1 to 13: versions, OPTIONS, method override, verbs."""

from __future__ import annotations

import pytest
import tus
from asking import BODY, NOWHERE, Header, Row, V, api, b64, length, make, offset, override, stands, told
from harness import Server

EXTENSIONS = (
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation,"
    "concatenation-unfinished"
)
WITHOUT_EXPIRATION = EXTENSIONS.replace("expiration,", "")
SHA1_OF_OTHER: Header = ("Upload-Checksum", "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=")

VERBS = [
    ("post", "POST", "/files", (length(10),), b""),
    ("patch", "PATCH", "/files/{id}", (BODY, offset(3)), b"defg"),
    ("delete", "DELETE", "/files/{id}", (), b""),
    ("head", "HEAD", "/files/{id}", (), b""),
]


def of_version(check: str, *version: Header) -> list[Row]:
    return [
        Row(
            id=f"{check}-{name}", method=method, path=path, headers=(*version, *headers), body=body,
            status=412, code="UNSUPPORTED_VERSION", has={"tus-version": "1.0.0", "tus-resumable": "1.0.0"},
            lacks=("upload-offset", "location"),
        )
        for name, method, path, headers, body in VERBS
    ]  # fmt: skip


VERSIONS = [
    *of_version("check-001-without-tus-resumable"),
    *of_version("check-002-old-version", ("Tus-Resumable", "0.2.2")),
    *of_version("check-002-future-version", ("Tus-Resumable", "99.0.0")),
    *of_version("check-002-empty-version", ("Tus-Resumable", "")),
    *of_version("check-002-version-twice", V, V),
]


@pytest.mark.parametrize("row", VERSIONS, ids=str)
def test_another_version_is_refused_and_nothing_is_processed(server: Server, row: Row) -> None:
    id = make(server, 10, body=b"abc")
    before = api(server, "GET", "/files/upload/tasks").number("x-total")
    row.ask(server, id)
    assert api(server, "GET", "/files/upload/tasks").number("x-total") == before, "an upload was created"
    assert stands(server, id) == 3


R = {"tus-resumable": "1.0.0"}
EVERY = [
    Row(id="check-003-201", method="POST", path="/files", headers=(V, length(10)), status=201, has=R),
    Row(id="check-003-204-patch", method="PATCH", headers=(V, BODY, offset(3)), body=b"d", status=204, has=R),
    Row(id="check-003-204-delete", method="DELETE", headers=(V,), status=204, has=R),
    Row(id="check-003-200-head", method="HEAD", headers=(V,), status=200, has=R),
    Row(id="check-003-400", method="POST", path="/files", headers=(V,), status=400, code="INVALID_LENGTH", has=R),
    Row(id="check-003-404", method="HEAD", path=f"/files/{NOWHERE}", headers=(V,), status=404, has=R),
    Row(id="check-003-404-no-id", method="GET", path="/files/..%2f..", headers=(V,), status=404, code="NOT_FOUND", has=R),
    Row(id="check-003-405", method="PUT", headers=(V,), status=405, code="METHOD_NOT_ALLOWED", has=R),
    Row(id="check-003-409", method="PATCH", headers=(V, BODY, offset(9)), body=b"d", status=409,
        code="OFFSET_MISMATCH", has=R),
    Row(id="check-003-409-unfinished-get", method="GET", status=409, code="WRONG_STATE", has=R),
    Row(id="check-003-412", method="PATCH", headers=(BODY, offset(3)), body=b"d", status=412,
        code="UNSUPPORTED_VERSION", has=R),
    Row(id="check-003-413", method="PATCH", headers=(V, BODY, offset(3)), body=b"12345678", status=413,
        code="SIZE_EXCEEDED", has=R),
    Row(id="check-003-415", method="PATCH", headers=(V, offset(3)), body=b"d", status=415,
        code="UNSUPPORTED_MEDIA_TYPE", has=R),
    Row(id="check-003-431", method="POST", path="/files", headers=(V, length(1), ("X-Long", "x" * 33_000)), status=431,
        has=R),
    Row(id="check-003-460", method="PATCH", headers=(V, BODY, offset(3), SHA1_OF_OTHER), body=b"d", status=460,
        code="CHECKSUM_MISMATCH", has=R),
    Row(id="check-003-507", method="POST", path="/files", headers=(V, length(10**15)), status=507, code="STORAGE_FULL",
        has=R),
]  # fmt: skip


@pytest.mark.parametrize("row", EVERY, ids=str)
def test_every_answer_names_the_version(server: Server, row: Row) -> None:
    row.ask(server, make(server, 10, body=b"abc"))


def test_check_003_503_too_and_410(hasty: Server) -> None:
    id = make(hasty, 10)
    with tus.hung(hasty, f"/files/{id}", 0, 10, b"abc") as connection:
        answer = connection.response("PATCH")
    assert (answer.status, answer.header("tus-resumable")) == (503, "1.0.0")
    assert answer.header("retry-after") == "1"
    tus.delete(hasty, f"/files/{id}")
    answer = told(hasty, id)
    assert (answer.status, answer.header("tus-resumable")) == (410, "1.0.0")


def test_check_003_401_too(accounts: Server) -> None:
    answer = accounts.request("POST", "/files", (V, length(1), ("Authorization", "Bearer x.y.z")))
    assert (answer.status, answer.header("tus-resumable")) == (401, "1.0.0")
    assert answer.header("www-authenticate") == "Bearer"
    assert answer.body.startswith(b"UNAUTHORIZED: ")


CAPABILITIES = [
    Row(id="check-004-options-without-tus-resumable", method="OPTIONS", path="/files", status=200,
        has={"tus-version": "1.0.0"}),
    Row(id="check-005-options-with-another-version", method="OPTIONS", path="/files",
        headers=(("Tus-Resumable", "9.9.9"),), status=200, has={"tus-version": "1.0.0"}),
    Row(id="check-006-extensions", method="OPTIONS", path="/files", status=200, has={"tus-extension": EXTENSIONS}),
    Row(id="check-007-no-max-size", method="OPTIONS", path="/files", status=200, lacks=("tus-max-size",)),
    Row(id="check-008-algorithms", method="OPTIONS", path="/files", status=200,
        has={"tus-checksum-algorithm": "sha1,md5,sha256,sha512,crc32,xxh3-128"}),
    Row(id="check-009-options-collection", method="OPTIONS", path="/files", status=200, has={"tus-version": "1.0.0"}),
    Row(id="check-009-options-collection-slash", method="OPTIONS", path="/files/", status=200,
        has={"tus-version": "1.0.0"}),
    Row(id="check-009-options-upload", method="OPTIONS", path="/files/{id}", status=200, has={"tus-version": "1.0.0"}),
    Row(id="check-009-options-upload-slash", method="OPTIONS", path="/files/{id}/", status=200,
        has={"tus-version": "1.0.0"}),
    Row(id="check-009-head-slash", method="HEAD", path="/files/{id}/", headers=(V,), status=200,
        has={"upload-offset": "3"}),
    Row(id="check-009-create-slash", method="POST", path="/files/", headers=(V, length(5)), status=201),
]  # fmt: skip


@pytest.mark.parametrize("row", CAPABILITIES, ids=str)
def test_options(server: Server, row: Row) -> None:
    row.ask(server, make(server, 10, body=b"abc"))


def test_check_006_only_what_is_on_is_listed(limited: Server) -> None:
    assert limited.request("OPTIONS", "/files").header("tus-extension") == WITHOUT_EXPIRATION


def test_check_007_max_size(limited: Server) -> None:
    assert limited.request("OPTIONS", "/files").header("tus-max-size") == "204800"


@pytest.mark.parametrize("path", ["/files", f"/files/{NOWHERE}", "/api/files/upload/create"])
def test_check_010_preflight_needs_no_login(accounts: Server, path: str) -> None:
    asked = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "PATCH"),
             ("Access-Control-Request-Headers", "authorization, tus-resumable, upload-offset")]  # fmt: skip
    with accounts.connect() as connection:
        answer = connection.exchange("OPTIONS", path, asked)
    assert answer.status == 200
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("access-control-allow-methods") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    allowed = {name.strip().lower() for name in (answer.header("access-control-allow-headers") or "").split(",")}
    wanted = "authorization content-type tus-resumable upload-length upload-offset upload-metadata upload-defer-length"
    assert set(wanted.split()) | {"upload-concat", "upload-checksum", "x-http-method-override"} <= allowed
    assert answer.header("access-control-max-age") == "7200"


P = (V, override("PATCH"))
OVERRIDES = [
    (Row(id="check-011-post-as-patch", method="POST", headers=(*P, BODY, offset(3)), body=b"def", status=204,
         has={"upload-offset": "6"}), 6),
    (Row(id="check-011-lower-case", method="POST", headers=(V, override("patch"), BODY, offset(3)), body=b"def",
         status=204, has={"upload-offset": "6"}), 6),
    (Row(id="check-011-patch-type", method="POST", headers=(*P, offset(3)), body=b"def", status=415,
         code="UNSUPPORTED_MEDIA_TYPE"), 3),
    (Row(id="check-011-patch-offset", method="POST", headers=(*P, BODY, offset(0)), body=b"def", status=409,
         code="OFFSET_MISMATCH"), 3),
    (Row(id="check-011-patch-version", method="POST", headers=(override("PATCH"), BODY, offset(3)), body=b"def",
         status=412, code="UNSUPPORTED_VERSION"), 3),
    (Row(id="check-011-post-as-head", method="POST", headers=(V, override("HEAD")), status=200,
         has={"upload-offset": "3", "upload-length": "10"}), 3),
    (Row(id="check-011-post-as-delete", method="POST", headers=(V, override("DELETE")), status=204), None),
    (Row(id="check-012-get-as-delete", method="GET", headers=(V, override("DELETE")), status=204), None),
    (Row(id="check-012-get-as-delete-version", method="GET", headers=(override("DELETE"),), status=412,
         code="UNSUPPORTED_VERSION"), 3),
    (Row(id="check-012-delete-as-head", method="DELETE", headers=(V, override("HEAD")), status=200,
         has={"upload-offset": "3"}), 3),
    (Row(id="check-012-put-as-patch", method="PUT", headers=(*P, BODY, offset(3)), body=b"def", status=204,
         has={"upload-offset": "6"}), 6),
    (Row(id="check-012-unknown", method="POST", headers=(V, override("FROB")), status=405, code="METHOD_NOT_ALLOWED",
         has={"allow": "GET, HEAD, PATCH, DELETE, OPTIONS"}), 3),
    (Row(id="check-013-upload", method="PUT", headers=(V,), status=405, code="METHOD_NOT_ALLOWED",
         has={"allow": "GET, HEAD, PATCH, DELETE, OPTIONS"}), 3),
    (Row(id="check-013-collection", method="PUT", path="/files", headers=(V,), status=405, code="METHOD_NOT_ALLOWED",
         has={"allow": "POST, OPTIONS"}), 3),
    (Row(id="check-013-collection-get", method="GET", path="/files/", headers=(V,), status=405,
         code="METHOD_NOT_ALLOWED", has={"allow": "POST, OPTIONS"}), 3),
]  # fmt: skip


@pytest.mark.parametrize(("row", "after"), OVERRIDES, ids=str)
def test_the_override_replaces_the_method(server: Server, row: Row, after: int | None) -> None:
    id = make(server, 10, body=b"abc")
    row.ask(server, id)
    answer = told(server, id)
    assert (answer.status, answer.header("upload-offset")) == ((410, None) if after is None else (200, str(after)))


def test_check_011_creation_is_not_confused(server: Server) -> None:
    """A PATCH that asks to be a POST creates, as tunnels do it the other way round."""
    metadata = ("Upload-Metadata", f"filename {b64(b'a')}")
    answer = server.request("PATCH", "/files", (V, override("POST"), length(4), metadata))
    assert answer.status == 201
    assert stands(server, answer.header("location")[-32:]) == 0
