"""A TCP proxy that misbehaves on demand: it cuts, stalls, delays and trickles, each connection by its own plan."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PIECE = 1 << 16
_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What happens to one connection. Counts are bytes; None means never. `up` is from client to server."""

    cut_up: int | None = None  # both sides are ended after so many bytes up
    cut_down: int | None = None
    stall_up: int | None = None  # after so many bytes nothing more passes that way, and nobody is told
    stall_down: int | None = None
    reset: bool = True  # cuts are TCP resets; otherwise orderly ends
    delay: float = 0.0  # seconds each piece waits, both ways
    rate_up: int | None = None  # bytes per second


CLEAN = Fault()


@dataclass
class Passage:
    """What went through one connection."""

    fault: Fault
    up: int = 0
    down: int = 0
    cut: bool = False
    stalled: bool = False


@dataclass
class Proxy:
    """Listens on a free loopback port, forwards to `target`. Faults are used up one per connection, then `default`."""

    target: int
    host: str = "127.0.0.1"
    default: Fault = CLEAN
    port: int = 0
    passages: list[Passage] = field(default_factory=list)
    up: int = 0  # bytes that went up so far, all connections
    _faults: list[Fault] = field(default_factory=list)
    _marks: list[int] = field(default_factory=list)

    def __enter__(self) -> Proxy:
        self._loop = asyncio.new_event_loop()
        self._live: set[asyncio.Task[None]] = set()
        started: threading.Event = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="proxy", daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def plan(self, *faults: Fault) -> None:
        """The faults of the next connections, in order, instead of what was planned before."""
        self._call(lambda: self._faults.__setitem__(slice(None), faults))

    def trip(self, *marks: int) -> None:
        """Reset whichever connection carries the byte number `mark` (of all that go up), for each mark."""
        self._call(lambda: self._marks.__setitem__(slice(None), sorted(marks)))

    def retarget(self, port: int) -> None:
        self.target = port

    def drop_all(self) -> None:
        """Reset every connection that is open."""
        self._call(lambda: [task.cancel() for task in self._live])

    @property
    def cuts(self) -> int:
        return sum(passage.cut for passage in self.passages)

    def _call(self, what: Callable[[], Any]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (what(), done.set()))
        assert done.wait(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._live):
            task.cancel()
        await asyncio.gather(*self._live, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._live.add(task)
        passage = Passage(self._faults.pop(0) if self._faults else self.default)
        self.passages.append(passage)
        try:
            await self._join(reader, writer, passage)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._live.discard(task)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: Passage) -> None:
        far_reader, far_writer = await asyncio.open_connection(self.host, self.target)
        fault = passage.fault
        pumps = [
            asyncio.create_task(self._pump(reader, far_writer, passage, "up", fault.cut_up, fault.stall_up)),
            asyncio.create_task(self._pump(far_reader, writer, passage, "down", fault.cut_down, fault.stall_down)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if not passage.cut:
                await asyncio.wait(pumps, timeout=None if passage.stalled else 30)
            if passage.cut and fault.reset:
                _reset(writer)
                _reset(far_writer)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            far_writer.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        passage: Passage,
        way: str,
        cut: int | None,
        stall: int | None,
    ) -> None:
        """One direction, until its end, its cut or (after a stall) the end of the connection."""
        while data := await _read(source):
            before = getattr(passage, way)
            edge = min((limit for limit in (cut, stall) if limit is not None), default=None)
            data = data if edge is None else data[: max(0, edge - before)]
            await self._slow_down(passage.fault, way, len(data))
            with contextlib.suppress(ConnectionError):
                sink.write(data)
                await sink.drain()
            setattr(passage, way, before + len(data))
            if way == "up" and self._tripped(len(data)):
                passage.cut = True
                return
            if edge is not None and before + len(data) >= edge:
                if edge != cut:
                    passage.stalled = True
                    await asyncio.Event().wait()
                passage.cut = True
                return
        if sink.can_write_eof() and not sink.is_closing():
            with contextlib.suppress(OSError):
                sink.write_eof()

    def _tripped(self, size: int) -> bool:
        self.up += size
        if not self._marks or self.up < self._marks[0]:
            return False
        del self._marks[0]
        return True

    async def _slow_down(self, fault: Fault, way: str, size: int) -> None:
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if way == "up" and fault.rate_up:
            await asyncio.sleep(size / fault.rate_up)


async def _read(source: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(ConnectionError):
        return await source.read(PIECE)
    return b""


def _reset(writer: asyncio.StreamWriter) -> None:
    """Make the close that follows a TCP reset."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(1, 13, _LINGER)  # SOL_SOCKET, SO_LINGER
    writer.transport.abort()
