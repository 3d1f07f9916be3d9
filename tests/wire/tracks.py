"""Uploads as their clients know them: what was acknowledged, what was sent, does the server agree after a crash?

A track is one upload under way. `step` sends one request; `audit` compares what the server says with what was
acknowledged and sent, and goes on from there; a finished one is downloaded and compared byte for byte.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import rest
import tus
from harness import KIB, Connection, Pattern, Response, Server


class Refused(Exception):
    """An answer that is no acknowledgement."""


@dataclass
class Report:
    """What a run found. Counts are bytes, but for `finished` and `crashes`."""

    crashes: int = 0
    finished: int = 0
    acknowledged: int = 0
    lost: int = 0  # acknowledged, and gone
    wrong: int = 0  # claimed to be there, and not what was sent
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        self.problems.append(problem)

    def merge(self, other: Report) -> None:
        self.finished += other.finished
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.wrong += other.wrong
        self.problems += other.problems


def expect(answer: Response, *statuses: int) -> Response:
    if answer.status not in statuses:
        raise Refused(f"{answer.status} {answer.body[:200]!r}, expected {statuses}")
    return answer


class Track(ABC):
    """One upload. Subclasses say how it is created, continued, audited and read back."""

    def __init__(self, random: random.Random, report: Report) -> None:
        self.random = random
        self.report = report
        self.pattern = Pattern(random.getrandbits(40), self.length())
        self.created = False
        self.complete = False

    def length(self) -> int:
        return int(64 * KIB * 2 ** self.random.uniform(0, 6.5))

    @abstractmethod
    def create(self, server: Server) -> None:
        """Ask for the upload. Raises Refused."""

    @abstractmethod
    def step(self, server: Server) -> None:
        """One request towards its end. Raises Refused."""

    @abstractmethod
    def audit(self, server: Server) -> None:
        """Report what the server forgot or invented, and take its word from here on."""

    @abstractmethod
    def kept(self) -> int:
        """Bytes that the server has acknowledged."""

    @abstractmethod
    def fetch(self, server: Server) -> Response:
        """The finished file."""

    @abstractmethod
    def discard(self, server: Server) -> None:
        """Delete what is finished."""

    def compare(self, server: Server) -> None:
        """Download what is finished, and count what is wrong."""
        answer = expect(self.fetch(server), 200)
        self.report.finished += 1
        if len(answer.body) != self.pattern.length:
            self.report.note(f"{self}: {len(answer.body)} bytes came back")
        for start, end in self.pattern.pieces(4 * KIB):
            if answer.body[start:end] != self.pattern.read(start, end):
                self.report.wrong += end - start
        if (at := self.pattern.differs(answer.body)) is not None:
            self.report.note(f"{self}: differs from byte {at} on")

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.pattern.length})"


class Appends(Track):
    """A tus upload in PATCHes of random sizes; some with a checksum, some cut off on the way."""

    def __init__(self, random: random.Random, report: Report, *headers: tus.Header) -> None:
        super().__init__(random, report)
        self.headers = headers
        self.at = ""
        self.acked = 0
        self.sent = 0

    def create(self, server: Server) -> None:
        self.at = tus.path(expect(tus.create(server, self.pattern.length, *self.headers), 201))
        self.created = True

    def step(self, server: Server) -> None:
        size = int(2 ** self.random.uniform(0, 20))
        body = self.pattern.read(self.acked, self.acked + size)
        how = self.random.random()
        if how < 0.1 and len(body) > 1:
            return self._cut_off(server, body)
        extra = (tus.checksum(body),) if how < 0.3 else ()
        self.sent = max(self.sent, self.acked + len(body))
        answer = expect(tus.patch(server, self.at, self.acked, body, *extra), 204)
        self._acknowledge(answer.number("upload-offset"))
        return None

    def _cut_off(self, server: Server, body: bytes) -> None:
        """Send less than was announced, hang up, and ask how much arrived."""
        part = self.random.randrange(1, len(body))
        self.sent = max(self.sent, self.acked + part)
        with Connection(server.host, server.port) as connection:
            connection.start("PATCH", self.at, server.signed(tus.patch_headers(self.acked, len(body))))
            connection.send(body[:part])
        self._acknowledge(expect(tus.head(server, self.at), 200).number("upload-offset"))

    def _acknowledge(self, offset: int) -> None:
        if not self.acked <= offset <= self.sent:
            self.report.note(f"{self}: offset {offset} where {self.acked} was acknowledged and {self.sent} sent")
        self.report.acknowledged += max(0, offset - self.acked)
        self.acked = offset
        self.complete = offset == self.pattern.length

    def audit(self, server: Server) -> None:
        answer = tus.head(server, self.at)
        if answer.status != 200:
            self.report.lost += self.acked
            self.report.note(f"{self}: HEAD {answer.status} where {self.acked} bytes were acknowledged")
            self.created = False
            return
        offset = answer.number("upload-offset")
        self.report.lost += max(0, self.acked - offset)
        self._acknowledge(offset)

    def kept(self) -> int:
        return self.acked

    def fetch(self, server: Server) -> Response:
        return tus.get(server, self.at)

    def discard(self, server: Server) -> None:
        expect(tus.delete(server, self.at), 204)


class Chunks(Track):
    """A REST upload task, its chunks in random order."""

    def __init__(self, random: random.Random, report: Report) -> None:
        super().__init__(random, report)
        self.size = random.choice([64, 256, 1024]) * KIB
        self.count = -(-self.pattern.length // self.size)
        self.left = list(range(self.count))
        random.shuffle(self.left)
        self.acked: set[int] = set()
        self.sent: set[int] = set()
        self.task = ""
        self.file = ""

    def create(self, server: Server) -> None:
        asked = rest.create(server, self.pattern.length, self.pattern.sha256(), chunk_size=self.size)
        self.task = expect(asked, 200, 201).json()["taskId"]
        self.created = True

    def step(self, server: Server) -> None:
        if not self.left:
            self.file = expect(rest.complete(server, self.task), 200).json()["id"]
            self.complete = True
            return
        index = self.left[-1]
        self.sent.add(index)
        send = self.random.choice([rest.chunk, rest.raw_chunk])
        expect(send(server, self.task, index, self._chunk(index)), 200, 201, 204, 409)
        self._acknowledge({index})
        self.left.pop()

    def _chunk(self, index: int) -> bytes:
        return self.pattern.read(index * self.size, (index + 1) * self.size)

    def _size(self, indices: set[int]) -> int:
        return sum(len(self._chunk(index)) for index in indices)

    def _acknowledge(self, indices: set[int]) -> None:
        self.report.acknowledged += self._size(indices - self.acked)
        self.acked |= indices

    def kept(self) -> int:
        return self._size(self.acked)

    def audit(self, server: Server) -> None:
        answer = rest.resume(server, self.task)
        there = set(answer.json()["uploadedChunks"]) if answer.status == 200 else set()
        if answer.status != 200:
            self.report.note(f"{self}: resume {answer.status} {answer.body[:200]!r}")
            self.created = False
        if lost := self.acked - there:
            self.report.lost += self._size(lost)
            self.report.note(f"{self}: chunks {sorted(lost)} were acknowledged and are gone")
        if invented := there - self.sent:
            self.report.note(f"{self}: chunks {sorted(invented)} were never sent")
        self.acked = there
        self.left = [index for index in range(self.count) if index not in there]

    def fetch(self, server: Server) -> Response:
        return rest.file(server, self.file)

    def discard(self, server: Server) -> None:
        expect(server.request("DELETE", f"{server.api}/files/{self.file}"), 200, 204)


class Parallel(Track):
    """Three tus parts, joined by a final upload."""

    def __init__(self, random: random.Random, report: Report) -> None:
        super().__init__(random, report)
        self.parts = [Appends(random, report, ("Upload-Concat", "partial")) for _ in range(3)]
        self.at = ""

    def length(self) -> int:
        return 0

    def create(self, server: Server) -> None:
        for part in self.parts:
            if not part.created:
                part.create(server)
        self.created = True

    def step(self, server: Server) -> None:
        unfinished = [part for part in self.parts if not part.complete]
        if unfinished:
            self.random.choice(unfinished).step(server)
            return
        if not self.at:
            names = " ".join(part.at for part in self.parts)
            answer = server.request("POST", server.path, (tus.VERSION, ("Upload-Concat", f"final;{names}")))
            self.at = tus.path(expect(answer, 201))
        answer = expect(tus.head(server, self.at), 200)
        self.complete = answer.header("upload-offset") is not None
        if not self.complete:
            time.sleep(0.01)

    def audit(self, server: Server) -> None:
        for part in self.parts:
            part.audit(server)
        if self.at and (answer := tus.head(server, self.at)).status != 200:
            self.report.note(f"{self}: HEAD {answer.status} of a final upload")
        self.created = all(part.created for part in self.parts)

    def kept(self) -> int:
        return sum(part.kept() for part in self.parts)

    def compare(self, server: Server) -> None:
        answer = expect(self.fetch(server), 200)
        wanted = b"".join(part.pattern.read(0) for part in self.parts)
        self.report.finished += 1
        if answer.body != wanted:
            self.report.wrong += abs(len(answer.body) - len(wanted)) or sum(map(int.__ne__, answer.body, wanted))
            self.report.note(f"{self}: {len(answer.body)} bytes came back, {len(wanted)} were sent, and they differ")

    def fetch(self, server: Server) -> Response:
        return tus.get(server, self.at)

    def discard(self, server: Server) -> None:
        for at in (self.at, *(part.at for part in self.parts)):
            expect(tus.delete(server, at), 204)
