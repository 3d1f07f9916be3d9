"""Random sequences of everything: after each step the ledgers are what the rows add up to, and every byte is right."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rig import ADMIN, ANN, BOB, HOUR, Clock, Rig, Script, checksum, running, sha256

from tusdrive.domain.account import Principal
from tusdrive.domain.errors import TusdriveError
from tusdrive.domain.requests import NewUpload
from tusdrive.domain.upload import Kind, Limits, State
from tusdrive.ports import End
from tusdrive.storage.sqlite import SqliteState

FULL = os.environ.get("TUSDRIVE_FULL", "") not in ("", "0")
SEEDS = 200 if FULL else 30
STEPS = 60
QUOTA = 6000


@dataclass
class Walk:
    """One random walk. `data` is what each upload's bytes are to be, `parts` what each final is made of."""

    rig: Rig
    dice: random.Random
    data: dict[str, bytes] = field(default_factory=dict)
    owner: dict[str, Principal] = field(default_factory=dict)
    partial: list[str] = field(default_factory=list)
    refused: int = 0

    async def step(self) -> None:
        steps: list[Callable[[], Awaitable[None]]] = [self.create, self.final, self.append, self.chunk, self.complete]
        steps += [self.cancel, self.time, self.delete, self.upkeep]
        (step,) = self.dice.choices(steps, [4, 1, 8, 8, 3, 1, 1, 1, 2])
        if self.dice.random() < 0.05:
            self.rig.state.fail_at = self.rig.state.count + self.dice.randrange(3)
        try:
            await step()
        except TusdriveError:
            self.refused += 1

    def _some(self) -> str:
        return self.dice.choice(list(self.data))

    async def create(self) -> None:
        who = self.dice.choice([ANN, BOB])
        data = bytes(self.dice.choices(b"ab", k=self.dice.choice([0, 1, 5, 300, 700])))
        kind = self.dice.choice([Kind.WHOLE, Kind.WHOLE, Kind.PARTIAL])
        rest = kind is Kind.WHOLE and self.dice.random() < 0.6
        hash = sha256(data if self.dice.random() < 0.8 else b"other") if rest and self.dice.random() < 0.8 else None
        length = None if not rest and self.dice.random() < 0.3 else len(data)
        wish = NewUpload(length=length, kind=kind, chunk_size=100, auto_finish=not rest, hash=hash)
        created = await self.rig.uploads.create(who, wish)
        if created.upload is None:
            assert created.existing is not None
            assert await self.rig.file_bytes(created.existing.id, who) == data
            return
        self._add(created.upload.id, who, data)
        if kind is Kind.PARTIAL:
            self.partial.append(created.upload.id)

    def _add(self, id: str, who: Principal, data: bytes) -> None:
        self.data[id], self.owner[id] = data, who

    async def final(self) -> None:
        parts = tuple(self.dice.choices(self.partial, k=self.dice.randrange(1, 4))) if self.partial else ()
        if parts:
            who = self.owner[parts[0]]
            created = await self.rig.uploads.create(who, NewUpload(kind=Kind.FINAL, parts=parts))
            assert created.upload is not None
            self._add(created.upload.id, who, b"".join(self.data[part] for part in parts))

    async def append(self) -> None:
        id = self._some()
        upload = await self.rig.get(id)
        data, at = self.data[id], upload.offset
        size = self.dice.choice([0, 1, 150, 400, len(data)])
        piece = data[at : at + size]
        offset = at if self.dice.random() < 0.9 else at + 1
        declares = len(data) if upload.length is None and self.dice.random() < 0.5 else None
        kind = self.dice.randrange(5)
        body = Script(piece, length=len(piece))
        if kind == 0:
            end = self.dice.choice([End.CUT, End.SLOW, End.STOPPED])
            body = Script(piece[: len(piece) // 2], end, length=len(piece))
        elif kind == 1:
            body = Script(*(piece[start : start + 33] for start in range(0, len(piece), 33)))
        elif kind == 2 and upload.is_whole:
            body = Script(b"?")
        elif kind == 2 and upload.length == at + len(piece):
            body = Script(piece, b"?" * self.dice.randrange(2))
        sum = checksum(piece if self.dice.random() < 0.7 else b"!") if kind == 3 else None
        await self.rig.append(id, offset, body, self.owner[id], declares=declares, checksum=sum)

    async def chunk(self) -> None:
        id, index = self._some(), self.dice.randrange(8)
        piece = self.data[id][100 * index : 100 * index + 100]
        body = Script(piece, length=len(piece)) if self.dice.random() < 0.8 else Script(piece[:50], End.CUT)
        await self.rig.chunk(id, index, body, self.owner[id])

    async def complete(self) -> None:
        id = self._some()
        right = sha256(self.data[id]) if self.dice.random() < 0.3 else None
        await self.rig.uploads.complete(self.owner[id], id, right)

    async def cancel(self) -> None:
        id = self._some()
        await self.rig.uploads.cancel(self.owner[id], id, finished_too=self.dice.random() < 0.5)

    async def time(self) -> None:
        self.rig.clock.leap(self.dice.choice([1, HOUR // 2, HOUR]))

    async def delete(self) -> None:
        upload = await self.rig.get(self._some())
        await self.rig.library.delete(ADMIN, upload.file_id or "")

    async def upkeep(self) -> None:
        await self.dice.choice([self.rig.upkeep.sweep, self.rig.upkeep.hash_some, self.rig.upkeep.recover])()

    async def judge(self) -> None:
        """What must be true after every step."""
        assert await self.rig.drift() == {}
        for who in (ANN, BOB):
            account = await self.rig.state.account(who.account)
            assert min(account.used, account.promised) >= 0
            assert account.used + account.promised <= QUOTA
        for id, data in self.data.items():
            upload = await self.rig.state.upload(id)
            if upload is None or upload.kind is Kind.FINAL or upload.state is not State.ACTIVE or not upload.offset:
                continue
            assert self.rig.on_disk(upload) == data[: upload.offset]

    async def reckon(self) -> None:
        """What must be true at the end: finished files are right, and nothing is left that belongs to nobody."""
        for id, data in self.data.items():
            upload = await self.rig.state.upload(id)
            file = await self.rig.state.file(upload.file_id) if upload is not None and upload.file_id else None
            if file is not None and file.deleted_at is None:
                assert await self.rig.file_bytes(file.id) == data
        strays = [problem for problem in await self.rig.problems() if "no row knows it" in problem]
        assert await self.rig.problems() == strays
        assert len(strays) <= self.refused


LIMITS = Limits(expire_after=HOUR, min_chunk_size=1, quota=QUOTA)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_random_walk_keeps_books_and_bytes_in_order(tmp_path: Path, seed: int) -> None:
    async with running(tmp_path, limits=LIMITS, step=128) as rig:
        walk = Walk(rig, random.Random(seed))
        await walk.create()
        for _ in range(STEPS):
            await walk.step()
            await walk.judge()
        await walk.reckon()


@pytest.mark.parametrize("seed", range(SEEDS // 3))
async def test_a_random_walk_over_a_database_that_is_opened_anew_forgets_nothing(tmp_path: Path, seed: int) -> None:
    def store(clock: Clock) -> SqliteState:
        return SqliteState(tmp_path / "state.db", durability="relaxed", now=clock)

    async with running(tmp_path, store=store, limits=LIMITS, step=128) as rig:
        walk = Walk(rig, random.Random(1000 + seed))
        await walk.create()
        for step in range(STEPS):
            await walk.step()
            if step % 20 == 10:
                known = [await rig.state.upload(id) for id in walk.data]
                await rig.state.close()
                rig.state.inner = store(rig.clock)
                await rig.state.open()
                assert [await rig.state.upload(id) for id in walk.data] == known
            await walk.judge()
        await walk.reckon()
