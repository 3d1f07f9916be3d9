"""A body from `receive()`: into a real file, read, or taken in whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from clients import CHUNKED, Client, never, sized

from tusdrive.domain.errors import BodyTimeout, Incomplete, Invalid, StorageFull, TooLarge
from tusdrive.ports import ChunkFile, Drained, End
from tusdrive.storage.files import FileChunks, Writer
from tusdrive.storage.locks import Signal
from tusdrive.transport.body import ReceiveBody, content_length

MIB = 1024 * 1024
PLACE = "2024010112/" + "a" * 32


class Target:
    """A real file, its bytes, and the writes and syncs asked of it."""

    def __init__(self, file: Writer, path: Path) -> None:
        self._file = file
        self._path = path
        self.calls: list[tuple[int, int, bool] | str] = []

    @property
    def allocated(self) -> int:
        return self._file.allocated

    async def write(self, position: int, pieces: list[bytes | memoryview], *, sync: bool = False) -> int:
        self.calls.append((position, sum(map(len, pieces)), sync))
        return await self._file.write(position, pieces, sync=sync)

    async def sync(self) -> None:
        self.calls.append("sync")
        await self._file.sync()

    async def read(self, position: int, size: int) -> bytes:
        return await self._file.read(position, size)

    async def close(self) -> None:
        await self._file.close()

    @property
    def data(self) -> bytes:
        return self._path.read_bytes() if self._path.exists() else b""


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    store = FileChunks(tmp_path, durability="durable", reserve=0, threads=2)
    await store.open()
    made = Target(store.writer(PLACE, expected=None), tmp_path / "bytes" / PLACE)
    file: ChunkFile = made
    yield made
    await file.close()
    await store.close()


# ---------------------------------------------------------------------------------------------------- how long


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({}, 0),
        ({b"content-length": b"0"}, 0),
        ({b"content-length": b"17"}, 17),
        ({b"content-length": b"0017"}, 17),
        ({b"content-length": b"9999999999999999"}, 9999999999999999),
        ({b"transfer-encoding": b"chunked"}, None),
        ({b"transfer-encoding": b" Chunked "}, None),
    ],
)
def test_length(headers: dict[bytes, bytes], length: int | None) -> None:
    assert content_length(headers) == length
    assert ReceiveBody(Client().receive, headers).length == length


@pytest.mark.parametrize(
    "headers",
    [
        *[{b"content-length": value} for value in (
            b"", b"-1", b"+5", b" 5", b"5 ", b"1_000", b"0x10", b"5, 5", b"1e3", b"5.0", "５".encode(),
            b"10000000000000000", b"9" * 400,
        )],
        {b"transfer-encoding": b"gzip, chunked"},
        {b"transfer-encoding": b"identity"},
        {b"transfer-encoding": b""},
        {b"transfer-encoding": b"chunked", b"content-length": b"5"},
    ],
)  # fmt: skip
def test_a_length_that_is_none(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Invalid):
        ReceiveBody(Client().receive, headers)


# ---------------------------------------------------------------------------------------------------- draining


async def test_a_small_body_is_one_write_with_its_sync(target: Target) -> None:
    body = ReceiveBody(Client(b"hello ", b"world").receive, sized(11))
    assert await body.drain_to(target, 5, None, stop=never()) == Drained(11, End.ENDED)
    assert target.calls == [(5, 11, True)]
    assert target.data == bytes(5) + b"hello world"


async def test_a_chunked_body_ends_when_it_says_so(target: Target) -> None:
    client = Client(b"hello ", b"", b"world", end=True)
    body = ReceiveBody(client.receive, CHUNKED)
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(11, End.ENDED)
    assert await body.drain_to(target, 11, None, stop=never()) == Drained(0, End.ENDED)
    assert target.calls == [(0, 11, True)]


async def test_no_body_asks_for_nothing(target: Target) -> None:
    client = Client()
    body = ReceiveBody(client.receive, {})
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(0, End.ENDED)
    assert await body.read(10, stop=never()) == (b"", End.ENDED)
    assert await body.text(10) == b""
    assert client.received == 0
    assert target.calls == []


async def test_large_bodies_are_written_a_mebibyte_at_a_time(target: Target) -> None:
    data = os.urandom(2 * MIB + 5)
    body = ReceiveBody(Client(data[: MIB + 7], data[MIB + 7 :]).receive, sized(len(data)))
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(len(data), End.ENDED)
    assert target.calls == [(0, MIB, False), (MIB, MIB, False), (2 * MIB, 5, True)]
    assert target.data == data


async def test_without_sync(target: Target) -> None:
    body = ReceiveBody(Client(b"x" * 10).receive, sized(10))
    assert await body.drain_to(target, 0, None, stop=never(), sync=False) == Drained(10, End.ENDED)
    assert target.calls == [(0, 10, False)]


async def test_bytes_that_came_before(target: Target) -> None:
    body = ReceiveBody(Client(b"world").receive, sized(11), first=b"hello ")
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(11, End.ENDED)
    assert target.data == b"hello world"
    whole = ReceiveBody(Client().receive, sized(5), first=b"hello")
    assert await whole.read(100, stop=never()) == (b"hello", None)
    assert await whole.read(100, stop=never()) == (b"", End.ENDED)


async def test_the_limit_is_never_crossed(target: Target) -> None:
    client = Client(b"0123456789", b"abc", end=True)
    body = ReceiveBody(client.receive, CHUNKED)
    assert await body.drain_to(target, 0, 4, stop=never()) == Drained(4, End.LIMIT)
    assert target.data == b"0123"
    assert client.received == 1
    assert await body.drain_to(target, 4, 10, stop=never()) == Drained(6, End.LIMIT)
    assert client.received == 2
    assert await body.drain_to(target, 10, 10, stop=never()) == Drained(0, End.LIMIT)
    assert client.received == 2
    assert await body.drain_to(target, 10, 13, stop=never()) == Drained(3, End.ENDED)
    assert target.data == b"0123456789abc"


async def test_a_longer_content_length_is_the_limit_at_once(target: Target) -> None:
    client = Client(b"0123")
    body = ReceiveBody(client.receive, sized(10))
    assert await body.drain_to(target, 0, 4, stop=never()) == Drained(4, End.LIMIT)
    assert client.received == 1
    assert target.calls == [(0, 4, True)]


async def test_a_chunked_body_that_ends_at_the_limit(target: Target) -> None:
    body = ReceiveBody(Client(b"0123", end=True).receive, CHUNKED)
    assert await body.drain_to(target, 0, 4, stop=never()) == Drained(4, End.ENDED)
    assert target.calls == [(0, 4, True)]


async def test_a_step_is_a_pause(target: Target) -> None:
    body = ReceiveBody(Client(b"0123456789").receive, sized(10))
    assert await body.drain_to(target, 0, None, stop=never(), step=4) == Drained(4, End.PAUSE)
    assert await body.drain_to(target, 4, None, stop=never(), step=4) == Drained(4, End.PAUSE)
    assert await body.drain_to(target, 8, None, stop=never(), step=2) == Drained(2, End.ENDED)
    assert target.calls == [(0, 4, True), (4, 4, True), (8, 2, True)]


async def test_what_came_is_committed_after_a_second(target: Target) -> None:
    client = Client(b"01")
    body = ReceiveBody(client.receive, sized(10), idle=30)
    begun = time.monotonic()
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(2, End.PAUSE)
    assert 0.9 < time.monotonic() - begun < 2
    client.send(b"23456789")
    assert await body.drain_to(target, 2, None, stop=never()) == Drained(8, End.ENDED)
    assert target.data == b"0123456789"


async def test_a_trickle_is_committed_every_second(target: Target) -> None:
    client = Client()
    body = ReceiveBody(client.receive, sized(100))

    async def trickle() -> None:
        for _ in range(100):
            client.send(b"x")
            await asyncio.sleep(0.02)

    sending = asyncio.create_task(trickle())
    first = await body.drain_to(target, 0, None, stop=never())
    assert first.end is End.PAUSE
    assert 20 < first.count < 60
    count = first.count
    while count < 100:
        count += (await body.drain_to(target, count, None, stop=never())).count
    await sending
    assert target.data == b"x" * 100


async def test_a_client_that_vanishes(target: Target) -> None:
    client = Client(b"0123")
    client.vanish()
    body = ReceiveBody(client.receive, sized(10))
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(4, End.CUT)
    assert target.calls == [(0, 4, True)]
    assert await body.drain_to(target, 4, None, stop=never()) == Drained(0, End.CUT)
    assert await body.read(1, stop=never()) == (b"", End.CUT)


async def test_what_was_written_before_the_cut_is_synced(target: Target) -> None:
    client = Client(bytes(MIB))
    client.vanish()
    body = ReceiveBody(client.receive, sized(2 * MIB))
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(MIB, End.CUT)
    assert target.calls == [(0, MIB, False), "sync"]


async def test_a_content_length_that_promises_more_than_comes(target: Target) -> None:
    body = ReceiveBody(Client(b"0123", end=True).receive, sized(10))
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(4, End.CUT)


async def test_bytes_beyond_the_content_length_are_dropped(target: Target) -> None:
    body = ReceiveBody(Client(b"01", b"23456").receive, sized(4))
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(4, End.CUT)
    assert target.data == b"0123"


async def test_silence(target: Target) -> None:
    client = Client(b"0123")
    body = ReceiveBody(client.receive, sized(10), idle=0.2)
    begun = time.monotonic()
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(4, End.SLOW)
    assert 0.15 < time.monotonic() - begun < 0.8
    assert target.data == b"0123"
    assert await ReceiveBody(Client().receive, sized(1), idle=0.1).read(1, stop=never()) == (b"", End.SLOW)


async def test_silence_is_counted_across_pauses(target: Target) -> None:
    body = ReceiveBody(Client(b"0123").receive, sized(10), idle=1.5)
    begun = time.monotonic()
    assert (await body.drain_to(target, 0, None, stop=never())).end is End.PAUSE
    assert await body.drain_to(target, 4, None, stop=never()) == Drained(0, End.SLOW)
    assert 1.3 < time.monotonic() - begun < 2.3


async def test_a_slow_drip_is_slow(target: Target) -> None:
    client = Client()
    body = ReceiveBody(client.receive, sized(10_000), idle=0.3, min_rate=1000)

    async def drip() -> None:
        while True:
            client.send(b"x")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    done = await body.drain_to(target, 0, None, stop=never())
    dripping.cancel()
    assert done.end is End.SLOW
    assert 4 <= done.count <= 12
    assert target.data == b"x" * done.count


async def test_stop_ends_a_hanging_body_and_keeps_what_came(target: Target) -> None:
    client, stop = Client(b"0123"), Signal()
    body = ReceiveBody(client.receive, sized(10))
    draining = asyncio.create_task(body.drain_to(target, 0, None, stop=stop))
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    stop.set()
    assert await draining == Drained(4, End.STOPPED)
    assert time.monotonic() - begun < 0.05
    assert target.calls == [(0, 4, True)]
    client.send(b"456789")
    assert await body.drain_to(target, 4, None, stop=never()) == Drained(6, End.ENDED)
    assert target.data == b"0123456789", "the receive() that was waiting lost nothing"


async def test_stop_loses_nothing_that_is_on_its_way(target: Target) -> None:
    client, stop = Client(b"0123"), Signal()
    client.delay = 0.1
    body = ReceiveBody(client.receive, sized(4))
    asyncio.get_running_loop().call_later(0.03, stop.set)
    assert await body.drain_to(target, 0, None, stop=stop) == Drained(0, End.STOPPED)
    assert await body.drain_to(target, 0, None, stop=never()) == Drained(4, End.ENDED)
    assert target.data == b"0123"


async def test_what_is_here_already_is_taken_even_when_stopped(target: Target) -> None:
    """A holder whose turn came while others wait still gets on: a small body is taken whole."""
    stop = Signal()
    stop.set()
    body = ReceiveBody(Client(b"0123").receive, sized(4))
    assert await body.drain_to(target, 0, None, stop=stop) == Drained(4, End.ENDED)
    endless = ReceiveBody(Client(*[bytes(MIB // 2)] * 20).receive, sized(10 * MIB))
    assert await endless.drain_to(target, 0, None, stop=stop) == Drained(MIB, End.STOPPED)


async def test_a_stop_of_another_kind(target: Target) -> None:
    stop = asyncio.Event()
    draining = asyncio.create_task(ReceiveBody(Client().receive, sized(10)).drain_to(target, 0, None, stop=stop))
    await asyncio.sleep(0.01)
    stop.set()
    assert await draining == Drained(0, End.STOPPED)


@pytest.mark.parametrize("size", [10, 3 * MIB])
async def test_every_byte_passes_the_tap_before_it_is_written(target: Target, size: int) -> None:
    data = os.urandom(size)
    hasher = hashlib.sha256()
    body = ReceiveBody(Client(data).receive, sized(size))
    assert await body.drain_to(target, 0, None, stop=never(), tap=hasher.update) == Drained(size, End.ENDED)
    assert hasher.digest() == hashlib.sha256(data).digest()
    assert target.data == data

    def refuse(piece: bytes | memoryview) -> None:
        raise ValueError("seen")

    body = ReceiveBody(Client(data).receive, sized(size))
    before = list(target.calls)
    with pytest.raises(ValueError, match="seen"):
        await body.drain_to(target, 0, None, stop=never(), tap=refuse)
    assert target.calls == before


async def test_what_the_file_raises_is_raised(tmp_path: Path) -> None:
    class Full(Target):
        async def write(self, position: int, pieces: list[bytes | memoryview], *, sync: bool = False) -> int:
            raise StorageFull

    store = FileChunks(tmp_path, durability="relaxed", reserve=0, threads=1)
    await store.open()
    file = Full(store.writer(PLACE, expected=None), tmp_path)
    with pytest.raises(StorageFull):
        await ReceiveBody(Client(b"x").receive, sized(1)).drain_to(file, 0, None, stop=never())
    await store.close()


async def test_cancelling_leaves_no_task(target: Target) -> None:
    before = asyncio.all_tasks()
    body = ReceiveBody(Client(b"x").receive, sized(10))
    draining = asyncio.create_task(body.drain_to(target, 0, None, stop=never()))
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) == len(before) + 3, "the drain, its receive() and its wait for `stop`"
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_receive_that_fails(target: Target) -> None:
    async def broken() -> dict[str, object]:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await ReceiveBody(broken, sized(1)).read(1, stop=never())


@pytest.mark.parametrize("seed", range(20))
async def test_random_bodies_arrive_as_they_were(target: Target, seed: int) -> None:
    """Random pieces, pauses, limits, steps and stops: the file is the body's prefix, and nothing is missing."""
    chance = random.Random(seed)
    data = chance.randbytes(chance.randrange(1, 200_000))
    client = Client()
    body = ReceiveBody(client.receive, sized(len(data)) if chance.random() < 0.5 else CHUNKED)

    async def send() -> None:
        at = 0
        while at < len(data):
            size = chance.choice([1, 100, 5000, 70_000])
            client.send(data[at : at + size])
            at += size
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
        client.finish()

    sending = asyncio.create_task(send())
    at, end = 0, End.PAUSE
    while end is not End.ENDED:
        if chance.random() < 0.3:
            piece, why = await body.read(chance.choice([1, 1000, 100_000]), stop=never())
            if piece:
                await target.write(at, [piece])
            at, end = at + len(piece), why or End.PAUSE
            continue
        stop = Signal()
        asyncio.get_running_loop().call_later(chance.choice([0.0, 0.001, 5]), stop.set)
        limit = at + chance.choice([0, 10, 10_000]) if chance.random() < 0.5 else None
        step = chance.choice([None, 1, 7000])
        done = await body.drain_to(target, at, limit, stop=stop, step=step)
        assert limit is None or at + done.count <= limit
        at, end = at + done.count, done.end
        assert target.data == data[:at]
    await sending
    assert target.data == data


