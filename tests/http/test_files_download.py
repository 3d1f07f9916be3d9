"""Files over the wire: ranges, conditions, names, types."""

from __future__ import annotations

import base64
import hashlib
import re
import time

import pytest
from asking import Header, api, content, file_of, make, put, refusal, task
from harness import MIB, Pattern, Response, Server, eventually

DATA = bytes(range(100))


@pytest.fixture(scope="module")
def file(server: Server) -> str:
    return file_of(server, DATA, "plain.txt", "text/plain")


def get(server: Server, file: str, *headers: Header, method: str = "GET", query: str = "") -> Response:
    return server.request(method, f"/api/files/{file}{query}", headers)


def bounds(span: str) -> Header:
    return "Range", span


RANGES = [
    ("first", "bytes=0-0", 206, "bytes 0-0/100", DATA[:1]),
    ("begin", "bytes=0-9", 206, "bytes 0-9/100", DATA[:10]),
    ("middle", "bytes=10-19", 206, "bytes 10-19/100", DATA[10:20]),
    ("rest", "bytes=90-", 206, "bytes 90-99/100", DATA[90:]),
    ("beyond-the-end", "bytes=90-1000", 206, "bytes 90-99/100", DATA[90:]),
    ("suffix", "bytes=-5", 206, "bytes 95-99/100", DATA[95:]),
    ("suffix-of-more-than-all", "bytes=-1000", 206, "bytes 0-99/100", DATA),
    ("all", "bytes=0-", 206, "bytes 0-99/100", DATA),
    ("unit-in-capitals", "BYTES=0-1", 206, "bytes 0-1/100", DATA[:2]),
    ("touching", "bytes=0-9,10-19", 206, "bytes 0-19/100", DATA[:20]),
    ("overlapping", "bytes=0-15,10-19", 206, "bytes 0-19/100", DATA[:20]),
    ("one-of-two-exists", "bytes=5-6,200-300", 206, "bytes 5-6/100", DATA[5:7]),
    ("outside", "bytes=100-", 416, "bytes */100", None),
    ("far-outside", "bytes=999999999999999-", 416, "bytes */100", None),
    ("suffix-of-nothing", "bytes=-0", 416, "bytes */100", None),
    ("all-outside", "bytes=100-,200-", 416, "bytes */100", None),
    ("other-unit", "items=0-5", 200, None, DATA),
    ("backwards", "bytes=9-0", 200, None, DATA),
    ("no-number", "bytes=a-b", 200, None, DATA),
    ("nothing", "bytes=", 200, None, DATA),
    ("dash", "bytes=-", 200, None, DATA),
    ("sign", "bytes=+1-5", 200, None, DATA),
    ("nine", "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 18, 2)), 200, None, DATA),
    ("a-thousand", "bytes=" + ",".join(f"{at}-" for at in range(1000)), 200, None, DATA),
]


@pytest.mark.parametrize(("span", "status", "shown", "body"), [row[1:] for row in RANGES], ids=[r[0] for r in RANGES])
def test_ranges(server: Server, file: str, span: str, status: int, shown: str | None, body: bytes | None) -> None:
    answer = get(server, file, bounds(span))
    assert (answer.status, answer.header("content-range")) == (status, shown)
    if body is None:
        assert refusal(answer) == (416, "RANGE_NOT_SATISFIABLE")
    else:
        assert answer.body == body
        assert answer.number("content-length") == len(body)
        assert answer.header("accept-ranges") == "bytes"


def test_several_ranges(server: Server, file: str) -> None:
    answer = get(server, file, bounds("bytes=50-59,0-4,-2"))
    assert answer.status == 206
    kind = answer.header("content-type") or ""
    assert kind.startswith("multipart/byteranges; boundary=")
    mark = kind.partition("=")[2].encode()
    assert answer.number("content-length") == len(answer.body)
    pieces = re.split(rb"\r\n--|^--", answer.body)[1:]
    assert pieces[-1] == mark + b"--\r\n"
    assert pieces[:-1] == [
        mark + b"\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-4/100\r\n\r\n" + DATA[:5],
        mark + b"\r\ncontent-type: text/plain\r\ncontent-range: bytes 50-59/100\r\n\r\n" + DATA[50:60],
        mark + b"\r\ncontent-type: text/plain\r\ncontent-range: bytes 98-99/100\r\n\r\n" + DATA[98:],
    ]


def test_a_large_file_in_ranges(server: Server) -> None:
    pattern = Pattern(21, 5 * MIB + 3)
    file = file_of(server, pattern.read(0))
    whole = get(server, file)
    assert (whole.status, whole.number("content-length"), pattern.differs(whole.body)) == (200, 5 * MIB + 3, None)
    got = b"".join(get(server, file, bounds(f"bytes={at}-{at + 999_999}")).body for at in range(0, 5 * MIB + 3, 10**6))
    assert pattern.differs(got) is None
    assert len(got) == 5 * MIB + 3


def test_nothing(server: Server) -> None:
    file = file_of(server, b"")
    answer = get(server, file)
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "0")
    assert get(server, file, bounds("bytes=0-0")).status == 416
    assert get(server, file, bounds("bytes=-5")).status == 200


