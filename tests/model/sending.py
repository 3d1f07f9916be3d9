"""Rules that send bytes: appended or in chunks, right and wrong, whole and cut off."""

from __future__ import annotations

import base64
import hashlib
import random
import struct
import zlib

import tus
from harness import chunked
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from reference import Item
from world import ANY, MOST, PICK, SEEDS, Asking, agree, has_islands, has_items, islands


class Sending(Asking):
    """PATCH and chunks."""

    @precondition(has_items)
    @rule(
        number=PICK, size=st.sampled_from([0, 1, 500, 1024, 2000, 9999]), chunky=ANY, declares=ANY,
        sum=st.sampled_from([None, None, "md5", "sha1", "sha256", "crc32"]),
    )  # fmt: skip
    def patch_right(self, number: int, size: int, chunky: bool, declares: bool, sum: str | None) -> None:
        if (item := self.pick(number)) is not None:
            self._patch(item, item.offset, item.data[item.offset :][:size], chunky, declares, sum, True)

    @precondition(has_items)
    @rule(number=PICK, size=st.sampled_from([700, 9999]), sum=st.sampled_from([None, "sha1"]))
    def patch_to_the_end(self, number: int, size: int, sum: str | None) -> None:
        if (item := self.pick(number)) is not None and item.kind != "final":
            while item.state == "active" and item.offset < len(item.data):
                self._patch(item, item.offset, item.data[item.offset :][:size], False, True, sum, True)

    @precondition(has_items)
    @rule(number=PICK, size=st.sampled_from([1, 500, 2000]), sum=st.sampled_from(["md5", "sha512"]))
    def patch_wrong_checksum(self, number: int, size: int, sum: str) -> None:
        if (item := self.pick(number)) is not None:
            self._patch(item, item.offset, item.data[item.offset :][:size], False, False, sum, False)

    @precondition(has_islands)
    @rule(number=PICK, seed=SEEDS, sum=st.sampled_from([None, "md5"]))
    def patch_other_bytes(self, number: int, seed: int, sum: str | None) -> None:
        """From the offset over an island to the end, the island's last byte changed."""
        items = islands(self)
        item = items[number % len(items)]
        body = bytearray(item.data[item.offset :])
        body[item.have.rfind(1) - item.offset] ^= 1 + seed % 255
        self._patch(item, item.offset, bytes(body), False, False, sum, True)

    def _patch(
        self, item: Item, offset: int, body: bytes, chunky: bool, declares: bool, sum: str | None, right: bool
    ) -> None:
        if item.file is not None and item.file.deleted:
            return
        checksum = hashlib.new(sum, body) if sum and sum != "crc32" else None
        digest = checksum.digest() if checksum else struct.pack(">I", zlib.crc32(body))
        digest = digest if right else bytes(reversed(digest))[:-1] + b"?"
        headers: list[tus.Header] = [tus.BODY, ("Upload-Offset", offset)]
        headers += [("Upload-Checksum", f"{sum} {base64.b64encode(digest).decode()}")] if sum else []
        headers += [("Upload-Length", len(item.data))] if declares else []
        headers += [("Transfer-Encoding", "chunked")] if chunky else []
        sent = chunked(*([body] if body else [])) if chunky else body
        answer = self.tus(item, "PATCH", *headers, body=sent)
        expected = self.model.patch(item, offset, body, declares=declares, checked=right if sum else None)
        agree(answer, expected, item)
        if answer.status == 204:
            assert answer.number("upload-offset") == item.offset

    @precondition(has_items)
    @rule(number=PICK, by=st.sampled_from([-1, 1, 1000, -10**6, 10**15]))
    def patch_wrong_offset(self, number: int, by: int) -> None:
        item = self.pick(number)
        if item is None or (item.file is not None and item.file.deleted):
            return
        offset = max(0, item.offset + by)
        if offset == item.offset:
            return
        answer = self.tus(item, "PATCH", tus.BODY, ("Upload-Offset", offset), body=b"x")
        agree(answer, self.model.patch(item, offset, b"x"), item)
        if answer.status == 409:
            assert answer.number("upload-offset") == item.offset

    @precondition(has_items)
    @rule(number=PICK, more=st.sampled_from([1, 5000]))
    def patch_too_much(self, number: int, more: int) -> None:
        item = self.pick(number, declared=True)
        if item is None or (item.file is not None and item.file.deleted):
            return
        body = item.data[item.offset :] + b"x" * more
        answer = self.tus(item, "PATCH", tus.BODY, ("Upload-Offset", item.offset), body=body)
        agree(answer, self.model.patch(item, item.offset, body), item)

    @precondition(has_items)
    @rule(number=PICK, size=st.integers(1, 5000), cut=st.integers(0, 4999), reset=ANY)
    def patch_cut_off(self, number: int, size: int, cut: int, reset: bool) -> None:
        """Less comes than was announced: what came may have been kept, and the server says how much of it."""
        item = self.pick(number, state="active")
        left = len(item.data) - item.offset if item is not None else 0
        if item is None or left < 2:
            return
        size = min(size, left)
        cut = min(cut, size - 1)
        with self.server.connect() as connection:
            pairs = (("Authorization", f"Bearer {self.users[item.account]}"), *tus.patch_headers(item.offset, size))
            connection.start("PATCH", item.at, pairs)
            connection.send(item.data[item.offset :][:cut])
            if reset:
                connection.reset()
        answer = self.tus(item, "HEAD")
        assert answer.status == 200, answer
        came, before = answer.number("upload-offset"), item.offset
        expected = Item(at="", id="", account="", data=item.data)
        expected.have[:] = item.have
        expected.put(before, before + cut)
        assert before <= came <= expected.offset
        self.model.cut(item, came)

    @precondition(has_items)
    @rule(number=PICK, index=st.integers(0, 5), how=st.sampled_from(["form", "raw", "put"]))
    def chunk(self, number: int, index: int, how: str) -> None:
        """Fresh, again, or one past the last, as it comes."""
        told = number < MOST // 2 and self.pick(number, state="active", told=True)
        if (item := told or self.pick(number)) is not None:
            index %= item.chunks + 1
            self.send_chunk(item, index, item.data[slice(*item.span(index))], how)

    @precondition(has_items)
    @rule(number=PICK, seed=SEEDS, leave=st.sampled_from([0, 0, 1, 2]), how=st.sampled_from(["form", "raw"]))
    def chunks(self, number: int, seed: int, leave: int, how: str) -> None:
        """The chunks that are missing, in any order, all or some."""
        told = number < MOST // 2 and self.pick(number, state="active", told=True)
        if (item := told or self.pick(number)) is not None and item.kind != "final":
            missing = sorted(set(range(item.chunks)) - set(item.done()))
            random.Random(seed).shuffle(missing)
            for index in missing[leave:]:
                self.send_chunk(item, index, item.data[slice(*item.span(index))], how)

    @precondition(has_items)
    @rule(number=PICK, index=st.integers(0, 5), how=st.sampled_from(["form", "raw", "put"]), seed=SEEDS)
    def chunk_other_bytes(self, number: int, index: int, how: str, seed: int) -> None:
        item = self.pick(number)
        done = item.done() if item is not None else []
        if item is not None and done:
            index = done[index % len(done)]
            body = bytearray(item.data[slice(*item.span(index))])
            body[seed % len(body)] ^= 1 + seed % 255
            self.send_chunk(item, index, bytes(body), how)

    @precondition(has_items)
    @rule(number=PICK, index=st.integers(0, 5), how=st.sampled_from(["form", "raw"]), by=st.sampled_from([-1, 1, 900]))
    def chunk_of_wrong_length(self, number: int, index: int, how: str, by: int) -> None:
        if (item := self.pick(number)) is not None:
            body = item.data[slice(*item.span(index))]
            self.send_chunk(item, index, body[:by] if by < 0 else body + b"x" * by, how)
