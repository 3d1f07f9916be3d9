"""Conformance checks 90 to 103: concatenation."""

from __future__ import annotations

import time

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
    places,
    stands,
    timed,
    told,
)
from harness import KIB, MIB, Pattern, Response, Server, eventually

PARTIAL: Header = ("Upload-Concat", "partial")


def part(server: Server, data: bytes, *more: Header, size: int | None = None) -> str:
    return make(server, len(data) if size is None else size, PARTIAL, *more, body=data)


def join(server: Server, *ids: str, more: tuple[Header, ...] = ()) -> Response:
    """A final upload over these parts, named by their paths."""
    urls = " ".join(f"/files/{id}" for id in ids)
    return server.request("POST", "/files", (V, ("Upload-Concat", f"final;{urls}"), *more))


def joined(server: Server, *ids: str, more: tuple[Header, ...] = ()) -> str:
    answer = join(server, *ids, more=more)
    assert answer.status == 201, answer
    return id_of(tus.path(answer))


def test_check_090_partial(server: Server) -> None:
    answer = told(server, part(server, b"ab", size=5))
    assert (answer.header("upload-concat"), answer.header("upload-offset")) == ("partial", "2")
    assert answer.header("upload-length") == "5"


def test_check_091_in_the_order_that_is_listed(server: Server) -> None:
    a, b = part(server, b"aaa"), part(server, b"bbbbb")
    assert content(server, joined(server, b, a)) == b"bbbbbaaa"
    assert content(server, joined(server, a, b)) == b"aaabbbbb"


def test_check_092_head_of_a_final(server: Server) -> None:
    a, b = part(server, b"aaa"), part(server, b"bbbbb")
    header = f"final;http://127.0.0.1:{server.port}/files/{a}   /files/{b} "
    made = server.request("POST", "/files", (V, ("Upload-Concat", header)))
    answer = told(server, id_of(tus.path(made)))
    assert (answer.header("upload-length"), answer.header("upload-offset")) == ("8", "8")
    assert answer.header("upload-concat") == header.strip()


def test_check_093_a_final_that_is_not_finished(server: Server) -> None:
    answer = told(server, joined(server, part(server, b"aaa"), part(server, b"b", size=5)))
    assert (answer.status, answer.header("upload-offset"), answer.header("upload-length")) == (200, None, "8")


def test_check_093_of_unknown_length(server: Server) -> None:
    answer = told(server, joined(server, part(server, b"aaa"), make(server, None, PARTIAL)))
    assert (answer.status, answer.header("upload-offset"), answer.header("upload-length")) == (200, None, None)


@pytest.mark.parametrize("at", [0, 3, 8, 99], ids=lambda at: f"check-094-at-{at}")
@pytest.mark.parametrize("state", ["finished", "unfinished"])
def test_no_bytes_for_a_final(server: Server, at: int, state: str) -> None:
    a, b = part(server, b"aaa"), part(server, b"bbbbb" if state == "finished" else b"b", size=5)
    final = joined(server, a, b)
    answer = tus.patch(server, f"/files/{final}", at, b"x")
    assert (answer.status, answer.body.partition(b":")[0]) == (403, b"MODIFY_FINAL")
    assert (stands(server, a), stands(server, b)) == (3, 5 if state == "finished" else 1)
    if state == "finished":
        assert content(server, final) == b"aaabbbbb"


OWN = [
    ("check-095-length", (length(6),), b"", 400, b"INVALID_LENGTH"),
    ("check-095-defer", (("Upload-Defer-Length", 1),), b"", 400, b"INVALID_LENGTH"),
    ("check-095-body", (BODY,), b"abc", 403, b"MODIFY_FINAL"),
    ("check-095-body-of-any-type", (), b"abc", 403, b"MODIFY_FINAL"),
]


@pytest.mark.parametrize(("headers", "body", "status", "code"), [row[1:] for row in OWN], ids=[row[0] for row in OWN])
def test_a_final_has_nothing_of_its_own(
    server: Server, headers: tuple[Header, ...], body: bytes, status: int, code: bytes
) -> None:
    urls = f"/files/{part(server, b'aaa')} /files/{part(server, b'bbb')}"
    answer = server.request("POST", "/files", (V, ("Upload-Concat", f"final;{urls}"), *headers), body)
    assert (answer.status, answer.body.partition(b":")[0]) == (status, code)
    assert answer.header("location") is None


def test_check_095_an_empty_body_is_none(server: Server) -> None:
    a = part(server, b"aaa")
    answer = server.request("POST", "/files", (V, BODY, ("Upload-Concat", f"final;/files/{a}"), ("Content-Length", 0)))
    assert (answer.status, answer.header("location") is None) == (201, False)


