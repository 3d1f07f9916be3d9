"""What REST clients send, row by row."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusdrive.domain.checksum import FileHash
from tusdrive.domain.errors import ChunkOutOfRange, Invalid, TooLarge
from tusdrive.domain.requests import NewUpload
from tusdrive.domain.upload import State
from tusdrive.ports import Page, Sort
from tusdrive.protocols import drive

NOW = 1_762_653_360_000_000
SHA256 = "ab" * 32
POOL = "550e8400-e29b-41d4-a716-446655440000"


def create(**fields: object) -> NewUpload:
    return drive.read_create(json.dumps({"fileName": "a.txt", "fileSize": 5, **fields}).encode(), NOW)


def made(**fields: object) -> NewUpload:
    values = {"file_name": "a.txt", "length": 5, "auto_finish": False, **fields}
    return NewUpload(**values)  # type: ignore[arg-type]


def test_create_as_the_specification_writes_it() -> None:
    body = {
        "fileName": "large-video.mp4", "fileSize": 1_073_741_824, "contentType": "video/mp4", "poolId": POOL,
        "bundleId": "b-1", "chunkSize": 8_388_608, "encryptPassword": None, "expiredAt": "2025-11-10T00:00:00Z",
        "hash": SHA256.upper(),
    }  # fmt: skip
    wanted = NewUpload(
        length=1_073_741_824, auto_finish=False, file_name="large-video.mp4", content_type="video/mp4",
        chunk_size=8_388_608, hash=FileHash("sha256", SHA256), pool=POOL, bundle="b-1",
        file_expires_at=1_762_732_800_000_000,
    )  # fmt: skip
    assert drive.read_create(json.dumps(body).encode(), NOW) == wanted
    snake = dict(zip(SNAKE, body.values(), strict=True))
    assert drive.read_create(json.dumps(snake).encode(), NOW) == wanted


SNAKE = [
    "file_name", "file_size", "content_type", "pool_id", "bundle_id", "chunk_size", "encrypt_password", "expired_at",
    "hash",
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, {}),
        ({"fileSize": 0}, {"length": 0}),
        ({"fileSize": 9_999_999_999_999_999}, {"length": 9_999_999_999_999_999}),
        ({"contentType": ""}, {}),
        ({"contentType": "not a type"}, {}),
        ({"contentType": None, "poolId": None, "bundleId": None, "chunkSize": None}, {}),
        ({"encryptPassword": None, "expiredAt": None, "hash": None}, {}),
        ({"poolId": "", "bundleId": "", "hash": "", "expiredAt": "", "encryptPassword": ""}, {}),
        ({"hash": "AB" * 16}, {"hash": FileHash("md5", "ab" * 16)}),
        ({"chunkSize": 1}, {"chunk_size": 1}),
        ({"fileName": "日本 (1).txt"}, {"file_name": "日本 (1).txt"}),
        ({"unknown": {"deep": [1]}, "usage": 3}, {}),
    ],
)
def test_create(fields: dict[str, object], wanted: dict[str, object]) -> None:
    assert create(**fields) == made(**wanted)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"fileName": None}, "fileName"), ({"fileName": ""}, "fileName"), ({"fileName": 5}, "fileName"),
        ({"fileName": "a\0"}, "fileName"), ({"fileName": "a\r\nb"}, "fileName"), ({"fileName": "n" * 1025}, "fileName"),
        ({"fileSize": None}, "fileSize"), ({"fileSize": -1}, "fileSize"), ({"fileSize": True}, "fileSize"),
        ({"fileSize": 5.0}, "fileSize"), ({"fileSize": 1e3}, "fileSize"), ({"fileSize": "5"}, "fileSize"),
        ({"fileSize": [5]}, "fileSize"), ({"fileSize": {}}, "fileSize"),
        ({"chunkSize": 0}, "chunkSize"), ({"chunkSize": -1}, "chunkSize"), ({"chunkSize": True}, "chunkSize"),
        ({"chunkSize": 10**16}, "chunkSize"), ({"chunkSize": 10**400}, "chunkSize"), ({"chunkSize": 1.5}, "chunkSize"),
        ({"contentType": 5}, "contentType"),
        ({"poolId": "a b"}, "poolId"), ({"poolId": "../x"}, "poolId"), ({"poolId": "a" * 65}, "poolId"),
        ({"poolId": 5}, "poolId"), ({"bundleId": "ä"}, "bundleId"),
        ({"expiredAt": "tomorrow"}, "expiredAt"), ({"expiredAt": "2025-11-09T01:56:00Z"}, "expiredAt"),
        ({"expiredAt": "2020-01-01"}, "expiredAt"), ({"expiredAt": 5}, "expiredAt"),
        ({"hash": "abc"}, "hash"), ({"hash": "zz" * 32}, "hash"), ({"hash": 5}, "hash"),
        ({"encryptPassword": "secret"}, "encryptPassword"),
        ({"file_name": "b.txt"}, "fileName"), ({"file_size": 5}, "fileSize"),
    ],
)  # fmt: skip
def test_create_refuses(fields: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        create(**fields)
    assert refused.value.details == {"field": field}
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("size", [10**16, 2**63, 2**64, 10**400])
def test_create_of_something_huge(size: int) -> None:
    with pytest.raises(TooLarge) as refused:
        create(fileSize=size)
    assert refused.value.details == {"field": "fileSize"}


NO_JSON = [
    b"", b" ", b"{", b"[]", b"null", b"5", b'"x"', b"\xff", b"{'fileName': 1}", b'{"fileSize": NaN, "fileName": "a"}',
    b'{"fileSize": Infinity, "fileName": "a"}', b'{"fileSize": 1' + b"0" * 5000 + b', "fileName": "a"}',
    b'{"fileName": "\xff", "fileSize": 1}', b"[" * 100_000,
    b'{"a":' * 100_000, b'{"fileName": "a", "fileSize": 1} x', b"\xef\xbb\xbf{}", b'{"fileName": "a", "fileSize": 01}',
]  # fmt: skip


@pytest.mark.parametrize("body", NO_JSON, ids=lambda body: repr(body[:40]))
def test_what_is_no_json_object(body: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        drive.read_create(body, NOW)
    assert refused.value.details == {"field": "body"}


KEYS = st.sampled_from(["fileName", "fileSize", "hash"]) | st.text()
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_create_understands_or_refuses(body: bytes) -> None:
    try:
        new = drive.read_create(body, NOW)
    except (Invalid, TooLarge):
        return
    assert new.file_name
    assert new.length is not None
    assert new.length >= 0


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"", None), (b" \r\n", None), (b"{}", None), (b'{"hash": null}', None), (b'{"hash": ""}', None),
        (b'{"x": 1}', None), (b'{"hash": "%s"}' % SHA256.encode(), FileHash("sha256", SHA256)),
    ],
)  # fmt: skip
def test_complete(body: bytes, wanted: FileHash | None) -> None:
    assert drive.read_complete(body) == wanted


@pytest.mark.parametrize("body", [b"null", b"[]", b"{", b'{"hash": 5}', b'{"hash": "abc"}'])
def test_complete_refuses(body: bytes) -> None:
    with pytest.raises(Invalid):
        drive.read_complete(body)


@pytest.mark.parametrize("body", [b'"b.txt"', b'{"name": "b.txt"}', b'{"fileName":"b.txt"}', b'{"file_name":"b.txt"}'])
def test_name(body: bytes) -> None:
    assert drive.read_name(body) == "b.txt"


@pytest.mark.parametrize("body", [b"", b"b.txt", b'""', b"5", b"null", b"{}", b'{"name": 5}', b'"a\\u0000"', b'["a"]'])
def test_name_refuses(body: bytes) -> None:
    with pytest.raises(Invalid):
        drive.read_name(body)


def test_chunk_index() -> None:
    assert [drive.read_chunk_index(text) for text in ("0", "127", "0007")] == [0, 127, 7]
    for text in ("", "-1", "+1", "1.0", "a", "1_0", " 1", "１", "9" * 17, "\udcff"):
        with pytest.raises(ChunkOutOfRange):
            drive.read_chunk_index(text)


OPEN = frozenset({State.ACTIVE, State.ASSEMBLING, State.VERIFYING})


@pytest.mark.parametrize(
    ("params", "states", "page"),
    [
        ({}, None, Page()),
        ({"status": ""}, None, Page()),
        ({"status": "InProgress"}, OPEN, Page()),
        ({"status": "inprogress"}, OPEN, Page()),
        ({"status": "in_progress"}, OPEN, Page()),
        ({"status": "COMPLETED"}, {State.COMPLETED}, Page()),
        ({"status": "Failed"}, {State.FAILED}, Page()),
        ({"status": "Cancelled"}, {State.CANCELLED}, Page()),
        ({"status": "Expired"}, {State.EXPIRED}, Page()),
        ({"status": "Pending"}, frozenset(), Page()),
        ({"status": "Paused"}, frozenset(), Page()),
        ({"status": "1"}, OPEN, Page()),
        ({"status": "3"}, {State.COMPLETED}, Page()),
        ({"status": "4"}, {State.FAILED}, Page()),
        ({"status": "5"}, {State.CANCELLED}, Page()),
        ({"status": "6"}, {State.EXPIRED}, Page()),
        ({"status": "Failed, Expired"}, {State.FAILED, State.EXPIRED}, Page()),
        ({"sortBy": "filename"}, None, Page(sort=Sort.NAME)),
        ({"sortBy": "fileName"}, None, Page(sort=Sort.NAME)),
        ({"sort_by": "file_size"}, None, Page(sort=Sort.SIZE)),
        ({"sortBy": "createdAt"}, None, Page(sort=Sort.CREATED)),
        ({"sortby": "created"}, None, Page(sort=Sort.CREATED)),
        ({"sortBy": "updatedAt"}, None, Page(sort=Sort.UPDATED)),
        ({"SortBy": "updated"}, None, Page(sort=Sort.UPDATED)),
        ({"sortBy": "lastActivity"}, None, Page()),
        ({"sortBy": "activity"}, None, Page()),
        ({"sortDescending": "false"}, None, Page(descending=False)),
        ({"sort_descending": "0"}, None, Page(descending=False)),
        ({"sortDescending": "True"}, None, Page()),
        ({"sortDescending": "1"}, None, Page()),
        ({"offset": "100", "limit": "200"}, None, Page(offset=100, limit=200)),
        ({"take": "7"}, None, Page(limit=7)),
        ({"take": "7", "limit": "8"}, None, Page(limit=8)),
        ({"unknown": "x"}, None, Page()),
    ],
)
def test_task_query(params: dict[str, str], states: set[State] | None, page: Page) -> None:
    assert drive.read_task_query(params) == (states, page)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        *(({"status": text}, "status") for text in ("0", "2", "7", "x", "-1", "Completed,", ",")),
        *(({"sortBy": text}, "sortBy") for text in ("x", "id; drop table", "hash", " ")),
        *(({"sortDescending": text}, "sortDescending") for text in ("yes", "2", " ", "desc")),
        *(({"offset": text}, "offset") for text in ("-1", "1.5", "x", "+1", "9" * 17, "１", "\udcff")),
        *(({"limit": text}, "limit") for text in ("0", "-1", "201", "x", "1e2")),
        ({"take": "0"}, "take"),
    ],
)
def test_task_query_refuses(params: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid, match=field) as refused:
        drive.read_task_query(params)
    assert refused.value.details == {"field": field}


def test_file_and_recent_queries() -> None:
    assert drive.read_file_query({}) == Page(sort=Sort.CREATED, limit=20)
    asked = {"order": "size", "orderDesc": "false", "take": "5", "offset": "2", "query": "x"}
    assert drive.read_file_query(asked) == Page(sort=Sort.SIZE, descending=False, limit=5, offset=2)
    assert drive.read_file_query({"order": "date"}).sort is Sort.CREATED
    assert drive.read_recent_query({}) == Page(limit=10)
    assert drive.read_recent_query({"limit": "3"}) == Page(limit=3)
    with pytest.raises(Invalid):
        drive.read_recent_query({"limit": "201"})
