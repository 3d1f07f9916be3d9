"""Hostile values: names, sizes, metadata and JSON. Taken as data or refused with 4xx; never believed, never 5xx."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from guarded import APPEND, JSON, VERSION, Guarded
from harness import Response

NAMES = {
    "up": "../../x", "up on Windows": "..\\..\\x", "absolute": "/etc/passwd", "drive": "C:\\x", "UNC": "\\\\host\\share\\x",
    "NUL": "a\0b", "encoded": "%2e%2e%2f%2e%2e%2fx", "long": "a" * 300, "longest": "a" * 1024, "too long": "a" * 1025,
    "longer": "a" * 60_000, "device": "CON", "dot and blank": "x. ", "only blank": " ", "dot": ".", "dots": "..",
    "right to left": "\u202egnp.exe", "composed": "\u00e9", "decomposed": "e\u0301", "line": "a\r\nSet-Cookie: x=1",
    "newline": "a\nb", "quote": 'a"; filename="b', "semicolon": "a;b=c", "emoji": "\U0001f600" * 50, "empty": "",
    "delete": "a\x7fb", "controls": "\x01\x1b[2J", "slash": "a/b/c", "zero width": "a\u200bb", "line separator": "a\u2028b",
    "tag": "<script>alert(1)</script>", "percent": "%s%n%x", "not a character": "\ufffe\uffff", "astral": "\U0010ffff",
    "sql": "'); DROP TABLE uploads;--", "surrogate": "\ud800", "surrogates": "\udfff\ud800x", "dollar": "$(reboot)`id`",
}  # fmt: skip
REFUSED = {
    "NUL", "too long", "longer", "line", "newline", "empty", "delete", "controls", "surrogate", "surrogates",
}  # fmt: skip


def _create(guarded: Guarded, body: bytes | str, *headers: tuple[str, str]) -> Response:
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    answer = guarded.ask(guarded.ann, "POST", "/api/files/upload/create", headers or (JSON,), body)
    assert answer.status < 500, answer
    return answer


def _tus(guarded: Guarded, *headers: tuple[str, str | int], body: bytes = b"") -> Response:
    answer = guarded.ask(guarded.ann, "POST", "/files", (VERSION, *headers), body)
    assert answer.status < 500, answer
    return answer


def _wish(**more: Any) -> str:
    return json.dumps({"fileName": "x", "fileSize": 0, "contentType": "text/plain"} | more)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


def _check_headers(answer: Response) -> None:
    """No header was made by a name: no new ones, no unsafe ones, and nothing a client could take for a path."""
    names = [name for name, _ in answer.headers]
    assert "set-cookie" not in names
    assert len(names) == len(set(names))
    value = answer.header("content-disposition") or ""
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2
    for path in ("/", "\\"):
        assert path not in value


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize("sort", NAMES)
def test_a_name_in_json_is_data(guarded: Guarded, sort: str) -> None:
    name = NAMES[sort]
    answer = _create(guarded, _wish(fileName=name))
    if sort in REFUSED:
        assert (answer.status, answer.json()["details"]["field"]) in [(400, "fileName"), (400, "body")]
        return
    assert answer.status == 200, answer
    task = answer.json()["taskId"]
    done = guarded.ask(guarded.ann, "POST", f"/api/files/upload/complete/{task}").json()
    assert done["name"] == name
    _check_headers(guarded.ask(guarded.ann, "GET", f"/api/files/{done['id']}"))


@pytest.mark.parametrize("sort", NAMES)
def test_a_name_in_metadata_is_data(guarded: Guarded, sort: str) -> None:
    name = NAMES[sort]
    metadata = f"filename {_b64(name)}"
    answer = _tus(guarded, ("Upload-Length", 0), ("Upload-Metadata", metadata))
    if sort in REFUSED - {"empty"}:
        assert answer.status in (400, 431)
        return
    assert answer.status == 201, answer
    at = (answer.header("location") or "").partition("?")[0].rpartition("/")[2]
    head = guarded.ask(guarded.ann, "HEAD", f"/files/{at}", (VERSION,))
    assert head.header("upload-metadata") == metadata.strip()
    _check_headers(guarded.ask(guarded.ann, "GET", f"/files/{at}"))


@pytest.mark.parametrize("sort", NAMES)
def test_a_name_in_a_rename_is_data(guarded: Guarded, sort: str) -> None:
    file = guarded.finished().file
    answer = guarded.ask(guarded.ann, "PATCH", f"/api/files/{file}/name", (JSON,), json.dumps(NAMES[sort]).encode())
    assert answer.status == (400 if sort in REFUSED else 200), answer
    expected = "secret-name" if sort in REFUSED else NAMES[sort]
    assert guarded.ask(guarded.ann, "GET", f"/api/files/{file}/info").json()["name"] == expected
    _check_headers(guarded.ask(guarded.ann, "GET", f"/api/files/{file}"))


@pytest.mark.parametrize(
    "kind",
    [
        "text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/pdf", "multipart/related",
        "text/html;charset=utf-7", "TEXT/HTML", "text/plain\r\nX: y", "text/plain; x=\"\x01\"", "not a type",
        "a/" + "b" * 300, "image/png, text/html", "application/x-shockwave-flash", "message/rfc822", "", "/", "é/é",
    ],
)  # fmt: skip
def test_no_declared_type_makes_a_browser_run_it(guarded: Guarded, kind: str) -> None:
    created = _create(guarded, _wish(fileName="page.html", contentType=kind))
    assert created.status == 200, created
    done = guarded.ask(guarded.ann, "POST", f"/api/files/upload/complete/{created.json()['taskId']}").json()
    answer = guarded.ask(guarded.ann, "GET", f"/api/files/{done['id']}")
    assert (answer.header("content-disposition") or "").startswith("attachment;")
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("content-security-policy") == "default-src 'none'; sandbox"
    assert (answer.header("content-type") or "").isprintable()
    _check_headers(answer)


# ------------------------------------------------------------------------------------------------ sizes

NO_NUMBERS = [
    "-1", "+5", "1_000", "1e3", "1.0", "0x10", "5 6", "", "\uff15", "\u0665", "\u00b2", "NaN", "Infinity", "-0", "true",
    "null", "5,5", "5;", "٣",
]  # fmt: skip
TOO_LARGE = [str(2**63), str(2**64), "1" + "0" * 400, "99999999999999999"]


@pytest.mark.parametrize("text", NO_NUMBERS + TOO_LARGE)
@pytest.mark.parametrize("name", ["Upload-Length", "Upload-Offset", "Upload-Defer-Length"])
def test_a_size_in_a_header_is_a_plain_number(guarded: Guarded, name: str, text: str) -> None:
    if name == "Upload-Offset":
        at = f"/files/{guarded.open_upload().id}"
        answer = guarded.ask(guarded.ann, "PATCH", at, (VERSION, APPEND, (name, text)), b"x")
    else:
        answer = _tus(guarded, (name, text))
    assert answer.status in ((413,) if text in TOO_LARGE and name == "Upload-Length" else (400,)), answer


@pytest.mark.parametrize("text", NO_NUMBERS + TOO_LARGE)
def test_a_length_that_comes_later_is_a_plain_number_too(guarded: Guarded, text: str) -> None:
    created = _tus(guarded, ("Upload-Defer-Length", 1))
    at = "/files/" + (created.header("location") or "").partition("?")[0].rpartition("/")[2]
    headers = (VERSION, APPEND, ("Upload-Offset", 0), ("Upload-Length", text))
    answer = guarded.ask(guarded.ann, "PATCH", at, headers, b"x")
    assert answer.status in (400, 413), answer
    assert guarded.ask(guarded.ann, "HEAD", at, (VERSION,)).number("upload-offset") == 0


@pytest.mark.parametrize(
    "literal",
    [
        "-1", "true", "false", "1.5", "1e400", "-0.5", '"5"', "[5]", "{}", "null", "NaN", "Infinity", "-Infinity",
        "0x10", "+5", "1_000", "05", "1e", str(2**63), str(2**64), "1" + "0" * 400, "1" + "0" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("field", ["fileSize", "chunkSize"])
def test_a_size_in_json_is_a_whole_number(guarded: Guarded, field: str, literal: str) -> None:
    sizes = {"fileSize": "3", "chunkSize": "1024"} | {field: literal}
    pairs = ", ".join(f'"{name}": {value}' for name, value in sizes.items())
    answer = _create(guarded, f'{{"fileName": "x", "contentType": "text/plain", {pairs}}}')
    if field == "chunkSize" and literal == "null":
        assert answer.status == 200
    else:
        assert answer.status in (400, 413), answer


@pytest.mark.parametrize("size", [0, 1, 1023, 2**40, 16 * 2**20 + 1])
def test_a_chunk_size_is_within_bounds(guarded: Guarded, size: int) -> None:
    assert _create(guarded, _wish(fileSize=10, chunkSize=size)).status == 400


def test_a_file_of_too_many_chunks_is_refused(guarded: Guarded) -> None:
    assert _create(guarded, _wish(fileSize=2**40, chunkSize=1024)).status == 400


def test_more_than_the_disk_has_is_refused_and_holds_nothing(guarded: Guarded) -> None:
    size = 9_000_000_000_000_000
    for _ in range(20):
        wish = _wish(fileSize=size).encode()
        assert guarded.ask(guarded.ann, "POST", "/api/files/upload/create", (JSON,), wish).status == 507
        assert guarded.ask(guarded.ann, "POST", "/files", (VERSION, ("Upload-Length", size))).status == 507
    assert _tus(guarded, ("Upload-Length", 3)).status == 201


@pytest.mark.parametrize("index", ["-1", "+1", "1_0", "٣", "1.0", "4", "99999999999999999999", "0x1", "", " 1", "1%00"])
def test_a_chunk_index_is_a_plain_number_within_the_file(guarded: Guarded, index: str) -> None:
    path = f"/api/files/upload/chunk/{guarded.open_upload().id}/{quote(index, safe='%')}"
    answer = guarded.ask(guarded.ann, "POST", path, (("Content-Type", "application/octet-stream"),), b"x")
    assert answer.status in (400, 404), answer


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-1", "limit=201", "limit=1e2", "limit=99999999999999999999", "offset=-1", "offset=1_0",
        "limit=%00", "offset=%EF%BC%95", "sortBy=password", "sortBy=created_at;DROP%20TABLE%20uploads", "sortBy=1",
        "sortBy=id%20DESC--", "status=%27%20OR%201=1", "status=2", "status=[]", "sortDescending=maybe", "limit=5&limit=x",
        "status=InProgress,Nothing", "limit=5;offset=1",
    ],
)  # fmt: skip
def test_a_query_is_one_of_what_is_known(guarded: Guarded, query: str) -> None:
    answer = guarded.ask(guarded.ann, "GET", f"/api/files/upload/tasks?{query}")
    assert answer.status == 400, answer


# ------------------------------------------------------------------------------------------------ metadata


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        (",".join(f"k{n}" for n in range(33)), 400),
        (",".join(f"k{n} YQ==" for n in range(10_000)), 431),
        ("a YQ==,a YQ==", 400),
        ("a YQ==,,b YQ==", 400),
        (",", 400),
        ("a YQ=", 400),
        ("a Y Q==", 400),
        ("a Y\tQ==", 400),
        ("a !!!!", 400),
        ("a YQ==\x01", 400),
        ("é YQ==", 400),
        ("k" * 65 + " YQ==", 400),
        ("filename " + "YQ" * 1_000_000, 431),
        ("filename " + _b64("a" * 4000), 431),
        ("filename /w==", 400),
        ("filename AGE=", 400),
        ("pool Li4vLi4=", 400),
    ],
)
def test_a_metadata_bomb_is_refused(guarded: Guarded, metadata: str, status: int) -> None:
    answer = _tus(guarded, ("Upload-Length", 3), ("Upload-Metadata", metadata))
    assert answer.status == status, answer


# ------------------------------------------------------------------------------------------------ JSON


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400), ("{", 400), ("null", 400), ("[]", 400), ('"x"', 400), ("5", 400), ("{}", 400), ("{}{}", 400),
        ("[" * 60_000, 400), ('{"a":' * 12_000, 400), ('{"fileName":' + "[" * 50_000 + "]" * 10_000 + "}", 400),
        ("{" + ",".join(f'"k{n}":0' for n in range(6000)) + "}", 400),
        (" " * 70_000, 413), ('{"fileName":"' + "a" * 70_000 + '"}', 413), ("\ufeff" + _wish(), 400),
        (_wish(fileName=5), 400), (_wish(fileName=["x"]), 400), (_wish(fileName={"x": 1}), 400),
        (_wish(contentType=5), 400), (_wish(hash="xyz"), 400), (_wish(hash="é" * 64), 400), (_wish(hash="0" * 63), 400),
        (_wish(hash="０" * 64), 400), (_wish(poolId="../x"), 400), (_wish(bundleId="x" * 65), 400),
        (_wish(expiredAt="yesterday"), 400), (_wish(expiredAt="2001-01-01T00:00:00Z"), 400),
        (_wish(expiredAt="9999-12-31T23:59:59+99:99"), 400), (_wish(expiredAt=5), 400), (_wish(encryptPassword="x"), 400),
        (_wish(file_name="y"), 400), (_wish(FILENAME="y"), 400),
        ('{"fileName":"x","fileSize":1,"fileSize":2,"contentType":"a/b"}', 400),
        ('{"fileName":"x","file\\u0000Size":1}', 400),
    ],
)  # fmt: skip
def test_json_that_is_no_wish_is_refused(guarded: Guarded, body: str, status: int) -> None:
    answer = _create(guarded, body)
    assert answer.status == status, answer
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b'{"fileName":"\xff","fileSize":1}', b'{"fileName":"\xed\xa0\x80"}', b"\x1f\x8b\x08\x00", b"\0" * 9]
)
def test_json_that_is_no_text_is_refused(guarded: Guarded, body: bytes) -> None:
    assert _create(guarded, body).status == 400


def test_an_error_tells_nothing_of_the_machine(guarded: Guarded) -> None:
    for answer in (
        _create(guarded, "{"),
        _create(guarded, _wish(fileSize="x")),
        guarded.ask(guarded.ann, "GET", "/api/files/upload/tasks?sortBy=x"),
        guarded.ask(guarded.ann, "GET", "/nowhere"),
        guarded.ask(guarded.ann, "PUT", "/api/files/upload/create"),
    ):
        assert set(answer.json()) == {"code", "message", "status", "details", "traceId"}
        for word in (str(guarded.data), "/tmp", "tusdrive", "msgspec", "sqlite", "Traceback", ".py", "Error:"):
            assert word not in answer.body.decode()
