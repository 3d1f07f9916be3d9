"""The tools of the other tests, tested themselves: data, proxy, raw client."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from harness import KIB, MIB, Closed, Connection, Fault, Pattern, Proxy, chunked, request


class Echo:
    """Answers each request with the number of body bytes it got, once it got `Content-Length` of them."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got: list[int] = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                self._one(peer)

    def _one(self, peer: socket.socket) -> None:
        data, wanted = b"", None
        try:
            while wanted is None or len(data) < wanted:
                if not (more := peer.recv(1 << 16)):
                    break
                data += more
                if wanted is None and b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    wanted = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            self.got.append(len(data))
            peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            peer.sendall(chunked(b"%d" % len(data), b" bytes"))
        except OSError:
            self.got.append(len(data))


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.listener.shutdown(socket.SHUT_RDWR)
    echo.listener.close()
    echo.thread.join(5)


def test_data_is_the_same_from_wherever_it_is_read() -> None:
    pattern = Pattern(3, 3 * MIB + 17)
    whole = pattern.read(0)
    assert len(whole) == 3 * MIB + 17
    for start, end in ((0, 1), (4095, 4097), (MIB - 1, 2 * MIB + 1), (12_345, 2_345_678), (3 * MIB, 4 * MIB)):
        assert pattern.read(start, end) == whole[start:end]
    assert len({whole[page : page + 4096] for page in range(0, 3 * MIB, 4096)}) == 768, "no two pages are the same"


def test_differences_are_found_where_they_are() -> None:
    pattern = Pattern(3, MIB)
    assert pattern.differs(pattern.read(100, 900), 100) is None
    assert pattern.differs(pattern.read(100, 500) + b"\0" * 400, 100) == 500
    assert Pattern(4, MIB).differs(pattern.read(0)) == 7


def test_the_proxy_passes_everything_on(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        answer = request("127.0.0.1", proxy.port, "PATCH", "/", body=bytes(3 * MIB))
    assert (answer.status, answer.body, answer.interim) == (200, b"3145728 bytes", (100,))


def test_the_proxy_cuts_where_it_should(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        proxy.plan(Fault(cut_up=500 * KIB, reset=False))
        with pytest.raises((Closed, ConnectionError)):
            request("127.0.0.1", proxy.port, "PATCH", "/", body=bytes(MIB))
        assert proxy.passages[0].up == 500 * KIB
        assert request("127.0.0.1", proxy.port, "PATCH", "/", body=bytes(KIB)).status == 200
        assert echo.got[0] < 500 * KIB, "the head counts too"
        assert proxy.cuts == 1


def test_the_proxy_trips_on_the_sum_of_all_connections(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        proxy.trip(300 * KIB)
        assert request("127.0.0.1", proxy.port, "PATCH", "/", body=bytes(200 * KIB)).status == 200
        with pytest.raises((Closed, ConnectionError)):
            request("127.0.0.1", proxy.port, "PATCH", "/", body=bytes(200 * KIB))
        assert request("127.0.0.1", proxy.port, "PATCH", "/", body=bytes(200 * KIB)).status == 200
        assert proxy.cuts == 1


def test_the_proxy_stalls_without_telling_anybody(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        proxy.plan(Fault(stall_up=64 * KIB))
        with Connection("127.0.0.1", proxy.port, timeout=0.3) as connection:
            connection.start("PATCH", "/", {"Content-Length": 128 * KIB})
            connection.send(bytes(128 * KIB))
            with pytest.raises(TimeoutError):
                connection.response()
        assert proxy.passages[0].stalled


def test_the_proxy_trickles(echo: Echo) -> None:
    with Proxy(echo.port) as proxy:
        proxy.plan(Fault(rate_up=MIB))
        started = time.monotonic()
        request("127.0.0.1", proxy.port, "PATCH", "/", body=bytes(256 * KIB))
        assert 0.2 < time.monotonic() - started < 2