def test_head(server: Server, file: str) -> None:
    answer = get(server, file, method="HEAD")
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "100")
    assert dict(answer.headers).keys() == dict(get(server, file).headers).keys()
    assert get(server, file, bounds("bytes=0-9"), method="HEAD").header("content-length") == "100"
    assert get(server, "0" * 32, method="HEAD").status == 404
    with server.connect() as connection:
        for _ in range(2):  # a body would be taken for the next answer
            assert connection.exchange("HEAD", f"/api/files/{file}", ()).status == 200


def test_conditions(server: Server, file: str) -> None:
    first = get(server, file)
    tag, modified = first.header("etag") or "", first.header("last-modified") or ""
    assert re.fullmatch(r'"[!#-~]+"', tag)
    rows = [
        ((("If-None-Match", tag),), 304), ((("If-None-Match", f'"x", W/{tag}'),), 304), ((("If-None-Match", "*"),), 304),
        ((("If-None-Match", '"x"'),), 200), ((("If-Modified-Since", modified),), 304),
        ((("If-Modified-Since", "Wed, 25 Jun 2014 16:00:00 GMT"),), 200), ((("If-Modified-Since", "nonsense"),), 200),
        ((("If-Match", tag),), 200), ((("If-Match", "*"),), 200), ((("If-Match", '"x"'),), 412),
        ((("If-Unmodified-Since", modified),), 200),
        ((("If-Unmodified-Since", "Wed, 25 Jun 2014 16:00:00 GMT"),), 412),
        ((("If-None-Match", '"x"'), ("If-Modified-Since", modified)), 200),
        ((bounds("bytes=0-9"), ("If-Range", tag)), 206), ((bounds("bytes=0-9"), ("If-Range", f"W/{tag}")), 200),
        ((bounds("bytes=0-9"), ("If-Range", '"x"')), 200), ((bounds("bytes=0-9"), ("If-Range", modified)), 206),
        ((bounds("bytes=0-9"), ("If-Range", "Wed, 25 Jun 2014 16:00:00 GMT")), 200),
        ((bounds("bytes=0-9"), ("If-None-Match", tag)), 304), ((bounds("bytes=900-"), ("If-Range", '"x"')), 200),
    ]  # fmt: skip
    for headers, status in rows:
        answer = get(server, file, *headers)
        assert answer.status == status, headers
        assert answer.body == {200: DATA, 206: DATA[:10], 304: b""}.get(status, answer.body)
        assert answer.header("etag") == (tag if status != 412 else None)
    assert get(server, file, ("If-Match", '"x"')).json()["code"] == "PRECONDITION_FAILED"


def test_the_tag_stays_when_the_hash_becomes_known(server: Server) -> None:
    data = b"hash me by and by"
    file = file_of(server, data)
    tag = get(server, file).header("etag")
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(data).digest()).decode() + ":"
    assert eventually(lambda: get(server, file).header("repr-digest") == digest, 20, 0.2)
    assert get(server, file).header("etag") == tag


NAMES = [
    ("a.txt", 'filename="a.txt"'),
    ("two words.txt", 'filename="two words.txt"'),
    ('quo"te.txt', "filename=\"quo_te.txt\"; filename*=UTF-8''quo%22te.txt"),
    ("Zürich 🚀.txt", "filename=\"Z_rich _.txt\"; filename*=UTF-8''Z%C3%BCrich%20%F0%9F%9A%80.txt"),
    ("semi;colon=.txt", 'filename="semi;colon=.txt"'),
    ("per%41cent.txt", "filename=\"per_41cent.txt\"; filename*=UTF-8''per%2541cent.txt"),
    ("../../etc/passwd", 'filename="passwd"'),
    ("C:\\temp\\x.txt", 'filename="x.txt"'),
    ("日本語", "filename=\"___\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC%E8%AA%9E"),
    ("\u202egpj.exe", "filename=\"_gpj.exe\"; filename*=UTF-8''%E2%80%AEgpj.exe"),
]


@pytest.mark.parametrize(("name", "shown"), NAMES, ids=[ascii(name) for name, _ in NAMES])
def test_names(server: Server, name: str, shown: str) -> None:
    answer = get(server, file_of(server, b"x", name, "application/pdf"))
    assert answer.header("content-disposition") == f"attachment; {shown}"


