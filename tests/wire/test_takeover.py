"""Two requests that want the same upload: the newcomer gets it at once, and nobody's bytes are mixed or lost."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tus
from harness import FULL, KIB, MIB, Closed, Connection, Pattern, Response, Server, eventually

AT_ONCE = 0.3
ROUNDS = 500 if FULL else 60


def timed(call: Callable[[], Response]) -> tuple[Response, float]:
    started = time.monotonic()
    return call(), time.monotonic() - started


def ended_without_success(connection: Connection) -> bool:
    """Whether a request that was taken over is told so: an error, or a closed connection; never a 2xx."""
    try:
        return connection.response("PATCH").status >= 400
    except (Closed, ConnectionError):
        return True


def stored_files(server: Server) -> list[Path]:
    return [path for path in (server.data / "bytes").rglob("*") if path.is_file()]


@pytest.fixture
def pattern() -> Pattern:
    return Pattern(61, 8 * MIB)


def test_head_ends_a_hung_patch(server: Server, pattern: Pattern) -> None:
    at = tus.new(server, pattern.length)
    with tus.hung(server, at, 0, pattern.length, pattern.read(0, 3 * MIB)) as hung:
        time.sleep(0.3)
        answer, seconds = timed(lambda: tus.head(server, at))
        assert answer.status == 200
        assert answer.number("upload-offset") == 3 * MIB, "what the hung request had sent is kept"
        assert seconds < AT_ONCE
        assert ended_without_success(hung)
    assert tus.patch(server, at, 3 * MIB, pattern.read(3 * MIB)).status == 204
    assert pattern.differs(tus.get(server, at).body) is None


def test_patch_ends_a_hung_patch(server: Server, pattern: Pattern) -> None:
    at = tus.new(server, pattern.length)
    with tus.hung(server, at, 0, pattern.length, pattern.read(0, 3 * MIB)) as hung:
        time.sleep(0.3)
        answer, seconds = timed(lambda: tus.patch(server, at, 0, pattern.read(0, MIB)))
        assert answer.status == 409
        assert answer.number("upload-offset") == 3 * MIB, "the answer says where to go on"
        assert seconds < AT_ONCE
        assert ended_without_success(hung)
    assert tus.patch(server, at, 3 * MIB, pattern.read(3 * MIB)).status == 204
    assert pattern.differs(tus.get(server, at).body) is None


def test_patch_goes_on_where_a_hung_patch_got_to(server: Server, pattern: Pattern) -> None:
    at = tus.new(server, pattern.length)
    with tus.hung(server, at, 0, pattern.length, pattern.read(0, 3 * MIB)) as hung:
        time.sleep(0.3)
        answer, seconds = timed(lambda: tus.patch(server, at, 3 * MIB, pattern.read(3 * MIB, 4 * MIB)))
        assert answer.status == 204
        assert answer.number("upload-offset") == 4 * MIB
        assert seconds < AT_ONCE
        assert ended_without_success(hung)
    assert tus.patch(server, at, 4 * MIB, pattern.read(4 * MIB)).status == 204
    assert pattern.differs(tus.get(server, at).body) is None


def test_delete_ends_a_hung_patch(server: Server, pattern: Pattern) -> None:
    at = tus.new(server, pattern.length)
    with tus.hung(server, at, 0, pattern.length, pattern.read(0, 3 * MIB)) as hung:
        time.sleep(0.3)
        answer, seconds = timed(lambda: tus.delete(server, at))
        assert answer.status == 204
        assert seconds < AT_ONCE
        assert ended_without_success(hung)
    assert tus.head(server, at).status in (404, 410)
    assert eventually(lambda: not stored_files(server))


def test_every_takeover_is_quick(server: Server, pattern: Pattern) -> None:
    at = tus.new(server, pattern.length)
    offset, slowest = 0, 0.0
    for _ in range(100 if FULL else 20):
        with tus.hung(server, at, offset, pattern.length - offset, pattern.read(offset, offset + 32 * KIB)):
            answer, seconds = timed(lambda: tus.head(server, at))
        offset, slowest = answer.number("upload-offset"), max(slowest, seconds)
    assert slowest < AT_ONCE
    assert tus.patch(server, at, offset, pattern.read(offset)).status == 204
    assert pattern.differs(tus.get(server, at).body) is None


def test_others_are_not_held_up(server: Server, pattern: Pattern) -> None:
    hung_at, at = tus.new(server, pattern.length), tus.new(server, pattern.length)
    with tus.hung(server, hung_at, 0, pattern.length, pattern.read(0, MIB)):
        times = sorted(timed(lambda: tus.head(server, at))[1] for _ in range(100))
    assert times[98] < 0.1


def test_a_download_takes_no_lock(server: Server) -> None:
    pattern = Pattern(67, 4 * MIB)
    at = tus.new(server, pattern.length)
    assert tus.patch(server, at, 0, pattern.read(0)).status == 204
    with server.connect() as reader:
        reader.start("GET", at, server.signed())
        reader.socket.recv(1000)
        assert tus.head(server, at).status == 200
        assert tus.get(server, at).body == pattern.read(0)


# ---------------------------------------------------------------------------------------------- two writers


class Writer(threading.Thread):
    """One PATCH at offset 0 with a body of one letter, sent in two halves with `gap` seconds between."""

    def __init__(self, server: Server, at: str, letter: bytes, size: int, gate: threading.Barrier, gap: float) -> None:
        super().__init__()
        self.server, self.at, self.body, self.gate, self.gap = server, at, letter * size, gate, gap
        self.status: int | None = None  # None: hung up on, with no answer

    def run(self) -> None:
        with self.server.connect() as connection:
            self.gate.wait(10)
            with contextlib.suppress(Closed, ConnectionError):
                self._send(connection)
            with contextlib.suppress(Closed, ConnectionError):
                self.status = connection.response("PATCH").status

    def _send(self, connection: Connection) -> None:
        connection.start("PATCH", self.at, self.server.signed(tus.patch_headers(0, len(self.body))))
        half = len(self.body) // 2
        connection.send(self.body[:half])
        if self.gap:
            time.sleep(self.gap)
        connection.send(self.body[half:])


def race(server: Server, size: int, gap: float) -> tuple[list[int | None], int, bytes]:
    """Two writers at one offset: how each was answered, the offset after, and the letters found in the file."""
    at = tus.new(server, size)
    gate = threading.Barrier(2)
    writers = [Writer(server, at, letter, size, gate, gap) for letter in (b"A", b"B")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    offset = tus.offset(server, at)
    if offset < size:
        assert tus.patch(server, at, offset, b"C" * (size - offset)).status == 204
    body = tus.get(server, at).body
    assert tus.delete(server, at).status == 204
    assert body[offset:] == b"C" * (size - offset), "what was not claimed was not there"
    return [writer.status for writer in writers], offset, bytes(sorted(set(body[:offset])))


def test_two_writers_at_one_offset(server: Server) -> None:
    chance = random.Random(13)
    winners = 0
    for number in range(ROUNDS):
        size = chance.choice([1, 1000, 64 * KIB, MIB])
        statuses, offset, letters = race(server, size, 0.0)
        assert len(letters) <= 1, f"round {number}: {letters!r} in one file"
        assert statuses.count(204) <= 1, f"round {number}: {statuses}"
        assert set(statuses) <= {204, 409, 423, None}, f"round {number}: {statuses}"
        if 204 in statuses:
            winners += 1
            assert (offset, letters) == (size, b"AB"[statuses.index(204) :][:1])
    assert winners >= ROUNDS * 0.7, "taking over must not keep both from getting anywhere"


def test_two_writers_who_are_both_half_way(server: Server) -> None:
    for number in range(max(10, ROUNDS // 10)):
        statuses, offset, letters = race(server, 256 * KIB, 0.02)
        assert len(letters) <= 1, f"round {number}: {letters!r} in one file"
        assert statuses.count(204) <= 1, f"round {number}: {statuses}"
        assert set(statuses) <= {204, 409, 423, None}, f"round {number}: {statuses}"
        assert offset > 0, "what the first one sent is kept"


# ---------------------------------------------------------------------------------------------- delete


def test_delete_while_bytes_arrive(server: Server) -> None:
    chance = random.Random(17)
    for number in range(200 if FULL else 30):
        size = 4 * MIB
        at = tus.new(server, size)
        writer = Writer(server, at, b"A", size, threading.Barrier(1), chance.uniform(0, 0.05))
        writer.start()
        time.sleep(chance.uniform(0, 0.06))
        answer, seconds = timed(lambda at=at: tus.delete(server, at))
        writer.join(30)
        assert answer.status == 204, f"round {number}"
        assert seconds < AT_ONCE
        assert writer.status in (204, 404, 409, 410, 423, None), f"round {number}: {writer.status}"
        assert tus.head(server, at).status in (404, 410)
    assert eventually(lambda: not stored_files(server)), "nothing that a dying writer left"


# ---------------------------------------------------------------------------------------------- disconnects


def test_a_disconnect_keeps_what_arrived(server: Server) -> None:
    chance = random.Random(19)
    for number in range(300 if FULL else 40):
        pattern = Pattern(number, 2 * MIB)
        at = tus.new(server, pattern.length)
        sent = chance.randrange(pattern.length)
        reset = chance.random() < 0.3
        with tus.hung(server, at, 0, pattern.length, pattern.read(0, sent)) as connection:
            if reset:
                connection.reset()
        time.sleep(0.1)  # a HEAD at once would stop the PATCH before it read all that came
        offset = tus.offset(server, at)
        assert offset <= sent if reset else offset == sent, f"round {number}: {offset} of {sent}, reset={reset}"
        assert tus.patch(server, at, offset, pattern.read(offset)).status == 204
        assert pattern.differs(tus.get(server, at).body) is None
        assert tus.delete(server, at).status == 204


def test_a_slow_client_gets_there(server: Server) -> None:
    pattern = Pattern(71, 400_000)
    at = tus.new(server, pattern.length)
    with server.connect() as connection:
        connection.start("PATCH", at, server.signed(tus.patch_headers(0, pattern.length)))
        for start, end in pattern.pieces(10_000):
            connection.send(pattern.read(start, end))
            time.sleep(0.05)
        assert connection.response("PATCH").status == 204
    assert tus.get(server, at).body == pattern.read(0)


def test_a_client_that_falls_silent_is_let_go(tmp_path: Path) -> None:
    pattern = Pattern(73, MIB)
    with Server(tmp_path / "data", "--body-idle", "1s") as server:
        at = tus.new(server, pattern.length)
        with tus.hung(server, at, 0, pattern.length, pattern.read(0, 500_000)) as hung:
            started = time.monotonic()
            assert ended_without_success(hung)
            assert 0.8 < time.monotonic() - started < 3
        assert tus.offset(server, at) == 500_000
