"""Conformance checks 37 to 66: creation, metadata, deferred length, bytes that come with the creation."""

from __future__ import annotations

import time
from typing import Any

import pytest
import tus
from asking import (
    BODY,
    NOWHERE,
    Header,
    Row,
    V,
    api,
    b64,
    content,
    id_of,
    length,
    make,
    offset,
    stands,
    told,
)
from harness import KIB, MIB, Response, Server, chunked

DEFER: Header = ("Upload-Defer-Length", 1)
CHUNKED: Header = ("Transfer-Encoding", "chunked")


def metadata(text: str) -> Header:
    return "Upload-Metadata", text


def create(id: str, *headers: Header, status: int, code: str = "", body: bytes = b"", **more: Any) -> Row:
    return Row(id=id, method="POST", path="/files", headers=(V, *headers), body=body, status=status, code=code, **more)


REFUSED = [
    create("check-038-neither", status=400, code="INVALID_LENGTH"),
    create("check-039-both", length(10), DEFER, status=400, code="INVALID_LENGTH"),
    create("check-040-negative", length("-1"), status=400, code="INVALID_LENGTH"),
    create("check-040-fraction", length("1.5"), status=400, code="INVALID_LENGTH"),
    create("check-040-text", length("abc"), status=400, code="INVALID_LENGTH"),
    create("check-040-empty", length(""), status=400, code="INVALID_LENGTH"),
    create("check-040-plus", length("+5"), status=400, code="INVALID_LENGTH"),
    create("check-040-underscore", length("1_000"), status=400, code="INVALID_LENGTH"),
    create("check-040-exponent", length("1e3"), status=400, code="INVALID_LENGTH"),
    create("check-040-twice", length(5), length(5), status=400, code="INVALID_LENGTH"),
    create("check-040-fullwidth", length("\uff15"), status=400, code="INVALID_LENGTH"),
    create("check-040-2-63", length(2**63), status=413, code="TOO_LARGE"),
    create("check-040-10-400", length("1" + "0" * 400), status=413, code="TOO_LARGE"),
    create("check-041-defer-0", ("Upload-Defer-Length", "0"), status=400, code="INVALID_LENGTH"),
    create("check-041-defer-2", ("Upload-Defer-Length", "2"), status=400, code="INVALID_LENGTH"),
    create("check-041-defer-true", ("Upload-Defer-Length", "true"), status=400, code="INVALID_LENGTH"),
    create("check-048-empty-key", length(1), metadata(",a YQ=="), status=400, code="INVALID_METADATA"),
    create("check-048-empty-key-inside", length(1), metadata("a YQ==,,b Yg=="), status=400, code="INVALID_METADATA"),
    create("check-048-empty-key-at-the-end", length(1), metadata("a YQ==,"), status=400, code="INVALID_METADATA"),
    create("check-048-blank-in-key", length(1), metadata("a b YQ=="), status=400, code="INVALID_METADATA"),
    create("check-048-key-twice", length(1), metadata("a YQ==,a Yg=="), status=400, code="INVALID_METADATA"),
    create("check-049-alphabet", length(1), metadata("a Y-=="), status=400, code="INVALID_METADATA"),
    create("check-049-no-padding", length(1), metadata("a YQ"), status=400, code="INVALID_METADATA"),
    create("check-049-half-padding", length(1), metadata("a YQ="), status=400, code="INVALID_METADATA"),
    create("check-049-too-much-padding", length(1), metadata("a YQ==="), status=400, code="INVALID_METADATA"),
    create("check-050-key", length(1), metadata("schlüssel YQ=="), status=400, code="INVALID_METADATA"),
    create("check-050-name-with-crlf", length(1), metadata(f"filename {b64(b'a' + bytes([13, 10]) + b'X: y')}"),
           status=400, code="INVALID_METADATA"),
    create("check-050-name-with-nul", length(1), metadata(f"filename {b64(b'a' + bytes(1))}"), status=400,
           code="INVALID_METADATA"),
    create("check-050-name-not-utf-8", length(1), metadata(f"filename {b64(bytes([0xFF, 0xFE]))}"), status=400,
           code="INVALID_METADATA"),
    create("check-052-metadata-too-long", length(1), metadata("a " + b64(bytes(6000))), status=431,
           code="HEADER_TOO_LARGE"),
    create("check-052-headers-too-long", length(1), ("X-Long", "x" * 40_000), status=431, code="HEADER_TOO_LARGE"),
    create("check-052-too-many-keys", length(1), metadata(",".join(f"k{i}" for i in range(100))), status=400,
           code="INVALID_METADATA"),
    create("check-062-more-than-declared", length(3), BODY, body=b"abcd", status=413, code="SIZE_EXCEEDED"),
    create("check-062-more-than-declared-chunked", length(3), BODY, CHUNKED, body=chunked(b"ab", b"cd"), status=413,
           code="SIZE_EXCEEDED"),
    create("check-066-checksum-differs", length(3), BODY, ("Upload-Checksum", "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
           body=b"abc", status=460, code="CHECKSUM_MISMATCH"),
    create("check-066-checksum-unknown", length(3), BODY, ("Upload-Checksum", "sha3 2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
           body=b"abc", status=400, code="INVALID_CHECKSUM"),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=str)
def test_a_refused_creation_makes_nothing(server: Server, row: Row) -> None:
    before = open_tasks(server)
    answer = row.ask(server)
    assert answer.header("location") is None
    assert open_tasks(server) == before


def open_tasks(server: Server) -> int:
    return api(server, "GET", "/files/upload/tasks?status=InProgress,Completed&limit=1").number("x-total")


MADE = [
    (create("check-037-created", length(100), status=201, lacks=("upload-offset",)), 0, 100),
    (create("check-043-zero", length(0), status=201), 0, 0),
    (create("check-044-any-type", length(5), ("Content-Type", "text/html"), status=201), 0, 5),
    (create("check-044-octets", length(5), ("Content-Type", "application/octet-stream"), status=201), 0, 5),
    (create("check-044-own-type", length(5), BODY, status=201), 0, 5),
    (create("check-044-body-of-another-type", length(5), ("Content-Type", "text/plain"), body=b"abc", status=201), 0, 5),
    (create("check-051-empty-metadata", length(5), metadata(""), status=201), 0, 5),
    (create("check-060-with-bytes", length(5), BODY, body=b"abc", status=201, has={"upload-offset": "3"}), 3, 5),
    (create("check-060-with-bytes-chunked", length(5), BODY, CHUNKED, body=chunked(b"ab", b"c"), status=201,
            has={"upload-offset": "3"}), 3, 5),
    (create("check-061-with-all-bytes", length(3), BODY, body=b"abc", status=201, has={"upload-offset": "3"}), 3, 3),
    (create("check-063-deferred-with-bytes", DEFER, BODY, body=b"abc", status=201, has={"upload-offset": "3"}), 3, None),
    (create("check-066-checksum", length(3), BODY, ("Upload-Checksum", "sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
            body=b"abc", status=201, has={"upload-offset": "3"}), 3, 3),
]  # fmt: skip


@pytest.mark.parametrize(("row", "at", "size"), MADE, ids=str)
def test_creation(server: Server, row: Row, at: int, size: int | None) -> None:
    id = id_of(tus.path(row.ask(server)))
    answer = told(server, id)
    assert (answer.status, answer.header("upload-offset")) == (200, str(at))
    assert answer.header("upload-length") == (None if size is None else str(size))
    assert answer.header("upload-metadata") is None
    if at == size:
        assert content(server, id) == b"abc"[:at]


def test_check_037_location_resolves(server: Server) -> None:
    location = tus.create(server, 100).header("location") or ""
    assert location.startswith(f"http://127.0.0.1:{server.port}/files/")
    assert tus.head(server, tus.path(tus.create(server, 100))).status == 200


@pytest.mark.parametrize(("size", "status"), [(204_800, 201), (204_801, 413)], ids=["check-042-equal", "check-042-over"])
def test_the_largest_upload(limited: Server, size: int, status: int) -> None:
    answer = tus.create(limited, size)
    assert answer.status == status
    assert status == 201 or answer.body.startswith(b"TOO_LARGE: ")


def test_check_043_zero_is_complete_at_once(server: Server) -> None:
    id = make(server, 0)
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == "Completed"
    assert content(server, id) == b""


def test_check_045_no_creation_at_an_upload(server: Server) -> None:
    id = make(server, 5)
    for path in (f"/files/{id}", f"/files/{NOWHERE}"):
        answer = server.request("POST", path, (V, length(5)))
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD, PATCH, DELETE, OPTIONS")


METADATA = [
    ("check-046-key-without-value", "filename d29ybGQ=,is_confidential"),
    ("check-047-key-with-blank", "key ,other YQ=="),
    ("check-047-key-alone", "key"),
    ("check-047-order", "z YQ==,a YQ==,m"),
    ("check-050-crlf-in-another-value", f"note {b64(b'a' + bytes([13, 10]) + b'X: y' + bytes(1))}"),
    ("check-050-unicode-name", f"filename {b64('Zürich 🚀.txt'.encode())}"),
    ("check-050-path-as-name", f"filename {b64(b'../../etc/passwd')}"),
]


@pytest.mark.parametrize(("text"), [text for _, text in METADATA], ids=[id for id, _ in METADATA])
def test_metadata(server: Server, text: str) -> None:
    id = make(server, 5, metadata(text))
    answer = told(server, id)
    assert answer.header("upload-metadata") == text
    assert answer.header("x") is None


# ------------------------------------------------------------------------------------------ deferred length


def test_check_053_deferred(server: Server) -> None:
    answer = told(server, make(server, None))
    assert (answer.header("upload-defer-length"), answer.header("upload-length")) == ("1", None)


def test_check_054_several_patches_without_a_length(server: Server) -> None:
    id = make(server, None)
    for at, piece in ((0, b"abc"), (3, b"de"), (5, b"fgh")):
        answer = tus.patch(server, f"/files/{id}", at, piece)
        assert (answer.status, answer.header("upload-offset")) == (204, str(at + len(piece)))
        assert told(server, id).header("upload-defer-length") == "1"


def test_check_055_the_length_comes_with_bytes(server: Server) -> None:
    id = make(server, None, body=b"abc")
    assert tus.patch(server, f"/files/{id}", 3, b"de", length(10)).status == 204
    answer = told(server, id)
    assert (answer.header("upload-length"), answer.header("upload-defer-length")) == ("10", None)
    assert tus.patch(server, f"/files/{id}", 5, b"fghij").status == 204
    assert content(server, id) == b"abcdefghij"


@pytest.mark.parametrize(("size", "status"), [(3, "Completed"), (4, "InProgress")])
def test_check_056_the_length_comes_alone(server: Server, size: int, status: str) -> None:
    id = make(server, None, body=b"abc")
    assert tus.patch(server, f"/files/{id}", 3, b"", length(size)).status == 204
    assert told(server, id).header("upload-length") == str(size)
    assert api(server, "GET", f"/files/upload/progress/{id}").json()["status"] == status


def test_check_056_of_nothing_at_all(server: Server) -> None:
    id = make(server, None)
    assert tus.patch(server, f"/files/{id}", 0, b"", length(0)).status == 204
    assert content(server, id) == b""


DECLARED = [
    Row(id="check-057-another-length", method="PATCH", headers=(V, BODY, offset(3), length(11)), body=b"d", status=400,
        code="INVALID_LENGTH"),
    Row(id="check-057-a-smaller-length", method="PATCH", headers=(V, BODY, offset(3), length(4)), body=b"d", status=400,
        code="INVALID_LENGTH"),
]  # fmt: skip


@pytest.mark.parametrize("row", DECLARED, ids=str)
def test_a_length_is_declared_once(server: Server, row: Row) -> None:
    id = make(server, None, body=b"abc")
    assert tus.patch(server, f"/files/{id}", 3, b"", length(10)).status == 204
    row.ask(server, id)
    answer = told(server, id)
    assert (answer.header("upload-length"), answer.header("upload-offset")) == ("10", "3")


WRONG = [
    (length(2), b"", 400, "INVALID_LENGTH", "check-058-less-than-arrived"),
    (length(204_801), b"", 413, "TOO_LARGE", "check-058-over-the-largest"),
    (length(5), b"defg", 413, "SIZE_EXCEEDED", "check-059-body-over-the-length"),
    (length("x"), b"d", 400, "INVALID_LENGTH", "check-059-no-number"),
]


@pytest.mark.parametrize(("declared", "body", "status", "code"), [row[:4] for row in WRONG], ids=[r[4] for r in WRONG])
def test_a_wrong_length_changes_nothing(limited: Server, declared: Header, body: bytes, status: int, code: str) -> None:
    id = make(limited, None, body=b"abc")
    refused = tus.patch(limited, f"/files/{id}", 3, body, declared)
    assert (refused.status, refused.body.decode().partition(":")[0]) == (status, code)
    answer = told(limited, id)
    assert (answer.header("upload-defer-length"), answer.header("upload-offset")) == ("1", "3")


def patch_chunked(server: Server, id: str, at: int, *pieces: bytes, more: tuple[Header, ...] = ()) -> Response:
    return server.request("PATCH", f"/files/{id}", (V, BODY, offset(at), CHUNKED, *more), chunked(*pieces))


@pytest.mark.parametrize("count", [1, 4], ids=["check-059-one-commit", "check-059-many-commits"])
def test_a_rejected_body_does_not_set_the_length(limited: Server, count: int) -> None:
    """The body is longer than the length that it declares, which is seen at its end only."""
    id = make(limited, None)
    size = count * 48 * KIB
    refused = patch_chunked(limited, id, 0, *[bytes(KIB)] * (size // KIB + 1), more=(length(size),))
    assert (refused.status, refused.body.partition(b":")[0]) == (413, b"SIZE_EXCEEDED")
    answer = told(limited, id)
    assert (answer.header("upload-defer-length"), answer.header("upload-length")) == ("1", None)


@pytest.mark.parametrize("how", ["length", "chunked"])
def test_check_058_data_beyond_the_largest_while_deferred(limited: Server, how: str) -> None:
    id = make(limited, None, body=b"abc")
    data = bytes(204_798)
    refused = patch_chunked(limited, id, 3, data) if how == "chunked" else tus.patch(limited, f"/files/{id}", 3, data)
    assert (refused.status, refused.body.partition(b":")[0]) == (413, b"TOO_LARGE")
    assert 3 <= stands(limited, id) <= 204_800


def test_check_055_a_stream_of_unknown_length(server: Server) -> None:
    """Chunked bodies, no lengths anywhere; the end is declared by an empty request."""
    id = make(server, None)
    assert patch_chunked(server, id, 0, b"x" * MIB, b"y").header("upload-offset") == str(MIB + 1)
    assert patch_chunked(server, id, MIB + 1, b"z").header("upload-offset") == str(MIB + 2)
    assert tus.patch(server, f"/files/{id}", MIB + 2, b"", length(MIB + 2)).status == 204
    assert content(server, id) == b"x" * MIB + b"yz"


# ------------------------------------------------------------------------------------------ with upload


def test_check_064_a_creation_whose_body_breaks_off_survives(server: Server) -> None:
    name = f"cut-{time.monotonic_ns()}"
    with server.connect() as connection:
        connection.start("POST", "/files", (V, length(1000), BODY, metadata(f"filename {b64(name.encode())}"),
                                            ("Content-Length", 1000)))  # fmt: skip
        connection.send(b"x" * 300)
        time.sleep(0.3)
    found = [each for each in api(server, "GET", "/files/upload/tasks").json() if each["fileName"] == name]
    assert len(found) == 1
    assert stands(server, found[0]["taskId"]) == 300


def test_check_064_a_creation_whose_body_stops_tells_its_address(hasty: Server) -> None:
    with hasty.connect() as connection:
        connection.start("POST", "/files", (V, length(1000), BODY, ("Content-Length", 1000)))
        connection.send(b"x" * 300)
        answer = connection.response("POST")
    assert (answer.status, answer.header("upload-offset")) == (201, "300")
    assert stands(hasty, id_of(tus.path(answer))) == 300


def test_check_065_advertised_together(server: Server) -> None:
    offered = (server.request("OPTIONS", "/files").header("tus-extension") or "").split(",")
    assert {"creation", "creation-with-upload"} <= set(offered)


def test_check_060_the_rest_follows(server: Server) -> None:
    answer = tus.create(server, 6, body=b"abc")
    at = tus.path(answer)
    assert tus.patch(server, at, 3, b"def").status == 204
    assert tus.get(server, at).body == b"abcdef"