# ---------------------------------------------------------------------------------------------------- read and text


async def test_read(target: Target) -> None:
    body = ReceiveBody(Client(b"0123456789", end=True).receive, CHUNKED)
    assert await body.read(4, stop=never()) == (b"0123", None)
    assert await body.read(4, stop=never()) == (b"4567", None)
    assert await body.drain_to(target, 0, 1, stop=never()) == Drained(1, End.LIMIT)
    assert await body.read(4, stop=never()) == (b"9", None)
    assert await body.read(4, stop=never()) == (b"", End.ENDED)


async def test_text() -> None:
    assert await ReceiveBody(Client(b"he", b"llo").receive, sized(5)).text(5) == b"hello"
    assert await ReceiveBody(Client(b"he", b"llo", end=True).receive, CHUNKED).text(5) == b"hello"


async def test_text_that_is_too_large() -> None:
    client = Client()
    with pytest.raises(TooLarge):
        await ReceiveBody(client.receive, sized(6)).text(5)
    assert client.received == 0
    with pytest.raises(TooLarge):
        await ReceiveBody(Client(b"abc", b"def").receive, CHUNKED).text(5)


async def test_text_that_is_cut_or_slow() -> None:
    client = Client(b"abc")
    client.vanish()
    with pytest.raises(Incomplete):
        await ReceiveBody(client.receive, sized(5)).text(5)
    with pytest.raises(BodyTimeout):
        await ReceiveBody(Client(b"abc").receive, sized(5), idle=0.1).text(5)


