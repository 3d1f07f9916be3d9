"""tuspy with a checksum on every chunk: cut on the way, and resumed from its URL alone."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import tus
from harness import MIB, Pattern, Proxy, Server
from tusclient.client import TusClient
from tusclient.uploader import Uploader

SIZE = 64 * MIB + 11
CHUNK = 5 * MIB


@pytest.fixture
def data() -> Pattern:
    return Pattern(43, SIZE)


@pytest.fixture
def client(server: Server, proxy: Proxy) -> TusClient:
    return TusClient(f"http://{proxy.host}:{proxy.port}{server.path}", headers=server.bearer())


def assert_stored(server: Server, url: str, pattern: Pattern) -> None:
    stored = tus.get(server, urlsplit(url).path)
    assert len(stored.body) == pattern.length
    assert pattern.differs(stored.body) is None


def test_cut_twice_with_checksums(
    client: TusClient, server: Server, proxy: Proxy, data: Pattern, tmp_path: Path
) -> None:
    with data.write(tmp_path / "source.bin").open("rb") as stream:
        uploader = client.uploader(
            file_stream=stream, chunk_size=CHUNK, upload_checksum=True, retries=5, retry_delay=0.1,
            metadata={"filename": "data.bin"},
        )  # fmt: skip
        proxy.trip(18 * MIB, 42 * MIB)
        uploader.upload()
    assert proxy.cuts == 2
    assert_stored(server, uploader.url, data)


def test_resumed_from_its_url(client: TusClient, server: Server, proxy: Proxy, data: Pattern, tmp_path: Path) -> None:
    source = data.write(tmp_path / "source.bin")
    with source.open("rb") as stream:
        first = client.uploader(file_stream=stream, chunk_size=CHUNK, upload_checksum=True)
        first.upload(stop_at=20 * MIB)
    with source.open("rb") as stream:
        second = Uploader(file_stream=stream, url=first.url, client=client, chunk_size=CHUNK, upload_checksum=True)
        assert second.offset == 20 * MIB
        second.upload()
    assert proxy.up < SIZE + MIB
    assert_stored(server, first.url, data)


def test_a_cut_chunk_with_a_checksum_leaves_no_bytes(
    client: TusClient, server: Server, proxy: Proxy, data: Pattern, tmp_path: Path
) -> None:
    with data.write(tmp_path / "source.bin").open("rb") as stream:
        uploader = client.uploader(file_stream=stream, chunk_size=CHUNK, upload_checksum=True)
        uploader.upload(stop_at=2 * CHUNK)
        uploader.stop_at = SIZE
        proxy.trip(proxy.up + 3 * MIB)
        with pytest.raises(Exception, match="Connection"):
            uploader.upload_chunk()
    assert tus.offset(server, urlsplit(uploader.url).path) == 2 * CHUNK