URLS = [
    ("check-096-absolute", "http://127.0.0.1:{port}/files/{id}", 201),
    ("check-096-https-same-host", "http://127.0.0.1:{port}/files/{id}/", 201),
    ("check-096-path", "/files/{id}", 201),
    ("check-096-query", "/files/{id}?uploadToken=abc", 201),
    ("check-096-foreign-host", "http://evil.example/files/{id}", 400),
    ("check-096-foreign-port", "http://127.0.0.1:1/files/{id}", 400),
    ("check-096-foreign-path", "/other/{id}", 400),
    ("check-096-other-scheme", "ftp://127.0.0.1:{port}/files/{id}", 400),
    ("check-096-no-scheme", "//127.0.0.1:{port}/files/{id}", 400),
    ("check-096-user", "http://a@127.0.0.1:{port}/files/{id}", 400),
    ("check-103-dots", "/files/../files/{id}", 400),
    ("check-103-encoded-dots", "/files/%2e%2e%2ffiles/{id}", 400),
    ("check-103-encoded-slash", "/files%2f{id}", 400),
    ("check-103-double-slash", "/files//{id}", 400),
    ("check-103-nul", "/files/{id}%00", 400),
    ("check-103-passwd", "/files/../../../../etc/passwd", 400),
    ("check-103-passwd-absolute", "http://127.0.0.1:{port}/files/../../etc/passwd", 400),
    ("check-103-database", "/files/tusdrive.db", 400),
    ("check-103-backslash", "/files/..\\{id}", 400),
]


@pytest.mark.parametrize(("url", "status"), [row[1:] for row in URLS], ids=[row[0] for row in URLS])
def test_addresses_of_parts(server: Server, url: str, status: int) -> None:
    id, before = part(server, b"aaa"), len(places(server))
    header = ("Upload-Concat", "final;" + url.format(port=server.port, id=id))
    answer = server.request("POST", "/files", (V, header))
    assert answer.status == status, answer
    if status == 201:
        assert content(server, id_of(tus.path(answer))) == b"aaa"
    else:
        assert answer.body.startswith(b"INVALID_CONCAT: ")
        assert len(places(server)) == before


def test_check_103_a_nul_or_newline_in_the_header_is_no_request(server: Server) -> None:
    for trick in ("/files/\0abc", "/files/a\rb"):
        with server.connect(5) as connection:
            answer = connection.exchange("POST", "/files", (V, ("Upload-Concat", f"final;{trick}")))
        assert answer.status == 400


def test_check_097_a_part_twice(server: Server) -> None:
    a = part(server, b"abc")
    assert content(server, joined(server, a, a, a)) == b"abcabcabc"


def test_check_097_a_part_in_two_finals(server: Server) -> None:
    a, b = part(server, b"abc"), part(server, b"def")
    first, second = joined(server, a, b), joined(server, b, a)
    assert (content(server, first), content(server, second)) == (b"abcdef", b"defabc")


LISTS = [
    Row(id="check-098-empty", method="POST", path="/files", headers=(V, ("Upload-Concat", "final;")), status=400,
        code="INVALID_CONCAT"),
    Row(id="check-098-blanks", method="POST", path="/files", headers=(V, ("Upload-Concat", "final;   ")), status=400,
        code="INVALID_CONCAT"),
    Row(id="check-098-foo", method="POST", path="/files", headers=(V, ("Upload-Concat", "foo")), status=400,
        code="INVALID_CONCAT"),
    Row(id="check-098-partial-in-capitals", method="POST", path="/files",
        headers=(V, length(5), ("Upload-Concat", "Partial")), status=400, code="INVALID_CONCAT"),
    Row(id="check-098-no-list", method="POST", path="/files", headers=(V, ("Upload-Concat", "final")), status=400,
        code="INVALID_CONCAT"),
    Row(id="check-098-unknown", method="POST", path="/files",
        headers=(V, ("Upload-Concat", f"final;/files/{NOWHERE}")), status=400, code="INVALID_CONCAT"),
    Row(id="check-098-not-partial", method="POST", path="/files", headers=(V, ("Upload-Concat", "final;/files/{id}")),
        status=400, code="INVALID_CONCAT"),
]  # fmt: skip


@pytest.mark.parametrize("row", LISTS, ids=str)
def test_lists_that_make_no_final(server: Server, row: Row) -> None:
    id = make(server, 3, body=b"abc")
    headers = [(name, str(value).format(id=id)) for name, value in row.headers]
    row.compare(server.request(row.method, row.path, headers))


def test_check_098_a_final_is_no_part(server: Server) -> None:
    final = joined(server, part(server, b"abc"))
    assert join(server, final).status == 400


def test_check_098_a_removed_part(server: Server) -> None:
    a = part(server, b"abc")
    tus.delete(server, f"/files/{a}")
    assert join(server, a).status == 400


def test_check_099_metadata_is_not_inherited(server: Server) -> None:
    a = part(server, b"abc", ("Upload-Metadata", f"filename {b64(b'part.txt')}"))
    text = f"filename {b64(b'whole.txt')},b"
    assert told(server, joined(server, a, more=(("Upload-Metadata", text),))).header("upload-metadata") == text
    assert told(server, joined(server, a)).header("upload-metadata") is None