async def test_a_text_must_come_within_the_idle_time_as_a_whole() -> None:
    client = Client()

    async def drip() -> None:
        while True:
            client.send(b"x")
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    begun = time.monotonic()
    with pytest.raises(BodyTimeout):
        await ReceiveBody(client.receive, sized(100), idle=0.3).text(100)
    dripping.cancel()
    assert time.monotonic() - begun < 1


# ---------------------------------------------------------------------------------------------------- uvicorn


class Served:
    """A uvicorn server whose app says what `whole` gives, drains the body and answers with its hash."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.wholes: list[bytes | None] = []
        self.tasks: list[int] = []
        config = uvicorn.Config(
            self.app, port=0, log_level="error", http="httptools", lifespan="off", interface="asgi3"
        )
        self.server = uvicorn.Server(config)

    async def app(self, scope: dict[str, object], receive: object, send: object) -> None:
        body = ReceiveBody(receive, dict(scope["headers"]))  # type: ignore
        before = len(asyncio.all_tasks())
        self.wholes.append(await body.whole(100))
        done = await body.drain_to(self.target, 0, None, stop=never())
        self.tasks.append(len(asyncio.all_tasks()) - before)
        answer = f"{done.count} {done.end.value}".encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})  # type: ignore
        await send({"type": "http.response.body", "body": answer})  # type: ignore


@pytest.fixture
async def served(target: Target) -> AsyncIterator[Served]:
    made = Served(target)
    serving = asyncio.create_task(made.server._serve())
    while not made.server.started:
        await asyncio.sleep(0.01)
    yield made
    made.server.should_exit = True
    await serving


async def asked(served: Served, *pieces: bytes) -> bytes:
    port = served.server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.05)
    answer = b""
    while not answer.endswith((b"ended", b"cut")):
        got = await reader.read(1000)
        assert got, "the server hung up"
        answer += got
    writer.close()
    await writer.wait_closed()
    return answer


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"


async def test_a_small_body_is_known_to_be_whole_under_uvicorn(served: Served) -> None:
    """This is the fast path. It goes by an event that uvicorn keeps; when that moves, this fails."""
    answer = await asked(served, HEAD % 5 + b"\r\nhello")
    assert answer.endswith(b"\r\n\r\n5 ended")
    assert served.wholes == [b"hello"]
    assert served.tasks == [0]
    assert served.target.data == b"hello"


async def test_a_body_that_is_not_whole_yet_stays_to_be_drained(served: Served) -> None:
    answer = await asked(served, HEAD % 10 + b"\r\nhello", b"world")
    assert answer.endswith(b"\r\n\r\n10 ended")
    assert served.wholes == [None]
    assert served.target.data == b"helloworld"


async def test_a_body_that_is_larger_than_the_cap_stays_to_be_drained(served: Served) -> None:
    answer = await asked(served, HEAD % 500 + b"\r\n" + b"x" * 500)
    assert answer.endswith(b"\r\n\r\n500 ended")
    assert served.wholes == [None]
    assert served.target.data == b"x" * 500


async def test_a_chunked_body_under_uvicorn(served: Served) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await asked(served, head + b"5\r\nhello\r\n0\r\n\r\n")).endswith(b"\r\n\r\n5 ended")
    assert (await asked(served, head + b"5\r\nhel", b"lo\r\n", b"0\r\n\r\n")).endswith(b"\r\n\r\n5 ended")
    assert served.wholes == [b"hello", None]


async def test_a_client_that_waits_for_leave_is_not_asked_early(served: Served) -> None:
    answer = await asked(served, HEAD % 5 + b"Expect: 100-continue\r\n\r\n", b"hello")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    assert served.wholes == [None]


async def test_a_large_body_under_uvicorn(served: Served) -> None:
    data = os.urandom(10 * MIB)
    answer = await asked(served, HEAD % len(data) + b"\r\n" + data)
    assert answer.endswith(b"%d ended" % len(data))
    assert served.target.data == data
