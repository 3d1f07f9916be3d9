"""The server under test, its clock and its users, and the machine's way of asking it."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import rest
import tus
from harness import Response, Server
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from reference import STATUS, Item, Model, Said

from tusdrive import services
from tusdrive.http.tokens import Tokens
from tusdrive.settings import Settings
from tusdrive.storage.datadir import signing_secret

DAY = 25 * 3600 * 1_000_000  # more than the expiry, and more than what ended is told to be gone
MOST = 14  # uploads of a run
PICK = st.integers(0, MOST - 1)
ANY = st.booleans()
SEEDS = st.integers(0, 2**32)


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


def agree(answer: Response, expected: Said, item: Item | None = None) -> None:
    assert said(answer) == expected, (answer, item)


def said(answer: Response) -> Said:
    """Status and error code, of either protocol."""
    if answer.status < 400:
        return answer.status, ""
    if (answer.header("content-type") or "").startswith("application/json"):
        return answer.status, str(answer.json()["code"])
    return answer.status, answer.body.decode().partition(":")[0]


class Asking(RuleBasedStateMachine):
    """What all rules need: somebody to ask as, something to ask about, and the model beside it."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.touched: Item | None = None
        self.joined: set[str] = set()

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

    def send_chunk(self, item: Item, index: int, body: bytes, how: str) -> None:
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

    def compare_progress(self, item: Item) -> None:
        told = self.rest(item, "GET", "resume").json()
        assert told["status"] == STATUS[item.state], (told, item)
        if item.state in ("active", "completed") and item.kind != "final":
            assert told["uploadedChunks"] == item.done()
            assert (told["chunksCount"], told["chunksUploaded"]) == (item.chunks, len(item.done()))
            arrived = 100.0 * item.have.count(1) / len(item.data) if item.data else 100.0
            assert told["progress"] == pytest.approx(arrived if item.declared else 0.0)


def has_room(machine: Asking) -> bool:
    return len(machine.model.items) < MOST


def has_items(machine: Asking) -> bool:
    return bool(machine.model.items)


def has_files(machine: Asking) -> bool:
    return bool(machine.model.files)


def islands(machine: Asking) -> list[Item]:
    """Uploads of which something arrived beyond a gap."""
    items = machine.model.items
    return [item for item in items if item.state == "active" and item.have.rfind(1) > item.offset]


def has_islands(machine: Asking) -> bool:
    return bool(islands(machine))


def has_parts(machine: Asking) -> bool:
    return has_room(machine) and any(item.kind == "partial" for item in machine.model.items)
