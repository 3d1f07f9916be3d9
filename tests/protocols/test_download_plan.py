"""Serving files: conditions and ranges (RFC 9110), names (RFC 6266), and types that do no harm."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusdrive.domain.errors import PreconditionFailed, RangeNotSatisfiable
from tusdrive.domain.file import File
from tusdrive.protocols.download import Part, Plan, disposition, plan, ranges, served_type

ID = "f" * 32
TAG = b'"%s"' % ID.encode()
AT = 1_403_712_000_500_000
FILE = File(
    id=ID, account="ann", upload="u", blob="b", name="a.png", content_type="image/png", size=100, created_at=AT
)  # fmt: skip
COMMON = [
    (b"etag", TAG),
    (b"last-modified", b"Wed, 25 Jun 2014 16:00:00 GMT"),
    (b"cache-control", b"private, no-cache"),
]
SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-site"),
]
SERVED = [*COMMON, (b"accept-ranges", b"bytes"), (b"content-disposition", b'inline; filename="a.png"'), *SECURITY]
PNG = (b"content-type", b"image/png")


def planned(headers: dict[bytes, bytes], file: File = FILE, method: str = "GET") -> Plan:
    return plan(file, method, headers, boundary=b"BOUNDARY")


def test_the_whole_file() -> None:
    wanted = Plan(
        status=200,
        headers=[*SERVED, PNG, (b"content-length", b"100")],
        parts=(Part(start=0, end=100),),
        length=100,
    )
    assert planned({}) == wanted
    assert planned({}, method="HEAD") == wanted
    assert planned({b"range": b"bytes=0-9"}, method="HEAD") == wanted, "ranges count on GET only"


def test_one_range() -> None:
    assert planned({b"range": b"bytes=10-19"}) == Plan(
        status=206,
        headers=[*SERVED, PNG, (b"content-range", b"bytes 10-19/100"), (b"content-length", b"10")],
        parts=(Part(start=10, end=20),),
        length=10,
    )


def test_several_ranges() -> None:
    found = planned({b"range": b"bytes=90-,0-4"})
    first = b"--BOUNDARY\r\ncontent-type: image/png\r\ncontent-range: bytes 0-4/100\r\n\r\n"
    second = b"\r\n--BOUNDARY\r\ncontent-type: image/png\r\ncontent-range: bytes 90-99/100\r\n\r\n"
    tail = b"\r\n--BOUNDARY--\r\n"
    length = len(first) + 5 + len(second) + 10 + len(tail)
    assert found == Plan(
        status=206,
        headers=[
            *SERVED,
            (b"content-type", b"multipart/byteranges; boundary=BOUNDARY"),
            (b"content-length", b"%d" % length),
        ],
        parts=(Part(start=0, end=5, head=first), Part(start=90, end=100, head=second)),
        tail=tail,
        length=length,
    )


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=0-", [(0, 100)]),
        (b"bytes=99-", [(99, 100)]),
        (b"bytes=50-1000", [(50, 100)]),
        (b"bytes=50-999999999999999999", [(50, 100)]),
        (b"bytes=-1", [(99, 100)]),
        (b"bytes=-100", [(0, 100)]),
        (b"bytes=-1000", [(0, 100)]),
        (b"Bytes=0-1", [(0, 2)]),
        (b"bytes = 0-1 , 4-5", [(0, 2), (4, 6)]),
        (b"bytes=0-1,,4-5,", [(0, 2), (4, 6)]),
        (b"bytes=4-5,0-1", [(0, 2), (4, 6)]),
        (b"bytes=0-4,5-9", [(0, 10)]),
        (b"bytes=0-9,5-14,3-3", [(0, 15)]),
        (b"bytes=0-1,200-300", [(0, 2)]),
        (b"bytes=200-,-1", [(99, 100)]),
        (b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(0, 16, 2)), [(n, n + 1) for n in range(0, 16, 2)]),
    ],
)
def test_ranges(header: bytes, wanted: list[tuple[int, int]]) -> None:
    assert ranges(header, 100) == tuple(wanted)


@pytest.mark.parametrize(
    "header",
    [
        b"", b"bytes", b"bytes=", b"bytes=,", b"bytes=-", b"bytes=a-b", b"bytes=1", b"bytes=5-4", b"bytes=0-1,5-4",
        b"bytes=0-1,x", b"items=0-1", b"bytes=+1-2", b"bytes=1-2-3", b"bytes=0x1-2", b"bytes=1_0-20", b"bytes=- 5",
        "bytes=１-２".encode(), b"bytes=--5", b"bytes=0-" + b"9" * 5000, b"bytes=" + b"0-0," * 9, b"bytes=0-1;2-3",
    ],
)  # fmt: skip
def test_ranges_that_are_ignored(header: bytes) -> None:
    assert ranges(header, 100) is None
    assert planned({b"range": header}).status == 200


@pytest.mark.parametrize("header", [b"bytes=100-", b"bytes=100-200", b"bytes=-0", b"bytes=500-,-0"])
def test_ranges_outside_the_file(header: bytes) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        planned({b"range": header})
    assert refused.value.details == {"size": 100}


def test_ranges_of_an_empty_file() -> None:
    assert ranges(b"bytes=-5", 0) is None
    for header in (b"bytes=0-", b"bytes=0-0", b"bytes=-0"):
        with pytest.raises(RangeNotSatisfiable):
            ranges(header, 0)
    empty = planned({}, replace(FILE, size=0))
    assert (empty.status, empty.length, empty.parts) == (200, 0, (Part(start=0, end=0),))


@given(
    st.integers(0, 30),
    st.lists(st.tuples(st.none() | st.integers(0, 40), st.none() | st.integers(0, 40)), min_size=1, max_size=8),
)
def test_ranges_against_a_set_of_positions(size: int, asked: list[tuple[int | None, int | None]]) -> None:
    def positions(first: int | None, last: int | None) -> set[int]:
        if first is None:
            return set(range(max(0, size - (last or 0)), size))
        return set(range(first, size if last is None else min(size, last + 1)))

    specs = [f"{'' if a is None else a}-{'' if b is None else b}" for a, b in asked]
    header = ("bytes=" + ",".join(specs)).encode()
    broken = any((a is None and b is None) or (a is not None and b is not None and a > b) for a, b in asked)
    wanted = set().union(*(positions(a, b) for a, b in asked))
    try:
        found = ranges(header, size)
    except RangeNotSatisfiable:
        assert not wanted
        assert not broken
        return
    if found is None:
        assert broken or size == 0
        return
    assert {at for start, end in found for at in range(start, end)} == wanted
    edges = [edge for span in found for edge in span]
    assert edges == sorted(set(edges)), "ascending, apart, not empty"


@given(st.binary(max_size=40))
def test_any_range_header_is_answered(header: bytes) -> None:
    try:
        found = planned({b"range": b"bytes=" + header, b"if-range": header, b"if-modified-since": header})
    except RangeNotSatisfiable:
        return
    assert found.status in (200, 206, 304)


OTHER = b'"other"'
EARLIER, SAME, LATER = (b"Wed, 25 Jun 2014 %s GMT" % clock for clock in (b"15:59:59", b"16:00:00", b"16:00:01"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"if-none-match": TAG}, 304),
        ({b"if-none-match": b"W/" + TAG}, 304),
        ({b"if-none-match": OTHER + b", " + TAG}, 304),
        ({b"if-none-match": b"*"}, 304),
        ({b"if-none-match": OTHER}, 200),
        ({b"if-none-match": b"junk"}, 200),
        ({b"if-none-match": OTHER, b"if-modified-since": LATER}, 200),
        ({b"if-modified-since": EARLIER}, 200),
        ({b"if-modified-since": SAME}, 304),
        ({b"if-modified-since": LATER}, 304),
        ({b"if-modified-since": b"Wednesday, 25-Jun-14 16:00:00 GMT"}, 304),
        ({b"if-modified-since": b"Wed Jun 25 16:00:00 2014"}, 304),
        ({b"if-modified-since": b"yesterday"}, 200),
        ({b"if-modified-since": b"\xff"}, 200),
        ({b"if-match": TAG}, 200),
        ({b"if-match": b"*"}, 200),
        ({b"if-match": OTHER + b"," + TAG}, 200),
        ({b"if-match": OTHER}, 412),
        ({b"if-match": b"W/" + TAG}, 412),
        ({b"if-unmodified-since": SAME}, 200),
        ({b"if-unmodified-since": EARLIER}, 412),
        ({b"if-unmodified-since": b"junk"}, 200),
        ({b"if-match": TAG, b"if-unmodified-since": EARLIER}, 200),
        ({b"if-match": OTHER, b"if-none-match": TAG}, 412),
        ({b"if-none-match": TAG, b"range": b"bytes=0-9"}, 304),
        ({b"range": b"bytes=0-9", b"if-range": TAG}, 206),
        ({b"range": b"bytes=0-9", b"if-range": b"W/" + TAG}, 200),
        ({b"range": b"bytes=0-9", b"if-range": OTHER}, 200),
        ({b"range": b"bytes=0-9", b"if-range": SAME}, 206),
        ({b"range": b"bytes=0-9", b"if-range": LATER}, 200),
        ({b"range": b"bytes=0-9", b"if-range": b"junk"}, 200),
        ({b"range": b"bytes=900-", b"if-range": OTHER}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(headers: dict[bytes, bytes], status: int, method: str) -> None:
    if status == 412:
        with pytest.raises(PreconditionFailed):
            planned(headers, method=method)
        return
    wanted = 200 if status == 206 and method == "HEAD" else status
    assert planned(headers, method=method).status == wanted


def test_not_modified_has_no_body() -> None:
    assert planned({b"if-none-match": TAG}) == Plan(status=304, headers=[*COMMON, *SECURITY])


def test_the_digest_is_told_once_it_is_known() -> None:
    found = planned({}, replace(FILE, sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
    assert (b"repr-digest", b"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:") in found.headers


@pytest.mark.parametrize(
    ("declared", "served", "shown"),
    [
        ("image/png", b"image/png", True),
        ("IMAGE/PNG", b"image/png", True),
        ("text/plain", b"text/plain", True),
        ("text/plain; charset=UTF-8", b"text/plain; charset=utf-8", True),
        ('text/plain; x=1; charset="utf-8"; y=2', b"text/plain; charset=utf-8", True),
        ("text/plain; charset=\"a b\"", b"text/plain", True),
        ("video/mp4", b"video/mp4", True),
        ("application/ogg", b"application/ogg", True),
        ("text/html", b"text/html", False),
        ("text/html;image/png", b"text/html", False),
        ("image/svg+xml", b"image/svg+xml", False),
        ("application/pdf", b"application/pdf", False),
        ("application/javascript", b"application/javascript", False),
        ("", b"application/octet-stream", False),
        ("nonsense", b"application/octet-stream", False),
        ("image/png\r\nx: y", b"application/octet-stream", False),
        ("ima ge/png", b"application/octet-stream", False),
        ("bild/ö", b"application/octet-stream", False),
    ],
)
def test_types(declared: str, served: bytes, shown: bool) -> None:
    assert served_type(declared) == served
    headers = dict(planned({}, replace(FILE, content_type=declared)).headers)
    assert headers[b"content-type"] == served
    assert headers[b"content-disposition"].startswith(b"inline" if shown else b"attachment")


def test_saving_can_be_asked_for() -> None:
    found = plan(FILE, "GET", {}, boundary=b"B", attachment=True)
    assert (b"content-disposition", b'attachment; filename="a.png"') in found.headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a.txt", b'filename="a.txt"'),
        ("a b.txt", b'filename="a b.txt"'),
        ('a"b\\c.txt', b'filename="c.txt"'),
        ('say "hi".txt', b"filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt"),
        ("100%.txt", b"filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
        ("日本.txt", b"filename=\"__.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt"),
        ("a\u202egnp.exe", b"filename=\"a_gnp.exe\"; filename*=UTF-8''a%E2%80%AEgnp.exe"),
        ("../../etc/passwd", b'filename="passwd"'),
        ("..\\..\\boot.ini", b'filename="boot.ini"'),
        ("dir/", b'filename="' + ID.encode() + b'"'),
        ("..", b'filename="' + ID.encode() + b'"'),
        ("  ", b'filename="' + ID.encode() + b'"'),
        ("", b'filename="' + ID.encode() + b'"'),
        ("a\r\nset-cookie: x", b"filename=\"a__set-cookie: x\"; filename*=UTF-8''a%0D%0Aset-cookie%3A%20x"),
        ("\ud800", b"filename=\"_\"; filename*=UTF-8''%3F"),
        ("a;b=c'd", b"filename=\"a;b=c'd\""),
    ],
)
def test_names(name: str, value: bytes) -> None:
    assert disposition(replace(FILE, name=name), b"image/png", True) == (
        b"content-disposition",
        b"attachment; " + value,
    )


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_name_or_type_breaks_a_header(name: str, kind: str) -> None:
    found = planned({}, replace(FILE, name=name, content_type=kind))
    assert all(0x20 <= byte < 0x7F for _, value in found.headers for byte in value)
