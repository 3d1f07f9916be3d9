"""A real server and a model of the API get the same random requests; they must never disagree.

One server process serves all runs, and keeps all its data; each run has accounts of its own. Whenever it is stopped,
and at the end, `tusdrive check` must find rows, files and ledgers in agreement.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rest
import tus
from harness import FULL, Response, Server, chunked, eventually
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reference import ENDED, OK, STATUS, Item, Model, Said, sha256

from tusdrive import services
from tusdrive.http.tokens import Tokens
from tusdrive.settings import Settings
from tusdrive.storage.datadir import signing_secret

RUNS, STEPS = (200, 60) if FULL else (25, 50)
PHASES = [Phase.generate]  # shrinking a failure would repeat its run hundreds of times, a second or more each
DAY = 25 * 3600 * 1_000_000  # more than the expiry, and more than what ended is told to be gone
MOST = 14  # uploads of a run
SIZES = st.sampled_from([3000, 5000, 2500, 1025, 1024, 1, 0])
CHUNKS = st.sampled_from([1024, 1500, 2048])
HASHES = st.sampled_from(["right", "right", "wrong", "md5", ""])
SEEDS = st.integers(0, 2**32)
PICK = st.integers(0, MOST - 1)
ANY = st.booleans()


class World:
    """The server, its clock, and who its users are."""

    def __init__(self, folder: Path) -> None:
        self.clock = folder / "clock"
        self.clock.write_bytes(struct.pack("<q", 0))
        self.ahead = 0
        program = (sys.executable, str(Path(__file__).with_name("clockwork.py")))
        self.server = Server(
            folder / "data", "--durability", "relaxed", "--reserve", "0", command=program,
            env={"CLOCK_FILE": str(self.clock)},
        )  # fmt: skip
        self.users = 0

    def leap(self) -> None:
        self.ahead += DAY
        with self.clock.open("r+b") as file:
            file.write(struct.pack("<q", self.ahead))

    def user(self) -> tuple[str, str]:
        """A fresh account and a token for it."""
        self.users += 1
        account = f"user-{self.users}"
        tokens = Tokens(signing_secret(self.server.data / "secret"))
        return account, tokens.mint(account, [], 9 * 365 * 86_400, time.time_ns() // 1000 + self.ahead)

    def stop_and_check(self) -> None:
        """Stop, and let `tusdrive check` look at what all runs so far have left."""
        assert self.server.stop() == 0
        report = asyncio.run(services.check(Settings(data=self.server.data), repair=False))
        assert report.lines() == ["rows and files agree"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("model"))
    with world.server:
        yield world


@pytest.mark.timeout(3600 if FULL else 300)
def test_no_divergence(world: World) -> None:
    class Here(Machine):
        pass

    Here.world = world
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=RUNS, stateful_step_count=STEPS, deadline=None, derandomize=not FULL, database=None,
            suppress_health_check=list(HealthCheck), phases=PHASES,
        ),
    )  # fmt: skip
    world.stop_and_check()
    assert "Traceback" not in world.server.output()


def agree(answer: Response, expected: Said, item: Item | None = None) -> None:
    assert said(answer) == expected, (answer, item)


def said(answer: Response) -> Said:
    """Status and error code, of either protocol."""
    if answer.status < 400:
        return answer.status, ""
    if (answer.header("content-type") or "").startswith("application/json"):
        return answer.status, str(answer.json()["code"])
    return answer.status, answer.body.decode().partition(":")[0]


class Machine(RuleBasedStateMachine):
    """Each rule sends one request, and asks the model what it should have been told."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.touched: Item | None = None
        self.joined: set[str] = set()

    @initialize(
        plain=st.lists(st.tuples(SIZES, SEEDS, ANY, ANY, ANY), min_size=2, max_size=4),
        told=st.lists(st.tuples(SIZES, SEEDS, ANY, CHUNKS, HASHES), min_size=2, max_size=4),
    )
    def begin(self, plain: list[Any], told: list[Any]) -> None:
        self.users = dict(self.world.user() for _ in range(2))
        self.names = list(self.users)
        for size, seed, who, deferred, partial in plain:
            self._create_tus(size, seed, who, deferred, partial, 0)
        for size, seed, who, chunk, hash in told:
            self._create_told(size, seed, who, chunk, hash)

    # ------------------------------------------------------------------------------------------ asking

    @property
    def server(self) -> Server:
        return self.world.server

    def ask(self, account: str, method: str, path: str, headers: Any = (), body: bytes = b"") -> Response:
        pairs = [("Authorization", f"Bearer {self.users[account]}"), *headers]
        answer = self.server.request(method, path, pairs, body)
        assert answer.status < 500, answer
        return answer

    def tus(self, item: Item, method: str, *headers: tus.Header, body: bytes = b"") -> Response:
        self.touched = item
        return self.ask(item.account, method, item.at, (tus.VERSION, *headers), body)

    def rest(self, item: Item, method: str, what: str, more: str = "", body: bytes = b"", kind: str = "") -> Response:
        self.touched = item
        headers = (("Content-Type", kind),) if kind else ()
        path = f"{self.server.api}/files/upload/{what}/{item.id}{more}"
        return self.ask(item.account, method, path, headers, body)

    def pick(self, number: int, **wanted: Any) -> Item | None:
        """An upload; one that is under way twice as often as any other, unless something else is wanted."""
        found = [i for i in self.model.items if all(getattr(i, name) == value for name, value in wanted.items())]
        if number < MOST // 2 and not wanted:
            found = [item for item in found if item.state == "active"] or found
        return found[number % len(found)] if found else None

    def add(self, item: Item) -> None:
        self.model.items.append(item)
        self.touched = item

    def learn(self) -> None:
        """The server's ids of files that the model saw come into being."""
        for item in self.model.items:
            if item.file is not None and not item.file.id and not item.file.deleted:
                item.file.id = str(self.rest(item, "GET", "progress").json()["fileId"])

    def has_room(self) -> bool:
        return len(self.model.items) < MOST

    def has_items(self) -> bool:
        return bool(self.model.items)

    def has_files(self) -> bool:
        return bool(self.model.files)

    def has_islands(self) -> bool:
        return any(item.state == "active" and item.have.rfind(1) > item.offset for item in self.model.items)

    def has_parts(self) -> bool:
        return self.has_room() and any(item.kind == "partial" for item in self.model.items)

    # ------------------------------------------------------------------------------------------ creating

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

    @precondition(lambda self: self.has_room() and self.has_files())
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

    # ------------------------------------------------------------------------------------------ appending

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
        items = [item for item in self.model.items if item.state == "active" and item.have.rfind(1) > item.offset]
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

    # ------------------------------------------------------------------------------------------ chunks

    @precondition(has_items)
    @rule(number=PICK, index=st.integers(0, 5), how=st.sampled_from(["form", "raw", "put"]))
    def chunk(self, number: int, index: int, how: str) -> None:
        """Fresh, again, or one past the last, as it comes."""
        told = number < MOST // 2 and self.pick(number, state="active", told=True)
        if (item := told or self.pick(number)) is not None:
            index %= item.chunks + 1
            self._chunk(item, index, item.data[slice(*item.span(index))], how)

    @precondition(has_items)
    @rule(number=PICK, seed=SEEDS, leave=st.sampled_from([0, 0, 1, 2]), how=st.sampled_from(["form", "raw"]))
    def chunks(self, number: int, seed: int, leave: int, how: str) -> None:
        """The chunks that are missing, in any order, all or some."""
        told = number < MOST // 2 and self.pick(number, state="active", told=True)
        if (item := told or self.pick(number)) is not None and item.kind != "final":
            missing = sorted(set(range(item.chunks)) - set(item.done()))
            random.Random(seed).shuffle(missing)
            for index in missing[leave:]:
                self._chunk(item, index, item.data[slice(*item.span(index))], how)

    @precondition(has_items)
    @rule(number=PICK, index=st.integers(0, 5), how=st.sampled_from(["form", "raw", "put"]), seed=SEEDS)
    def chunk_other_bytes(self, number: int, index: int, how: str, seed: int) -> None:
        item = self.pick(number)
        done = item.done() if item is not None else []
        if item is not None and done:
            index = done[index % len(done)]
            body = bytearray(item.data[slice(*item.span(index))])
            body[seed % len(body)] ^= 1 + seed % 255
            self._chunk(item, index, bytes(body), how)

    @precondition(has_items)
    @rule(number=PICK, index=st.integers(0, 5), how=st.sampled_from(["form", "raw"]), by=st.sampled_from([-1, 1, 900]))
    def chunk_of_wrong_length(self, number: int, index: int, how: str, by: int) -> None:
        if (item := self.pick(number)) is not None:
            body = item.data[slice(*item.span(index))]
            self._chunk(item, index, body[:by] if by < 0 else body + b"x" * by, how)

    def _chunk(self, item: Item, index: int, body: bytes, how: str) -> None:
        if item.file is not None and item.file.deleted:
            return
        before = item.done()
        sent, kind = rest.form(body) if how == "form" else (body, "application/octet-stream")
        answer = self.rest(item, "PUT" if how == "put" else "POST", "chunk", f"/{index}", sent, kind)
        expected = self.model.put_chunk(item, index, body)
        agree(answer, expected, item)
        if answer.status == 200:
            assert answer.json()["chunksUploaded"] == len(item.done())
        elif expected[1] == "CHUNK_EXISTS" and index in before:
            assert answer.json()["details"]["identical"] is (body == item.data[slice(*item.span(index))])

    # ------------------------------------------------------------------------------------------ ending

    @precondition(has_items)
    @rule(number=PICK, corrected=st.sampled_from([False, False, True]))
    def complete(self, number: int, corrected: bool) -> None:
        if (item := self.pick(number)) is None:
            return
        body = json.dumps({"hash": sha256(item.data)}).encode() if corrected else b""
        missing = item.missing()
        answer = self.rest(item, "POST", "complete", "", body, "application/json" if body else "")
        expected = self.model.complete(item, corrected)
        agree(answer, expected, item)
        if expected[1] == "CHUNKS_MISSING" and item.declared:
            assert answer.json()["details"]["missingChunks"] == missing
        if answer.status == 200 and item.file is not None:
            assert item.file.id in ("", answer.json()["id"])
            item.file.id = str(answer.json()["id"])
            assert (answer.json()["size"], answer.json()["accountId"]) == (len(item.data), item.account)

    @precondition(has_items)
    @rule(number=PICK, often=st.integers(0, 2))
    def remove(self, number: int, often: int) -> None:
        if not often and (item := self.pick(number)) is not None:
            agree(self.tus(item, "DELETE"), self.model.remove(item), item)

    @precondition(has_items)
    @rule(number=PICK, often=st.integers(0, 2))
    def cancel(self, number: int, often: int) -> None:
        if not often and (item := self.pick(number)) is not None:
            agree(self.rest(item, "DELETE", "task"), self.model.cancel(item), item)

    @precondition(has_files)
    @rule(number=PICK)
    def delete_file(self, number: int) -> None:
        self.learn()
        files = [file for file in self.model.files if file.id]
        if files:
            file = files[number % len(files)]
            answer = self.ask(file.account, "DELETE", f"{self.server.api}/files/{file.id}")
            agree(answer, self.model.delete_file(file))

    @precondition(has_files)
    @rule(number=PICK, name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
    def rename_file(self, number: int, name: str) -> None:
        self.learn()
        files = [file for file in self.model.files if file.id]
        if files:
            file = files[number % len(files)]
            path = f"{self.server.api}/files/{file.id}/name"
            headers = (("Content-Type", "application/json"),)
            answer = self.ask(file.account, "PATCH", path, headers, json.dumps(name).encode())
            agree(answer, (410, "GONE") if file.deleted else OK)
            file.name = file.name if file.deleted else name

    @rule(who=ANY)
    def clean_up(self, who: bool) -> None:
        account = self.names[who]
        ended = [i for i in self.model.items if i.account == account and i.state in ("expired", "failed")]
        gone = [item for item in ended if item.kind != "partial"]
        answer = self.ask(account, "DELETE", f"{self.server.api}/files/upload/tasks/cleanup")
        assert (answer.status, answer.json()["count"]) == (200, len(gone))
        for item in gone:
            self.model.items.remove(item)
            assert said(self.tus(item, "HEAD"))[0] == 404
            assert said(self.rest(item, "GET", "progress")) == (404, "NOT_FOUND")
        self.touched = None

    # ------------------------------------------------------------------------------------------ time and death

    @rule(often=st.integers(0, 3))
    def a_day_goes_by(self, often: int) -> None:
        if often:
            return
        self.world.leap()
        self.model.next_day()
        for item in self.model.items:
            if item.state == "expired" and item.ended_on == self.model.day:
                eventually(lambda item=item: self.tus(item, "HEAD").status == 410)

    @rule(often=st.integers(0, 3))
    def stop_and_start(self, often: int) -> None:
        if not often:
            self.world.stop_and_check()
            self.server.start()

    @rule(often=st.integers(0, 3))
    def kill_and_start(self, often: int) -> None:
        if not often:
            self.server.restart()

    # ------------------------------------------------------------------------------------------ looking

    @invariant()
    def finals_whose_parts_are_whole_are_joined(self) -> None:
        """In the background, and soon."""
        for item in self.model.items:
            if item.kind == "final" and item.state == "completed" and item.id not in self.joined:
                eventually(lambda item=item: self.tus(item, "HEAD").header("upload-offset"))
                self.joined.add(item.id)

    @invariant()
    def the_upload_that_was_asked_about_is_as_the_model_has_it(self) -> None:
        if self.touched is not None:
            self.look(self.touched)
            self.touched = None

    def look(self, item: Item) -> None:
        answer = self.tus(item, "HEAD")
        assert answer.status == self.model.head(item)[0], (answer, item)
        if answer.status != 200:
            return
        if item.state == "waiting":
            assert answer.header("upload-offset") is None
        else:
            assert answer.number("upload-offset") == item.offset
        if item.declared:
            assert answer.number("upload-length") == len(item.data)
        if item.file is not None:
            self.read(item)

    def read(self, item: Item) -> None:
        assert self.tus(item, "GET").body == item.data
        if len(item.data) > 10:
            part = self.tus(item, "GET", ("Range", f"bytes=7-{len(item.data) // 2}"))
            assert (part.status, part.body) == (206, item.data[7 : len(item.data) // 2 + 1])

    @precondition(has_items)
    @rule(number=PICK)
    def look_at_progress(self, number: int) -> None:
        if (item := self.pick(number)) is None:
            return
        told = self.rest(item, "GET", "resume").json()
        assert told["status"] == STATUS[item.state], (told, item)
        if item.state in ("active", "completed") and item.kind != "final":
            assert told["uploadedChunks"] == item.done()
            assert (told["chunksCount"], told["chunksUploaded"]) == (item.chunks, len(item.done()))
            arrived = 100.0 * item.have.count(1) / len(item.data) if item.data else 100.0
            assert told["progress"] == pytest.approx(arrived if item.declared else 0.0)

    @rule(who=ANY, status=st.sampled_from(["", *sorted(set(STATUS.values()))]))
    def list_tasks(self, who: bool, status: str) -> None:
        account = self.names[who]
        query = f"?status={status}&limit=200" if status else "?limit=200"
        answer = self.ask(account, "GET", f"{self.server.api}/files/upload/tasks{query}")
        own = [item for item in self.model.items if item.account == account and item.kind != "partial"]
        expected = sorted(item.id for item in own if status in ("", STATUS[item.state]))
        assert sorted(task["taskId"] for task in answer.json()) == expected
        assert answer.number("x-total") == len(expected)

    @rule(who=ANY)
    def list_files(self, who: bool) -> None:
        self.learn()
        account = self.names[who]
        answer = self.ask(account, "GET", f"{self.server.api}/files/me?limit=200")
        own = [file for file in self.model.files if file.account == account and not file.deleted]
        assert sorted((file["id"], file["name"]) for file in answer.json()) == sorted(
            (file.id, file.name) for file in own
        )
        assert answer.number("x-total") == len(own)

    @precondition(has_items)
    @rule(number=PICK, method=st.sampled_from(["HEAD", "GET", "PATCH", "DELETE", "progress", "complete", "task"]))
    def ask_for_somebody_elses(self, number: int, method: str) -> None:
        if (item := self.pick(number)) is None:
            return
        stranger = next(name for name in self.names if name != item.account)
        if method.isupper():
            headers = (tus.VERSION, tus.BODY, ("Upload-Offset", item.offset))
            answer = self.ask(stranger, method, item.at.partition("?")[0], headers)
        else:
            verb = {"progress": "GET", "complete": "POST", "task": "DELETE"}[method]
            answer = self.ask(stranger, verb, f"{self.server.api}/files/upload/{method}/{item.id}")
        assert answer.status == 404
        self.touched = item

    def teardown(self) -> None:
        for item in list(self.model.items):
            self.look(item)
        for file in self.model.files:
            if file.id and not file.deleted:
                answer = self.ask(file.account, "GET", f"{self.server.api}/files/{file.id}")
                assert (answer.status, answer.body) == (200, file.data)