@pytest.mark.parametrize("name", ["..", "/", "a/"])
def test_names_that_are_none(server: Server, name: str) -> None:
    file = file_of(server, b"x", name)
    assert get(server, file).header("content-disposition") == f'attachment; filename="{file}"'


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x=1", "a\nb", "a\0b"])
def test_names_that_would_break_a_header_come_by_no_way(server: Server, name: str, file: str) -> None:
    assert refusal(api(server, "PATCH", f"/files/{file}/name", name)) == (400, "VALIDATION_ERROR")
    assert get(server, file).header("set-cookie") is None


KINDS = [
    ("text/plain", "text/plain", "inline"), ("text/plain; charset=UTF-8", "text/plain; charset=utf-8", "inline"),
    ("image/png", "image/png", "inline"), ("image/JPEG", "image/jpeg", "inline"), ("image/webp", "image/webp", "inline"),
    ("audio/ogg", "audio/ogg", "inline"), ("video/mp4", "video/mp4", "inline"),
    ("text/html", "text/html", "attachment"), ("image/svg+xml", "image/svg+xml", "attachment"),
    ("application/pdf", "application/pdf", "attachment"), ("text/javascript", "text/javascript", "attachment"),
    ("application/xhtml+xml", "application/xhtml+xml", "attachment"), ("text/css", "text/css", "attachment"),
    ("application/json", "application/json", "attachment"), ("nonsense", "application/octet-stream", "attachment"),
    ("text/html\r\nX-Evil: 1", "application/octet-stream", "attachment"), ("", "application/octet-stream", "attachment"),
    ("text/plain; charset=utf-8; x=y", "text/plain; charset=utf-8", "inline"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "served", "how"), KINDS, ids=[ascii(row[0]) for row in KINDS])
def test_types(server: Server, declared: str, served: str, how: str) -> None:
    answer = get(server, file_of(server, b"<script>", "a.bin", declared))
    assert answer.header("content-type") == served
    assert (answer.header("content-disposition") or "").partition(";")[0] == how
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("content-security-policy") == "default-src 'none'; sandbox"
    assert answer.header("cache-control") == "private, no-cache"
    assert answer.header("x-evil") is None


def test_for_saving_on_request(server: Server, file: str) -> None:
    for query, how in (("", "inline"), ("?download=true", "attachment"), ("?download=false", "inline"), ("?download=1", "attachment")):
        assert (get(server, file, query=query).header("content-disposition") or "").startswith(how + ";")


def test_a_type_cannot_be_forced(server: Server, file: str) -> None:
    assert get(server, file, query="?overrideMimeType=text/html").header("content-type") == "text/plain"


def test_the_address_of_the_upload_serves_the_file(server: Server) -> None:
    id = make(server, 100, ("Upload-Metadata", "filename YS50eHQ=,filetype dGV4dC9wbGFpbg=="), body=DATA)
    answer = server.request("GET", f"/files/{id}", (bounds("bytes=10-19"),))
    assert (answer.status, answer.body, answer.header("content-range")) == (206, DATA[10:20], "bytes 10-19/100")
    assert answer.header("content-disposition") == 'inline; filename="a.txt"'
    tag = answer.header("etag") or ""
    assert server.request("GET", f"/files/{id}", (("If-None-Match", tag),)).status == 304
    refused = server.request("GET", f"/files/{id}", (bounds("bytes=100-"),))
    assert (refused.status, refused.header("content-range")) == (416, "bytes */100")


def test_an_unfinished_one_serves_nothing(server: Server) -> None:
    id = make(server, 100, body=DATA[:50])
    answer = server.request("GET", f"/files/{id}")
    assert (answer.status, answer.body.partition(b":")[0]) == (409, b"WRONG_STATE")
    rest = task(server, DATA)
    put(server, rest, 0, DATA)
    assert server.request("GET", f"/files/{rest}").status == 409, "not before it is completed"
    assert refusal(get(server, id)) == (404, "NOT_FOUND"), "the id of an upload is no file's"


def test_a_reader_that_leaves_harms_nobody(server: Server) -> None:
    data = Pattern(22, 8 * MIB).read(0)
    id = make(server, 8 * MIB)
    assert server.request("PATCH", f"/files/{id}", (("Tus-Resumable", "1.0.0"), ("Upload-Offset", 0),
                          ("Content-Type", "application/offset+octet-stream")), data).status == 204  # fmt: skip
    for _ in range(5):
        with server.connect() as connection:
            connection.start("GET", f"/files/{id}")
            time.sleep(0.02)
    assert content(server, id) == data


def test_pages_may_read_files(server: Server, file: str) -> None:
    answer = get(server, file, ("Origin", "https://app.example"))
    assert answer.header("access-control-allow-origin") == "*"
    assert "content-disposition" in (answer.header("access-control-expose-headers") or "").lower()
