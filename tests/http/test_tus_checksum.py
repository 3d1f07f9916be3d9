"""Conformance checks 72 to 80: checksums."""

from __future__ import annotations

import time

import pytest
import tus
from asking import BODY, Header, Row, V, api, b64, content, make, offset, stands
from harness import KIB, MIB, Server

ABC = {  # digests of b"abc"
    "sha1": "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=",
    "sha256": "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    "sha512": "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==",
    "md5": "kAFQmDzST7DWlj99KOF/cg==",
    "crc32": "NSRBwg==",
    "xxh3-128": "BrBatnM6YYV4r1+UiS85UA==",
}
EMPTY_SHA1 = "2jmj7l5rSw0yVb/vlWAYkK/YBwk="


def checksum(text: str) -> Header:
    return "Upload-Checksum", text


def patch(id: str, header: str, status: int, code: str = "", body: bytes = b"abc") -> Row:
    return Row(id=id, method="PATCH", headers=(V, BODY, offset(0), checksum(header)), body=body, status=status,
               code=code)  # fmt: skip


ROWS = [
    (patch("check-072-right", f"sha1 {ABC['sha1']}", 204), 3),
    (patch("check-073-wrong", f"sha1 {EMPTY_SHA1}", 460, "CHECKSUM_MISMATCH"), 0),
    (patch("check-074-unknown", f"sha3 {EMPTY_SHA1}", 400, "INVALID_CHECKSUM"), 0),
    (patch("check-075-one-word", "sha1", 400, "INVALID_CHECKSUM"), 0),
    (patch("check-075-no-digest", "sha1 ", 400, "INVALID_CHECKSUM"), 0),
    (patch("check-075-empty", "", 400, "INVALID_CHECKSUM"), 0),
    (patch("check-075-no-base64", "sha1 !!!!", 400, "INVALID_CHECKSUM"), 0),
    (patch("check-075-too-short", "sha1 YWJj", 400, "INVALID_CHECKSUM"), 0),
    (patch("check-075-of-another-algorithm", f"sha256 {ABC['sha1']}", 400, "INVALID_CHECKSUM"), 0),
    (patch("check-075-upper-case", f"SHA1 {ABC['sha1']}", 400, "INVALID_CHECKSUM"), 0),
    (patch("check-075-twice", f"sha1 {ABC['sha1']},sha1 {ABC['sha1']}", 400, "INVALID_CHECKSUM"), 0),
    *((patch(f"check-076-{name}", f"{name} {digest}", 204), 3) for name, digest in ABC.items()),
    *((patch(f"check-076-{name}-of-others", f"{name} {digest}", 460, "CHECKSUM_MISMATCH", b"abd"), 0)
      for name, digest in ABC.items()),
    (patch("check-077-empty", f"sha1 {EMPTY_SHA1}", 204, body=b""), 0),
    (patch("check-077-empty-with-another", f"sha1 {ABC['sha1']}", 460, "CHECKSUM_MISMATCH", b""), 0),
]  # fmt: skip


@pytest.mark.parametrize(("row", "after"), ROWS, ids=str)
def test_checksum(server: Server, row: Row, after: int) -> None:
    id = make(server, 10)
    answer = row.ask(server, id)
    assert stands(server, id) == after
    assert len(answer.body) < 200, "short text"
    if row.status in (204, 460):
        assert answer.header("upload-offset") == str(after)


def test_check_073_the_same_bytes_with_the_right_sum(server: Server) -> None:
    id = make(server, 3)
    for header, status in ((f"sha1 {EMPTY_SHA1}", 460), (f"sha1 {ABC['sha1']}", 204)):
        assert tus.patch(server, f"/files/{id}", 0, b"abc", checksum(header)).status == status
    assert content(server, id) == b"abc"


def test_check_073_a_large_chunk_is_discarded_whole(server: Server) -> None:
    """More than one commit's worth, so that nothing may be committed on the way."""
    id = make(server, 20 * MIB)
    refused = tus.patch(server, f"/files/{id}", 0, bytes(20 * MIB), checksum(f"sha1 {EMPTY_SHA1}"), timeout=60)
    assert (refused.status, refused.header("upload-offset")) == (460, "0")
    data = b"x" * (20 * MIB)
    assert tus.patch(server, f"/files/{id}", 0, data, tus.checksum(data), timeout=60).status == 204
    assert content(server, id) == data


def test_check_074_before_the_body_is_read(server: Server) -> None:
    id = make(server, 10 * MIB)
    with server.connect(5) as connection:
        more = (checksum(f"sha3 {EMPTY_SHA1}"), ("Expect", "100-continue"))
        connection.start("PATCH", f"/files/{id}", (*tus.patch_headers(0, 10 * MIB), *more))
        answer = connection.response("PATCH")
    assert (answer.status, answer.interim) == (400, ())


def test_check_078_a_cut_discards_the_chunk(server: Server) -> None:
    id = make(server, 3000, body=b"y" * 1000)
    with server.connect() as connection:
        connection.start("PATCH", f"/files/{id}", (*tus.patch_headers(1000, 2000), checksum(f"sha1 {EMPTY_SHA1}")))
        connection.send(b"x" * 1500)
        time.sleep(0.3)
    assert stands(server, id) == 1000


def test_check_079_a_wrong_last_chunk_completes_nothing(server: Server) -> None:
    id = make(server, 6, body=b"abc")
    assert tus.patch(server, f"/files/{id}", 3, b"abc", checksum(f"sha1 {EMPTY_SHA1}")).status == 460
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == "InProgress"
    assert server.request("GET", f"/files/{id}").status == 409
    assert tus.patch(server, f"/files/{id}", 3, b"abc", checksum(f"sha1 {ABC['sha1']}")).status == 204
    assert content(server, id) == b"abcabc"


def test_check_080_short_text_and_a_usable_connection(server: Server) -> None:
    id = make(server, 10)
    with server.connect() as connection:
        for header, status in (("sha3 x", 400), (f"sha1 {EMPTY_SHA1}", 460), (f"sha1 {ABC['sha1']}", 204)):
            answer = connection.exchange("PATCH", f"/files/{id}", (V, BODY, offset(0), checksum(header)), b"abc")
            assert answer.status == status
            assert len(answer.body) < 200
            if answer.header("connection") == "close":
                pytest.fail("a small body is no reason to close")
    assert answer.header("upload-offset") == "3"


def test_check_076_chunked(server: Server) -> None:
    id = make(server, 64 * KIB)
    data = b"z" * (64 * KIB)
    from harness import chunked

    headers = (V, BODY, offset(0), ("Transfer-Encoding", "chunked"), tus.checksum(data))
    answer = server.request("PATCH", f"/files/{id}", headers, chunked(*[data[at : at + 1000] for at in range(0, 65536, 1000)]))
    assert (answer.status, answer.header("upload-offset")) == (204, "65536")
    assert b64(content(server, id)[:3]) == "enp6"
