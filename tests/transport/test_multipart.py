"""The one file in a form: byte for byte, wherever the pieces are split, and nothing but one file."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import tracemalloc
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from clients import CHUNKED, Client, never, sized
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tusdrive.domain.errors import BodyTimeout, Incomplete, Interrupted, Invalid, TooLarge
from tusdrive.ports import Body, Drained, End
from tusdrive.storage.files import FileChunks, Writer
from tusdrive.storage.locks import Signal
from tusdrive.transport.body import ReceiveBody
from tusdrive.transport.multipart import MultipartBody

MIB = 1024 * 1024
PLACE = "2024010112/" + "a" * 32
TYPE = b"multipart/form-data; boundary=B"

FILE = b'--B\r\nContent-Disposition: form-data; name="chunk"; filename="blob"\r\nContent-Type: a/b\r\n\r\n'
FIELD = b'--B\r\nContent-Disposition: form-data; name="note"\r\n\r\nsome text\r\n'
END = b"\r\n--B--\r\n"


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Writer]:
    store = FileChunks(tmp_path, durability="relaxed", reserve=0, threads=2)
    await store.open()
    file = store.writer(PLACE, expected=None)
    yield file
    await file.close()
    await store.close()


def form(*pieces: bytes, content_type: bytes = TYPE, end: bool = True, idle: float = 30.0) -> MultipartBody:
    below = ReceiveBody(Client(*pieces, end=end).receive, CHUNKED, idle=idle)
    return MultipartBody(below, content_type)


async def everything(body: Body) -> tuple[bytes, End]:
    data = b""
    while True:
        piece, end = await body.read(MIB, stop=never())
        if end is not None:
            return data, end
        assert piece
        data += piece


async def test_a_form_of_one_file(target: Writer) -> None:
    body = form(FILE + b"hello world" + END)
    await body.open()
    assert body.length is None
    assert await body.drain_to(target, 3, None, stop=never()) == Drained(11, End.ENDED)
    assert await target.read(0, 100) == b"\0\0\0hello world"
    await body.finish()
    assert await body.read(1, stop=never()) == (b"", End.ENDED)


@pytest.mark.parametrize(
    "text",
    [
        FILE + b"hello" + END,
        FILE + b"hello\r\n--B--",
        FILE + b"hello\r\n--B--\r\nepilogue",
        b"preamble\r\n" + FILE + b"hello" + END,
        b"\r\n" + FILE + b"hello" + END,
        FIELD + FILE + b"hello" + END,
        FILE + b"hello\r\n" + FIELD + b"--B--\r\n",
        FIELD + FIELD + FILE + b"hello\r\n" + FIELD + FIELD + b"--B--\r\n",
        (FILE + b"hello" + END).replace(b"--B\r\n", b"--B \t \r\n"),
        b'--B\r\ncontent-disposition:form-data;name=chunk\r\n\r\nhello\r\n--B--',
        b'--B\r\nX-Note: x\r\nCONTENT-DISPOSITION:   Form-Data; filename="a\\"b;name=x"; name="chunk"\r\n'
        b"Content-Transfer-Encoding: Binary\r\n\r\nhello\r\n--B--\r\n",
    ],
)  # fmt: skip
async def test_forms_that_are_taken(text: bytes) -> None:
    assert await everything(form(text)) == (b"hello", End.ENDED)
    assert await everything(form(*[text[at : at + 1] for at in range(len(text))])) == (b"hello", End.ENDED)
    assert await form(text).text(5) == b"hello"


async def test_a_form_with_a_length(target: Writer) -> None:
    text = FILE + b"hello" + END
    body = MultipartBody(ReceiveBody(Client(text).receive, sized(len(text))), TYPE)
    assert await body.drain_to(target, 0, 5, stop=never()) == Drained(5, End.ENDED)


async def test_an_empty_file() -> None:
    assert await everything(form(FILE + END)) == (b"", End.ENDED)


NO_FILE = "has no file named chunk"
ONE_FILE = "must have one file, named chunk"
MALFORMED = "malformed headers"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"--B--\r\n", NO_FILE),
        (FIELD + b"--B--\r\n", NO_FILE),
        (FILE.replace(b'"chunk"', b'"file"') + b"x" + END, ONE_FILE),
        (FILE + b"hello\r\n" + FILE + b"again" + END, ONE_FILE),
        (FILE + b"hello\r\n" + FILE.replace(b'"chunk"', b'"other"') + b"again" + END, ONE_FILE),
        (b"--B\r\n\r\nhello" + END, "has no name"),
        (b"--B\r\nContent-Type: a/b\r\n\r\nhello" + END, "has no name"),
        (b"--B\r\nContent-Disposition: form-data\r\n\r\nhello" + END, "has no name"),
        (b'--B\r\nContent-Disposition: attachment; name="chunk"\r\n\r\nhello' + END, "has no name"),
        (b"--B\r\nnonsense\r\n\r\nhello" + END, MALFORMED),
        (b"--B\r\n: nonsense\r\n\r\nhello" + END, MALFORMED),
        (FILE.replace(b"\r\nContent-Type: ", b"\r\n ") + b"hello" + END, MALFORMED),
        (FILE.replace(b"Content-Type: a/b", b'Content-Disposition: form-data; name="x"') + b"hello" + END, MALFORMED),
        (FILE.replace(b"Content-Type: a/b", b"Content-Transfer-Encoding: base64") + b"hello" + END, "is encoded"),
        (FILE.replace(b"a/b", b"a" * 8192) + b"hello" + END, "8192 bytes of headers"),
        (b"--B\r\nX: " + b"a" * 9000, "8192 bytes of headers"),
        (b"p" * 16385 + FILE, "16384 bytes around"),
        (FIELD.replace(b"some text", b"x" * 16385) + FILE + b"hello" + END, "16384 bytes around"),
        (FILE + b"hello\r\n" + FIELD.replace(b"some text", b"x" * 16385) + b"--B--", "16384 bytes around"),
        (FILE + b"hello" + END + b"x" * 16385, "16384 bytes around"),
        (FIELD * 64 + FILE + b"hello" + END, "64 parts"),
    ],
)
async def test_forms_that_are_refused(text: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        await everything(form(text))
    with pytest.raises(Invalid, match=why):
        await everything(form(*[text[at : at + 1] for at in range(len(text))]))


@pytest.mark.parametrize(
    "content_type",
    [
        b"", b"text/plain", b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/mixed; boundary=B",
        b"multipart/form-data; boundary=" + b"B" * 71, b'multipart/form-data; boundary="B "',
        b'multipart/form-data; boundary="B\r\nB"', b"multipart/form-data; boundary=B\xe9",
        b"application/x-www-form-urlencoded; boundary=B",
    ],
)  # fmt: skip
def test_a_type_without_a_boundary(content_type: bytes) -> None:
    with pytest.raises(Invalid, match="boundary of 1 to 70"):
        form(content_type=content_type)


@pytest.mark.parametrize("boundary", ["B", "B" * 70, "'()+_,-./:=?", "-----WebKitFormBoundary7MA4YWxkTrZu0gW"])
async def test_boundaries(boundary: str) -> None:
    mark = boundary.encode()
    text = (FILE + b"hello" + END).replace(b"--B", b"--" + mark)
    typed = b'multipart/form-data; charset=utf-8; boundary="' + mark + b'"'
    assert await everything(form(text, content_type=typed)) == (b"hello", End.ENDED)


@pytest.mark.parametrize("cut", [1, 3, 6, 9, 30, len(FILE) - 2, len(FILE), len(FILE) + 3, len(FILE) + 5 + 6])
async def test_a_form_that_is_cut(target: Writer, cut: int) -> None:
    """At any place before the last hyphen of the closing boundary."""
    text = (FILE + b"hello" + END)[:cut]
    kept = max(0, min(5, cut - len(FILE)))
    body = form(text)
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(kept, End.CUT)
    assert await target.read(0, 100) == b"hello"[:kept]
    assert await body.read(1, stop=never()) == (b"", End.CUT)
    with pytest.raises(Incomplete):
        await body.finish()
    with pytest.raises(Incomplete):
        await form(text).text(100)


async def test_opening_raises_what_is_wrong() -> None:
    with pytest.raises(Incomplete):
        await form(FILE[:20]).open()
    with pytest.raises(BodyTimeout):
        await form(FILE[:20], end=False, idle=0.05).open()
    with pytest.raises(Invalid):
        await form(b"--B--").open()
    stop = Signal()
    stop.set()
    stopped = form(FILE[:20], end=False)
    with pytest.raises(Interrupted):
        await stopped.open(stop=stop)


async def test_silence_before_the_closing_boundary_is_not_an_end(target: Writer) -> None:
    body = form(FILE + b"hello", end=False, idle=0.1)
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(5, End.SLOW)
    body = form(FILE + b"hello\r\n--B", end=False, idle=0.1)
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(5, End.SLOW)


async def test_the_limit(target: Writer) -> None:
    body = form(FILE + b"hello world" + END)
    assert await body.drain_to(target, 0, 5, stop=never()) == Drained(5, End.LIMIT)
    assert await body.drain_to(target, 5, 11, stop=never()) == Drained(6, End.ENDED)
    assert await target.read(0, 100) == b"hello world"


async def test_stopping_loses_nothing(target: Writer) -> None:
    client = Client(FILE + b"hello\r\n--")
    body = MultipartBody(ReceiveBody(client.receive, CHUNKED), TYPE)
    stop = Signal()
    draining = asyncio.create_task(body.drain_to(target, 0, None, stop=stop))
    await asyncio.sleep(0.02)
    stop.set()
    assert await draining == Drained(5, End.STOPPED)
    client.send(b"A\r\n--B--", more=False)
    assert await body.drain_to(target, 5, None, stop=never()) == Drained(5, End.ENDED)
    assert await target.read(0, 100) == b"hello\r\n--A"


async def test_another_name() -> None:
    below = ReceiveBody(Client(FILE.replace(b"chunk", b"file") + b"hello" + END, end=True).receive, CHUNKED)
    assert await everything(MultipartBody(below, TYPE, field="file")) == (b"hello", End.ENDED)


async def test_the_cap_of_a_text_counts_the_file_alone() -> None:
    assert await form(FIELD + FILE + b"hello" + END).text(5) == b"hello"
    with pytest.raises(TooLarge):
        await form(FILE + b"hello!" + END).text(5)


DELIMITER = re.compile(rb"\r\n--B(--|[ \t]{0,64}\r\n)")

text_like_a_boundary = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"-", b"--", b"--B", b"\r\n--", b"\r\n--B", b"\r\n--BB", b"B", b" ", b"\t", b"x",
         b"\r\n--B ", b"\r\n--B-", b"\r\n--B\r", bytes(range(256))]
    ),
    max_size=30,
).map(b"".join)  # fmt: skip
payloads = (st.binary(max_size=200) | text_like_a_boundary).filter(
    lambda payload: DELIMITER.search(payload + b"\r\n--B--").start() == len(payload)  # type: ignore[union-attr]
)


@settings(max_examples=600, deadline=None)
@given(payload=payloads, cuts=st.lists(st.integers(0, 500), max_size=12), fields=st.sampled_from([b"", FIELD]))
@example(payload=b"\r\n--BX\r\n--B-\r\n--", cuts=list(range(300)), fields=FIELD)
@example(payload=b"\r\n--B\r", cuts=[], fields=b"")
@example(payload=b"--B--", cuts=[], fields=b"")
def test_any_payload_split_anywhere(payload: bytes, cuts: list[int], fields: bytes) -> None:
    text = fields + FILE + payload + b"\r\n" + fields + b"--B--\r\n"
    edges = sorted({0, len(text), *[cut for cut in cuts if cut < len(text)]})
    pieces = [text[start:end] for start, end in pairwise(edges)]

    async def check() -> None:
        assert await everything(form(*pieces)) == (payload, End.ENDED)
        with tempfile.TemporaryDirectory() as place:
            store = FileChunks(Path(place), durability="relaxed", reserve=0, threads=1)
            await store.open()
            file = store.writer(PLACE, expected=None)
            assert await form(*pieces).drain_to(file, 0, None, stop=never()) == Drained(len(payload), End.ENDED)
            assert await file.read(0, 100_000) == payload
            await file.close()
            await store.close()

    asyncio.run(check())


@settings(max_examples=300, deadline=None)
@given(text=st.lists(st.sampled_from([FILE, FIELD, END, b"\r\n", b"--B", b"--B--", b"\r\n\r\n", b"x", b": ", b"\r"])))
def test_no_form_makes_it_fail_otherwise(text: list[bytes]) -> None:
    """Whatever comes is taken, refused or cut."""

    async def check() -> None:
        try:
            _, end = await everything(form(b"".join(text)))
        except Invalid:
            return
        assert end in (End.ENDED, End.CUT)

    asyncio.run(check())


async def test_memory_does_not_grow_with_the_file() -> None:
    data = os.urandom(256 * 1024)

    class Source:
        left = 256

        async def receive(self) -> dict[str, object]:
            self.left -= 1
            body = FILE + data if self.left == 255 else data if self.left >= 0 else END
            await asyncio.sleep(0)
            return {"type": "http.request", "body": body, "more_body": self.left >= 0}

    body = MultipartBody(ReceiveBody(Source().receive, CHUNKED), TYPE)
    tracemalloc.start()
    size = 0
    while (got := await body.read(MIB, stop=never()))[1] is None:
        size += len(got[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got[1] is End.ENDED
    assert size == 256 * 256 * 1024
    assert peak < 4 * MIB