def test_check_100_unfinished_parts(server: Server) -> None:
    a, b = part(server, b"a", size=3), part(server, b"", size=2)
    final = joined(server, a, b)
    assert server.request("GET", f"/files/{final}").status == 409
    assert tus.patch(server, f"/files/{b}", 0, b"bb").status == 204
    assert told(server, final).header("upload-offset") is None
    assert tus.patch(server, f"/files/{a}", 1, b"aa").status == 204
    assert eventually(lambda: told(server, final).header("upload-offset") == "5")
    assert content(server, final) == b"aaabb"


def test_check_100_unfinished_parts_of_unknown_length(server: Server) -> None:
    a = make(server, None, PARTIAL)
    final = joined(server, a, a)
    assert tus.patch(server, f"/files/{a}", 0, b"abc", length(3)).status == 204
    assert eventually(lambda: told(server, final).header("upload-offset") == "6")
    answer = told(server, final)
    assert (answer.header("upload-length"), content(server, final)) == ("6", b"abcabc")


def test_check_100_the_last_part_by_rest(server: Server) -> None:
    a = part(server, b"", size=3)
    final = joined(server, a)
    answer = server.request("POST", f"/api/files/upload/chunk/{a}/0", (("Content-Type", "application/octet-stream"),),
                            b"abc")  # fmt: skip
    assert answer.status == 200
    assert eventually(lambda: told(server, final).header("upload-offset") == "3")


def test_check_101_larger_than_the_largest(limited: Server) -> None:
    a, b = part(limited, bytes(100 * KIB)), part(limited, bytes(101 * KIB))
    answer = join(limited, a, b)
    assert (answer.status, answer.body.partition(b":")[0]) == (413, b"TOO_LARGE")
    assert len(content(limited, joined(limited, a, a))) == 200 * KIB


def test_check_101_larger_than_the_largest_once_it_is_known(limited: Server) -> None:
    a, b = part(limited, bytes(100 * KIB)), make(limited, None, PARTIAL)
    final = joined(limited, a, b)
    assert tus.patch(limited, f"/files/{b}", 0, bytes(101 * KIB), length(101 * KIB)).status == 204
    assert eventually(lambda: told(limited, final).status == 410)
    assert api(limited, "GET", f"/files/upload/progress/{final}").json()["status"] == "Failed"


def test_check_101_parts_are_no_tasks(server: Server) -> None:
    before = api(server, "GET", "/files/upload/tasks").number("x-total")
    a = part(server, b"abc")
    assert api(server, "GET", "/files/upload/tasks").number("x-total") == before
    assert api(server, "GET", f"/files/upload/progress/{a}").json()["fileId"] is None
    joined(server, a)
    assert api(server, "GET", "/files/upload/tasks").number("x-total") == before + 1


def test_check_102_only_finals_and_parts_say_so(server: Server) -> None:
    assert told(server, make(server, 3)).header("upload-concat") is None


def test_check_097_parts_of_nothing(server: Server) -> None:
    empty, a = part(server, b""), part(server, b"abc")
    assert content(server, joined(server, empty, a, empty)) == b"abc"
    assert content(server, joined(server, empty)) == b""


def test_large_joins_are_made_in_the_background(server: Server) -> None:
    """More than 64 MiB: answered before it is done, no offset until then, progress is told."""
    one, two = Pattern(1, 40 * MIB), Pattern(2, 40 * MIB + 1)
    ids = [make(server, each.length, PARTIAL) for each in (one, two)]
    for id, each in zip(ids, (one, two), strict=True):
        assert tus.patch(server, f"/files/{id}", 0, each.read(0), timeout=60).status == 204
    took, answer = timed(lambda: join(server, *ids))
    assert answer.status == 201
    final = id_of(tus.path(answer))
    seen = []
    while (now := told(server, final)).header("upload-offset") is None:
        assert (now.status, now.header("upload-length")) == (200, str(80 * MIB + 1))
        seen.append(api(server, "GET", f"/files/upload/progress/{final}").json()["progress"])
        time.sleep(0.005)
        assert len(seen) < 5000
    assert now.header("upload-offset") == str(80 * MIB + 1)
    assert seen == sorted(seen)
    assert seen or took < 0.03, "only a disk with reflinks is done at once"
    data = content(server, final)
    assert one.differs(data[: 40 * MIB]) is None
    assert two.differs(data[40 * MIB :]) is None
    assert len(data) == 80 * MIB + 1


def test_a_join_asked_for_while_a_part_hangs(server: Server) -> None:
    a = part(server, b"", size=10)
    with tus.hung(server, f"/files/{a}", 0, 10, b"abcde") as connection:
        time.sleep(0.2)
        final = joined(server, a)
        connection.send(b"fghij")
        assert connection.response("PATCH").status == 204
    assert eventually(lambda: told(server, final).header("upload-offset") == "10")
    assert content(server, final) == b"abcdefghij"


def test_a_part_is_no_download(server: Server) -> None:
    a = part(server, b"abc")
    assert server.request("GET", f"/files/{a}", (V, offset(0))).status == 409
