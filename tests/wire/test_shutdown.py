"""SIGTERM under load: a quick and clean end, and nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib
import threading
import time

import tus
from harness import MIB, Pattern, Server

UPLOADS = 20


class Uploader(threading.Thread):
    """One acknowledged PATCH of 1 MiB, then a long one that trickles until the server ends it."""

    def __init__(self, server: Server, seed: int) -> None:
        super().__init__()
        self.server = server
        self.pattern = Pattern(seed, 16 * MIB)
        self.at = tus.new(server, self.pattern.length)
        self.sent = MIB
        assert tus.patch(server, self.at, 0, self.pattern.read(0, MIB)).status == 204

    def run(self) -> None:
        with self.server.connect() as connection, contextlib.suppress(OSError):
            size = self.pattern.length - MIB
            connection.start("PATCH", self.at, self.server.signed(tus.patch_headers(MIB, size)))
            for start, end in self.pattern.pieces(64 * 1024)[16:]:
                self.sent = end
                connection.send(self.pattern.read(start, end))
                time.sleep(0.02)


def test_sigterm_with_twenty_uploads_running(server: Server) -> None:
    uploaders = [Uploader(server, seed) for seed in range(UPLOADS)]
    for uploader in uploaders:
        uploader.start()
    time.sleep(1)
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 10
    for uploader in uploaders:
        uploader.join(10)
        assert not uploader.is_alive()
    server.start()
    for uploader in uploaders:
        offset = tus.offset(server, uploader.at)
        assert MIB < offset <= uploader.sent, "also what the request under way had sent is kept"
        assert tus.patch(server, uploader.at, offset, uploader.pattern.read(offset)).status == 204
        assert uploader.pattern.differs(tus.get(server, uploader.at).body) is None


def test_sigterm_with_nothing_to_do(server: Server) -> None:
    with server.connect():  # an idle connection holds up nothing
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 3


def test_a_hung_body_does_not_hold_up_the_end(server: Server) -> None:
    at = tus.new(server, MIB)
    with tus.hung(server, at, 0, MIB, bytes(1000)):
        time.sleep(0.2)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5
    server.start()
    assert tus.offset(server, at) == 1000
