"""Algorithms against published values, and the declared hash of a file."""

from __future__ import annotations

import pytest

from tusdrive.domain.checksum import STANDARD, Crc32, FileHash, parse_file_hash
from tusdrive.domain.errors import Invalid

NINE = {
    "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "md5": "25f9e794323b453885f5181f1b624d0b",
    "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "sha512": "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
    "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
    "crc32": "cbf43926",
}
"""Digests of `123456789`."""


def test_the_standard_algorithms() -> None:
    assert [algorithm.name for algorithm in STANDARD] == list(NINE)


@pytest.mark.parametrize("algorithm", STANDARD, ids=lambda algorithm: algorithm.name)
def test_digest(algorithm) -> None:  # type: ignore[no-untyped-def]
    hasher = algorithm.begin()
    hasher.update(b"12345")
    hasher.update(memoryview(b"6789"))
    assert hasher.digest().hex() == NINE[algorithm.name]
    assert len(hasher.digest()) == algorithm.length


def test_crc32_keeps_leading_zeros() -> None:
    assert Crc32().digest() == b"\0\0\0\0"


def test_file_hash() -> None:
    assert parse_file_hash("Ab" * 32) == FileHash("sha256", "ab" * 32)
    assert parse_file_hash("AB" * 16) == FileHash("md5", "ab" * 16)


@pytest.mark.parametrize("text", ["", "ab" * 15, "ab" * 20, "zz" * 32, "ab" * 31 + " a", "\uff11" * 64, "ab" * 33])
def test_file_hash_refuses(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_file_hash(text)
    assert refused.value.details == {"field": "hash"}
