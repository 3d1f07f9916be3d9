"""Rules that make uploads."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from typing import Any

import tus
from harness import Response, eventually
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from reference import ENDED, Item, sha256
from world import ANY, PICK, SEEDS, Asking, agree, has_files, has_parts, has_room

SIZES = st.sampled_from([3000, 5000, 2500, 1025, 1024, 1, 0])
CHUNKS = st.sampled_from([1024, 1500, 2048])
HASHES = st.sampled_from(["right", "right", "wrong", "md5", ""])


class Creating(Asking):
    """tus and REST uploads, with hashes that are right, wrong or known already, and finals made of parts."""

    @initialize(
        plain=st.lists(st.tuples(SIZES, SEEDS, ANY, ANY, ANY), min_size=2, max_size=4),
        told=st.lists(st.tuples(SIZES, SEEDS, ANY, CHUNKS, HASHES, ANY), min_size=2, max_size=4),
    )
    def begin(self, plain: list[Any], told: list[Any]) -> None:
        self.users = dict(self.world.user() for _ in range(2))
        self.names = list(self.users)
        for size, seed, who, deferred, partial in plain:
            self._create_tus(size, seed, who, deferred, partial, 0)
        for size, seed, who, chunk, hash, ahead in told:
            self._create_told(size, seed, who, chunk, hash)
            item = self.model.items[-1]
            if ahead and item.told and item.chunks > 1:
                self.send_chunk(item, item.chunks - 1, item.data[slice(*item.span(item.chunks - 1))], "raw")

    @precondition(has_room)
    @rule(size=SIZES, seed=SEEDS, who=ANY, deferred=ANY, partial=ANY, first=st.sampled_from([0, 0, 1, 1000, 9999]))
    def create_tus(self, size: int, seed: int, who: bool, deferred: bool, partial: bool, first: int) -> None:
        self._create_tus(size, seed, who, deferred, partial, first)

    def _create_tus(self, size: int, seed: int, who: bool, deferred: bool, partial: bool, first: int) -> None:
        data, account = random.Random(seed).randbytes(size), self.names[who]
        name = f"fichier é {seed % 100}.bin"
        headers: list[tus.Header] = [tus.VERSION]
        headers.append(("Upload-Defer-Length", 1) if deferred else ("Upload-Length", size))
        headers.append(("Upload-Metadata", f"filename {base64.b64encode(name.encode()).decode()}"))
        headers += [("Upload-Concat", "partial")] if partial else []
        body = data[:first]
        headers += [tus.BODY] if body else []
        answer = self.ask(account, "POST", self.server.path, headers, body)
        assert answer.status == 201, answer
        at = tus.path(answer)
        item = Item(
            at=at, id=at.partition("?")[0].rpartition("/")[2], account=account, data=data, declared=not deferred,
            kind="partial" if partial else "whole", name=name,
        )  # fmt: skip
        self.add(item)
        if body or not deferred:
            assert self.model.patch(item, 0, body) == (204, "")
        if body:
            assert answer.number("upload-offset") == item.offset

    @precondition(has_room)
    @rule(size=SIZES, seed=SEEDS, who=ANY, chunk=CHUNKS, hash=HASHES)
    def create_rest(self, size: int, seed: int, who: bool, chunk: int, hash: str) -> None:
        self._create_told(size, seed, who, chunk, hash)

    def _create_told(self, size: int, seed: int, who: bool, chunk: int, hash: str) -> None:
        data, account = random.Random(seed).randbytes(size), self.names[who]
        hashes = {
            "right": sha256(data), "wrong": sha256(data + b"?"), "md5": hashlib.md5(data).hexdigest(), "": None,
        }  # fmt: skip
        self._create_rest(account, data, chunk, hashes[hash], "right" if hash == "md5" else hash)

    @precondition(lambda machine: has_room(machine) and has_files(machine))
    @rule(number=PICK, who=ANY)
    def create_again(self, number: int, who: bool) -> None:
        """Declare the hash of a finished file: its owner is told that it is there, anybody else uploads it."""
        files = [file for file in self.model.files if not file.deleted]
        if not files:
            return
        self.learn()
        file, account = files[number % len(files)], self.names[who]
        info = f"{self.server.api}/files/{file.id}/info"
        eventually(lambda: len(self.ask(file.account, "GET", info).json()["hash"] or "") == 64)
        standing = self.model.existing(account, file.data)
        for each in standing:  # which one is found depends on which the server has hashed
            path = f"{self.server.api}/files/{each.id}/info"
            eventually(lambda path=path: len(self.ask(account, "GET", path).json()["hash"] or "") == 64)
        self._create_rest(account, file.data, 1024, sha256(file.data), "right", known=True)

    def _create_rest(
        self, account: str, data: bytes, chunk: int, hash: str | None, sort: str, known: bool = False
    ) -> None:
        """With a hash of the right `sort`, a file that the account has already is found; for sure if it is `known`."""
        self.learn()
        standing = self.model.existing(account, data) if sort == "right" else []
        wish = {"fileName": "rest.bin", "fileSize": len(data), "contentType": "text/plain", "chunkSize": chunk}
        body = json.dumps(wish | ({"hash": hash} if hash else {})).encode()
        headers = (("Content-Type", "application/json"),)
        answer = self.ask(account, "POST", f"{self.server.api}/files/upload/create", headers, body)
        assert answer.status == 200, answer
        told = answer.json()
        if told["fileExists"]:
            assert told["taskId"] is None
            assert told["file"]["id"] in {file.id for file in standing}
            return
        assert not (standing and known), told
        assert (told["file"], told["chunkSize"]) == (None, chunk)
        at = tus.path(Response(201, (("location", told["uploadUrl"]),), b""))
        item = Item(
            at=at, id=told["taskId"], account=account, data=data, told=True, chunk=chunk, hash=sort or None,
            name="rest.bin",
        )  # fmt: skip
        assert told["chunksCount"] == item.chunks
        self.add(item)

    @precondition(has_parts)
    @rule(numbers=st.lists(PICK, min_size=1, max_size=3), stranger=st.sampled_from([False] * 5 + [True]))
    def create_final(self, numbers: list[int], stranger: bool) -> None:
        parts = [part for part in (self.pick(number, kind="partial") for number in numbers) if part is not None]
        if not parts:
            return
        account = parts[0].account
        if stranger:
            account = next(name for name in self.names if name != account)
        concat: tus.Header = ("Upload-Concat", "final;" + " ".join(part.at for part in parts))
        answer = self.ask(account, "POST", self.server.path, (tus.VERSION, concat))
        if any(part.account != account or part.state in ENDED for part in parts):
            agree(answer, (400, "INVALID_CONCAT"))
            return
        assert answer.status == 201, answer
        at = tus.path(answer)
        item = Item(
            at=at, id=at.partition("?")[0].rpartition("/")[2], account=account, kind="final", parts=parts,
            data=b"".join(part.data for part in parts),
        )  # fmt: skip
        self.add(item)
        self.model.join(item)
