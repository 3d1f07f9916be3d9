"""Hostile HTTP: requests that are two, headers without end, paths that lead elsewhere, bodies that nobody wants."""

from __future__ import annotations

import contextlib
import time
from urllib.parse import urlsplit

import pytest
from guarded import APPEND, DATA, JSON, NOBODYS, OCTETS, VERSION, Guarded
from harness import MIB, Connection, Response, chunked, raw

GIB = 1 << 30

# ------------------------------------------------------------------------------------------------ two requests in one


def _smuggled(guarded: Guarded, id: str) -> bytes:
    """A request that would be seen if it were run: it deletes Ann's upload."""
    lines = f"DELETE /files/{id} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nAuthorization: Bearer {guarded.ann}\r\n"
    return lines.encode() + b"Content-Length: 0\r\n\r\n"


FRAMINGS: dict[str, tuple[bytes, bytes]] = {
    # headers, and the body that goes before the smuggled request
    "CL and TE": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "TE and CL": (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"5c\r\n"),
    "two lengths": (b"Content-Length: 0\r\nContent-Length: 5\r\n", b"hello"),
    "two lengths, the same": (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "a list of lengths": (b"Content-Length: 0, 5\r\n", b"hello"),
    "identity and chunked": (b"Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n"),
    "chunked and identity": (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "chunked twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "gzip and chunked": (b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "almost chunked": (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunked with a tab": (b"Transfer-Encoding:\tchunked\x0b\r\n", b"0\r\n\r\n"),
    "folded": (b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "bare newlines": (b"Content-Length: 0\nX: y\n", b""),
    "a blank before the colon": (b"Content-Length : 5\r\n", b"hello"),
    "a NUL": (b"X: a\0b\r\nContent-Length: 0\r\n", b""),
    "a plus": (b"Content-Length: +5\r\n", b"hello"),
    "an underscore": (b"Content-Length: 0_5\r\n", b"hello"),
    "hexadecimal": (b"Content-Length: 0x5\r\n", b"hello"),
    "less than nothing": (b"Content-Length: -1\r\n", b""),
    "2^64+5": (b"Content-Length: 18446744073709551621\r\n", b"hello"),
    "a chunk of 2^64": (b"Transfer-Encoding: chunked\r\n", b"10000000000000000\r\n"),
    "a chunk of less than nothing": (b"Transfer-Encoding: chunked\r\n", b"-5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size with 0x": (b"Transfer-Encoding: chunked\r\n", b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk without its end": (b"Transfer-Encoding: chunked\r\n", b"5\r\nhelloX0\r\n\r\n"),
    "a header without a colon": (b"Content-Length: 0\r\nnonsense\r\n", b""),
    "a header without a name": (b": x\r\nContent-Length: 0\r\n", b""),
}


@pytest.mark.parametrize("sort", FRAMINGS)
@pytest.mark.parametrize("target", ["POST /files", "POST /api/files/upload/create", "POST /health", "GET /alive"])
def test_a_request_that_can_be_read_in_two_ways_is_refused(guarded: Guarded, sort: str, target: str) -> None:
    upload = guarded.open_upload()
    headers, body = FRAMINGS[sort]
    start = f"{target} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 5\r\n".encode()
    start += f"Authorization: Bearer {guarded.ann}\r\nContent-Type: application/offset+octet-stream\r\n".encode()
    said = raw(guarded.host, guarded.port, start + headers + b"\r\n" + body + _smuggled(guarded, upload.id), 1.0)
    statuses = [line.split()[1] for line in said.splitlines() if line.startswith(b"HTTP/1.1 ")]
    assert statuses, "no answer at all"
    assert all(status.startswith(b"4") for status in statuses), said
    head = guarded.ask(guarded.ann, "HEAD", f"/files/{upload.id}", (VERSION,))
    assert (head.status, head.number("upload-offset")) == (200, 1024)


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /health HTTP/1.1\r\nX: y\r\n\r\n",  # no Host
        b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /files HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
        b"get /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /hea lth HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X" * 300 + b"\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(guarded: Guarded, request_line: bytes) -> None:
    said = raw(guarded.host, guarded.port, request_line, 1.0)
    assert said == b"" or said.split()[1].startswith((b"4", b"505")), said


def test_an_upgrade_to_something_else_is_not_followed(guarded: Guarded) -> None:
    for upgrade in ("websocket", "h2c", "TLS/1.0"):
        headers = (("Connection", "Upgrade"), ("Upgrade", upgrade), ("Sec-WebSocket-Version", "13"),
                   ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))  # fmt: skip
        answer = guarded.ask(None, "GET", "/api/files/me", headers)
        assert answer.status in (400, 401, 403, 404, 426), answer


# ------------------------------------------------------------------------------------------------ headers

LARGE_HEADERS: dict[str, list[tuple[str, str | int]]] = {
    "one of 33 KiB": [("X-Long", "a" * 33_000)],
    "one of 1 MiB": [("X-Long", "a" * MIB)],
    "5,000": [(f"X-{n}", "a") for n in range(5000)],
    "5,000 of one name": [("X-Same", "abcdef")] * 5000,
    "a name of 40 KiB": [("X-" + "a" * 40_000, "b")],
    "metadata of 1 MiB": [("Upload-Metadata", "a " + "YQ" * MIB)],
    "a token of 40 KiB": [("Authorization", "Bearer " + "a" * 40_000)],
    "10,000 parts": [("Upload-Concat", "final;" + " ".join([f"/files/{NOBODYS}"] * 10_000))],
}


@pytest.mark.parametrize("sort", LARGE_HEADERS)
@pytest.mark.parametrize("path", ["/files", "/api/files/me", "/nowhere"])
def test_headers_that_are_too_large_are_refused(guarded: Guarded, sort: str, path: str) -> None:
    answer = guarded.ask(None, "POST", path, (VERSION, *LARGE_HEADERS[sort]))
    assert answer.status == 431, answer


@pytest.mark.parametrize(
    "pair",
    [
        ("Upload-Length", "1"), ("Upload-Offset", "1024"), ("Tus-Resumable", "1.0.0"), ("Content-Type", APPEND[1]),
        ("Upload-Metadata", "a YQ=="), ("Upload-Checksum", "md5 1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("Upload-Concat", "partial"), ("Upload-Defer-Length", "1"),
    ],
)  # fmt: skip
def test_a_header_that_comes_twice_is_not_believed(guarded: Guarded, pair: tuple[str, str]) -> None:
    """Whichever of the two a proxy looked at, the server must not look at the other."""
    upload = guarded.open_upload()
    others = {"Upload-Length", "Upload-Metadata", "Upload-Concat", "Upload-Defer-Length"}
    creating = pair[0] in others
    base = [("Upload-Length", 5), VERSION] if creating else [VERSION, APPEND, ("Upload-Offset", 1024)]
    headers = [each for each in base if each[0] != pair[0]] + [pair, pair]
    if pair[0] == "Upload-Defer-Length":
        headers = [VERSION, pair, pair]
    method, path = ("POST", "/files") if creating else ("PATCH", f"/files/{upload.id}")
    answer = guarded.ask(guarded.ann, method, path, headers, b"" if creating else b"x")
    assert answer.status in (400, 412, 415), answer
    assert guarded.ask(guarded.ann, "HEAD", f"/files/{upload.id}", (VERSION,)).number("upload-offset") == 1024


def test_a_proxy_that_nobody_trusts_is_not_believed(guarded: Guarded) -> None:
    spoofs = (("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Prefix", "/evil"),
              ("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "host=evil.example;proto=https"))  # fmt: skip
    answer = guarded.ask(guarded.ann, "POST", "/files", (VERSION, ("Upload-Length", 3), *spoofs))
    assert (answer.header("location") or "").startswith(f"http://127.0.0.1:{guarded.port}/files/")


@pytest.mark.parametrize("host", ["evil.example\\@x", "a b", "x/y", "x?y", "[::1", "x:99999999", "é", "x#y", "user@x", ""])
def test_a_host_that_is_none_makes_no_address(guarded: Guarded, host: str) -> None:
    answer = guarded.ask(guarded.ann, "POST", "/files", (("Host", host), VERSION, ("Upload-Length", 3)))
    assert answer.status in (201, 400), answer
    if answer.status == 201:
        assert (answer.header("location") or "").startswith("/files/")


@pytest.mark.parametrize("id", ["a\x0bb", "x" * 65, "<script>", "é", "a b", "%0d%0a", "\x1b[31m", "a,b"])
def test_a_request_id_that_is_no_plain_word_is_not_taken(guarded: Guarded, id: str) -> None:
    answer = guarded.ask(guarded.ann, "GET", "/nowhere", (("X-Request-ID", id),))
    assert answer.status in (400, 404)
    assert answer.header("x-request-id") != id


def test_an_origin_is_told_nothing_that_it_could_use_with_credentials(guarded: Guarded) -> None:
    for origin in ("https://evil.example", "null", "http://localhost"):
        answer = guarded.ask(guarded.ann, "GET", "/api/files/me", (("Origin", origin),))
        assert answer.header("access-control-allow-origin") in ("*", None)
        assert answer.header("access-control-allow-credentials") is None


# ------------------------------------------------------------------------------------------------ paths

PATHS = [
    "/../../etc/passwd", "/files/../../etc/passwd", "/files/..%2f..%2fetc%2fpasswd", "/files/%2e%2e/%2e%2e/etc/passwd",
    "/api/files/%2e%2e%2f%2e%2e%2fsecret", "/api/files/..%5c..%5csecret", "/api/files/secret", "/api/files/tusdrive.db",
    "/api//files/me", "//api/files/me", "/api/files/me/", "/api/files/%00", "/files/%00", "/files/" + NOBODYS + "%00",
    "/files/" + NOBODYS + "%0d%0aX:%20y", "/files/" + NOBODYS.upper(), "/files/" + NOBODYS + "/x", "/FILES", "/api/FILES/me",
    "/files/" + "a" * 100_000, "/api/files/" + "%2e" * 10_000, "/api/files/upload/progress/" + "/" * 5000,
    "/api/files/upload/chunk/" + NOBODYS + "/0/../1", "/api/files/\u00e9", "/api/files/%c3%28", "/api/files/%ff%fe",
    "/api/files/{file_id}", "/api/files/*", "/api/files/;jsessionid=1", "/files;x=1", "/api/../health/../api/files/me",
    "/%61pi/files/me%2f", "/api/files/me%3fx", "/static/x", "/.git/config", "/docs", "/admin", "/api", "/drive", "/api/files",
    "/api/files/upload", "/api/files/upload/tasks/" + NOBODYS, "/files/" + "0" * 31, "/files/" + "0" * 33,
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_a_path_leads_nowhere_else(guarded: Guarded, path: str, method: str) -> None:
    answer = guarded.ask(guarded.root, method, path, (VERSION, JSON), b'"x"' if method == "PATCH" else b"")
    assert answer.status in (400, 404, 405, 412, 414, 415), answer
    for word in (b"root:", b"SQLite", b"[core]"):
        assert word not in answer.body


@pytest.mark.parametrize(
    "target", ["http://evil.example/api/files/me", "*", "evil.example:80", "/api/files/me#x", "?x", "files"]
)
def test_a_target_in_another_form_is_no_way_around(guarded: Guarded, target: str) -> None:
    for method in ("GET", "OPTIONS", "DELETE"):
        answer = guarded.ask(None, method, target)
        assert answer.status in (200, 400, 401, 404, 405), answer
        assert not (answer.status == 200 and method != "OPTIONS")


@pytest.mark.parametrize(
    "urls",
    [
        "/files/../files/{id}", "/files/%2e%2e/{id}", "http://evil.example/files/{id}", "//evil.example/files/{id}",
        "/api/files/{id}", "/files/{id}/..", "/files/{id}%00", "/files/{upper}", "{id}", "files/{id}", "/files/", "/", "",
        "file:///etc/passwd", "/files/{id}\\", "/files//{id}", "/files/{id} /files/{missing}", "/files/{id};x",
        "javascript:alert(1)", "ftp://127.0.0.1/files/{id}", "/files/{id}/{id}", "http://127.0.0.1:1/files/{id}",
    ],
)  # fmt: skip
def test_parts_are_named_by_their_own_address_and_no_other(guarded: Guarded, urls: str) -> None:
    part = guarded.finished(guarded.ann, ("Upload-Concat", "partial"))
    filled = urls.format(id=part.id, upper=part.id.upper(), missing=NOBODYS)
    answer = guarded.ask(guarded.ann, "POST", "/files", (VERSION, ("Upload-Concat", f"final;{filled}")))
    assert answer.status == 400, answer


@pytest.mark.parametrize("concat", ["final", "partial;", "Partial", "FINAL;/files/x", "final:/files/x", "\u00e9", "partial,partial"])
def test_a_concat_that_is_none_is_refused(guarded: Guarded, concat: str) -> None:
    answer = guarded.ask(guarded.ann, "POST", "/files", (VERSION, ("Upload-Length", 3), ("Upload-Concat", concat)))
    assert answer.status == 400, answer


# ------------------------------------------------------------------------------------------------ ranges


@pytest.mark.parametrize(
    "value",
    [
        "bytes=" + "0-0," * 5000, "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 4000, 2)), "bytes=0-18446744073709551616",
        "bytes=-18446744073709551616", "bytes=18446744073709551616-", "bytes=5-4", "bytes=--5", "bytes=a-b", "bytes=",
        "bytes=0-0;1-1", "bytes=٣-٤", "rows=0-1", "bytes=+0-+5", "bytes=0_0-1_0", "bytes=99999-", "bytes=0-,0-,0-,0-,0-,0-,0-,0-",
    ],
)  # fmt: skip
def test_a_range_is_no_lever(guarded: Guarded, value: str) -> None:
    file = guarded.finished().file
    answer = guarded.ask(guarded.ann, "GET", f"/api/files/{file}", (("Range", value),))
    assert answer.status in (200, 206, 416, 431), answer
    assert len(answer.body) < 2 * len(DATA)


# ------------------------------------------------------------------------------------------------ bodies nobody wants


def _pour(guarded: Guarded, method: str, path: str, headers: list[tuple[str, str | int]], chunky: bool) -> tuple[Response, int]:
    """Send a body without end, and see what is answered and when it is closed: the answer, and bytes sent in vain."""
    framing: tuple[str, str | int] = ("Transfer-Encoding", "chunked") if chunky else ("Content-Length", 2 * GIB)
    piece = chunked(b"x" * 65_536, end=False) if chunky else b"x" * 65_536
    with guarded.connect(5) as connection:
        connection.start(method, path, [*headers, framing])
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            while sent < 64 * MIB:
                connection.send(piece)
                sent += len(piece)
        answer = connection.response(method)
        assert connection.at_end(), "the connection stays open"
    return answer, sent


UNWANTED = {
    "no token": (401, "PATCH", "/files/{id}", [VERSION, APPEND, ("Upload-Offset", 1024)], False),
    "no token, REST": (401, "POST", "/api/files/upload/chunk/{id}/1", [OCTETS], False),
    "no token, JSON": (401, "POST", "/api/files/upload/create", [JSON], False),
    "too much for the upload": (413, "PATCH", "/files/{id}", [VERSION, APPEND, ("Upload-Offset", 1024)], True),
    "too much for the chunk": (413, "POST", "/api/files/upload/chunk/{id}/1", [OCTETS], True),
    "too much JSON": (413, "POST", "/api/files/upload/create", [JSON], True),
    "too much for a new upload": (413, "POST", "/files", [VERSION, APPEND, ("Upload-Length", 5)], True),
    "the wrong offset": (409, "PATCH", "/files/{id}", [VERSION, APPEND, ("Upload-Offset", 5)], True),
    "no such upload": (404, "PATCH", "/files/" + NOBODYS, [VERSION, APPEND, ("Upload-Offset", 0)], True),
    "the wrong version": (412, "PATCH", "/files/{id}", [APPEND, ("Upload-Offset", 1024)], True),
    "no such route": (404, "POST", "/nowhere", [], True),
    "no such verb": (405, "PUT", "/api/files/me", [], True),
}  # fmt: skip


@pytest.mark.parametrize("sort", UNWANTED)
@pytest.mark.parametrize("chunky", [False, True])
def test_a_large_body_that_nobody_wants_is_answered_and_cut_off(guarded: Guarded, sort: str, chunky: bool) -> None:
    status, method, path, headers, signed = UNWANTED[sort]
    upload = guarded.open_upload()
    pairs = [*headers, ("Authorization", f"Bearer {guarded.ann}")] if signed else list(headers)
    begun = time.monotonic()
    answer, sent = _pour(guarded, method, path.format(id=upload.id), pairs, chunky)
    if chunky and sort in ("too much for a new upload",):
        assert answer.status in (201, 413)
    else:
        assert answer.status == status, answer
    assert sent < 32 * MIB, "the body was read to no purpose"
    assert time.monotonic() - begun < 4
    assert guarded.ask(guarded.ann, "HEAD", f"/files/{upload.id}", (VERSION,)).status == 200


def test_whoever_asks_before_sending_is_answered_at_once(guarded: Guarded) -> None:
    """Expect: 100-continue with a request that is refused: the refusal, and no leave to send."""
    upload = guarded.open_upload()
    for token, offset, status in ((None, 1024, 401), (guarded.ann, 5, 409), (guarded.bob, 1024, 404)):
        with guarded.connect(5) as connection:
            headers = [VERSION, APPEND, ("Upload-Offset", offset), ("Content-Length", 100_000), ("Expect", "100-continue")]
            headers += [("Authorization", f"Bearer {token}")] if token else []
            connection.start("PATCH", f"/files/{upload.id}", headers)
            answer = connection.response()
            assert (answer.status, answer.interim) == (status, ())


def test_a_small_body_that_nobody_wants_leaves_the_connection_open(guarded: Guarded) -> None:
    with guarded.connect(5) as connection:
        for _ in range(3):
            answer = connection.exchange("PATCH", f"/files/{NOBODYS}", (VERSION, APPEND, ("Upload-Offset", 0)), b"x" * 100)
            assert answer.status == 401
        assert connection.exchange("GET", "/health").status == 200


def test_an_address_tells_its_capability_to_nobody_but_its_client(guarded: Guarded) -> None:
    """It is in Location alone: not in listings, not in errors, and (see the fixture) not in the log."""
    done = guarded.finished()
    upload = guarded.open_upload()
    for path in (
        "/api/files/me", "/api/files/upload/tasks?limit=200", "/api/files/upload/tasks/recent", "/api/files/upload/stats",
        f"/api/files/{done.file}/info", f"/api/files/upload/tasks/{upload.id}/details", f"/api/files/upload/resume/{upload.id}",
        f"/files/{upload.id}?uploadToken=wrong",
    ):  # fmt: skip
        answer = guarded.ask(guarded.ann, "GET", path)
        for secret in (done.capability, upload.capability):
            assert secret.encode() not in answer.body
    location = guarded.ask(guarded.ann, "POST", "/files", (VERSION, ("Upload-Length", 3))).header("location") or ""
    assert urlsplit(location).query.startswith("uploadToken=")


def test_pipelined_requests_are_answered_in_order(guarded: Guarded) -> None:
    request = f"GET /alive HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {guarded.ann}\r\n\r\n".encode()
    with Connection(guarded.host, guarded.port, 5) as connection:
        connection.send(request * 50)
        assert [connection.response().status for _ in range(50)] == [200] * 50
