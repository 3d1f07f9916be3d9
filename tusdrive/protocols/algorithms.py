"""The checksum algorithms on offer: those of the domain, and xxh3-128, which keeps up with a fast network.

tus 1.0.0 "Tus-Checksum-Algorithm" wants lower-case names and sha1 among them.
"""

from __future__ import annotations

from collections.abc import Mapping

import xxhash

from ..domain.checksum import STANDARD, Algorithm

XXH3_128 = Algorithm("xxh3-128", 16, xxhash.xxh3_128)
"""XXH3, 128 bits; the digest is the canonical one, 16 bytes big-endian."""

ALGORITHMS: Mapping[str, Algorithm] = {algorithm.name: algorithm for algorithm in (*STANDARD, XXH3_128)}
