"""What every refusal carries, whoever refuses: version, CORS, request id, short text, nothing about the inside."""

from __future__ import annotations

import pytest
import tus
from asking import BODY, NOWHERE, Header, Row, V, content, length, make, offset, override
from harness import Server

PAGE: Header = ("Origin", "https://app.example")
EVIL: Header = ("Origin", "https://evil.example")
CORS = {"access-control-allow-origin": "*", "tus-resumable": "1.0.0", "content-type": "text/plain; charset=utf-8"}

REFUSALS = [
    Row(id="400", method="POST", path="/files", headers=(V, PAGE), status=400, code="INVALID_LENGTH", has=CORS),
    Row(id="404", method="PATCH", path=f"/files/{NOWHERE}", headers=(V, PAGE, BODY, offset(0)), status=404,
        code="NOT_FOUND", has=CORS),
    Row(id="405", method="PUT", headers=(V, PAGE), status=405, code="METHOD_NOT_ALLOWED", has=CORS),
    Row(id="409", method="PATCH", headers=(V, PAGE, BODY, offset(0)), body=b"d", status=409, code="OFFSET_MISMATCH",
        has={**CORS, "upload-offset": "3"}),
    Row(id="412", method="PATCH", headers=(PAGE, BODY, offset(3)), body=b"d", status=412, code="UNSUPPORTED_VERSION",
        has={**CORS, "tus-version": "1.0.0"}),
    Row(id="413", method="PATCH", headers=(V, PAGE, BODY, offset(3)), body=bytes(8), status=413, code="SIZE_EXCEEDED",
        has=CORS),
    Row(id="415", method="PATCH", headers=(V, PAGE, offset(3)), body=b"d", status=415, code="UNSUPPORTED_MEDIA_TYPE",
        has=CORS),
    Row(id="431", method="POST", path="/files", headers=(V, PAGE, length(3), ("X-Long", "x" * 33_000)), status=431,
        code="HEADER_TOO_LARGE", has=CORS),
    Row(id="460", method="PATCH",
        headers=(V, PAGE, BODY, offset(3), ("Upload-Checksum", "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=")), body=b"d",
        status=460, code="CHECKSUM_MISMATCH", has={**CORS, "upload-offset": "3"}),
    Row(id="507", method="POST", path="/files", headers=(V, PAGE, length(10**15)), status=507, code="STORAGE_FULL",
        has=CORS),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSALS, ids=str)
def test_refusals_can_be_read_by_pages(server: Server, row: Row) -> None:
    answer = row.ask(server, make(server, 10, body=b"abc"))
    exposed = {name.strip().lower() for name in (answer.header("access-control-expose-headers") or "").split(",")}
    wanted = "location upload-offset upload-length upload-metadata upload-expires upload-defer-length upload-concat"
    assert set(wanted.split()) | {"tus-version", "tus-resumable", "tus-max-size", "retry-after"} <= exposed
    assert answer.header("x-request-id")
    assert answer.body.endswith(b"\n")
    assert len(answer.body) < 300


def test_refusals_at_the_door_of_a_closed_server(closed: Server) -> None:
    """A page of a foreign origin may not even try; the answer speaks tus all the same."""
    answer = closed.request("POST", "/files", (V, EVIL, length(3)))
    assert (answer.status, answer.header("tus-resumable")) == (403, "1.0.0")
    assert answer.body.startswith(b"ORIGIN_NOT_ALLOWED: ")
    assert answer.header("access-control-allow-origin") is None


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_foreign_page_cannot_hide_a_verb(closed: Server, method: str) -> None:
    """The override counts before anything looks at the method, the check of origins included."""
    id = make(closed, 3, body=b"abc")
    answer = closed.request("GET", f"/files/{id}", (V, EVIL, override(method), BODY, offset(3)))
    assert answer.status == 403
    assert content(closed, id) == b"abc"


def test_pages_of_the_right_origin(closed: Server) -> None:
    answer = closed.request("POST", "/files", (V, PAGE, length(3)))
    assert (answer.status, answer.header("access-control-allow-origin")) == (201, "https://app.example")
    assert answer.header("vary") == "Origin"
    own = ("Origin", f"http://127.0.0.1:{closed.port}")
    assert closed.request("POST", "/files", (V, own, length(3))).status == 201
    assert closed.request("POST", "/files", (V, length(3))).status == 201, "no page at all"


def test_a_preflight_of_a_foreign_origin_gets_no_permission(closed: Server) -> None:
    for origin, allowed in ((PAGE, "https://app.example"), (EVIL, None)):
        asked = (origin, ("Access-Control-Request-Method", "PATCH"))
        assert closed.request("OPTIONS", "/files", asked).header("access-control-allow-origin") == allowed


def test_the_request_id_is_the_clients_if_it_is_sane(server: Server) -> None:
    for sent, kept in (("abc-1:2.3_4", True), ("a b", False), ("x" * 65, False), ("a\u00e9", False)):
        answer = server.request("OPTIONS", "/files", (("X-Request-ID", sent),))
        assert (answer.header("x-request-id") == sent) is kept
        assert answer.header("x-request-id")


HOSTILE = ["/files/", "/files/" + "a" * 31, "/files/" + "a" * 33, "/files/" + "g" * 32, "/files/%00", "/files/%0d%0a",
           "/files/%c3%28", f"/files/{NOWHERE}/x", f"/files/{NOWHERE}%20", f"/files/x/../{NOWHERE}",
           f"/files/%2e%2e/{NOWHERE}", f"/files/{NOWHERE}?uploadToken=%00"]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_addresses_that_are_none(server: Server, path: str) -> None:
    for method, expected in (("HEAD", (404, 405)), ("PATCH", (404, 405)), ("DELETE", (404, 405)), ("GET", (404, 405))):
        answer = server.request(method, path, (V, BODY, offset(0)))
        assert answer.status in expected, answer


@pytest.mark.parametrize("path", ["/filesx", "/file", "/", "/Files", "/files.txt"])
def test_beside_the_endpoint(server: Server, path: str) -> None:
    answer = server.request("POST", path, (V, length(3)))
    assert (answer.status, answer.json()["code"]) == (404, "NOT_FOUND")


def test_promising_more_than_the_disk_has(server: Server) -> None:
    """Refused before anything is read, and nothing stays promised."""
    with server.connect(5) as connection:
        connection.start("POST", "/files", (V, length(10**15), BODY, ("Content-Length", 10**15), ("Expect", "100-continue")))
        answer = connection.response("POST")
    assert (answer.status, answer.interim) == (507, ())
    assert tus.create(server, 10).status == 201
