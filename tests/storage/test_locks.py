"""Locks between the requests of one process, and the one between processes."""

from __future__ import annotations

import asyncio
import os
import random
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tusdrive.domain.errors import Locked, StorageFailed
from tusdrive.storage.datadir import claim, signing_secret
from tusdrive.storage.locks import ProcessLocks, Signal


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that take a lock, note it, and hold it until they are told to go (or their `stop` is set)."""

    def __init__(self, locks: ProcessLocks) -> None:
        self.locks = locks
        self.order: list[str] = []
        self.go: dict[str, asyncio.Event] = {}
        self.stopped: dict[str, bool] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def _hold(self, name: str, shared: bool, obeys: bool) -> None:
        async with self.locks.shared("k") if shared else self.locks.exclusive("k") as lock:
            self.order.append(name)
            await (lock.stop.wait() if obeys else self.go[name].wait())
            self.stopped[name] = lock.stop.is_set()

    async def come(self, name: str, *, shared: bool = False, obeys: bool = False) -> None:
        self.go[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name, shared, obeys))
        await settle()

    async def leave(self, *names: str) -> None:
        for name in names:
            self.go[name].set()
        await settle()


async def test_exclusive_is_first_come_first_served() -> None:
    crowd = Crowd(ProcessLocks(5))
    for name in "abcd":
        await crowd.come(name)
    assert crowd.order == ["a"]
    for held, order in (("a", "ab"), ("b", "abc"), ("c", "abcd")):
        await crowd.leave(held)
        assert "".join(crowd.order) == order
    await crowd.leave("d")
    assert crowd.stopped == {"a": True, "b": True, "c": True, "d": False}
    assert not crowd.locks._entries


async def test_shared_holders_are_together_and_do_not_evict_each_other() -> None:
    crowd = Crowd(ProcessLocks(5))
    for name in "abc":
        await crowd.come(name, shared=True)
    assert crowd.order == ["a", "b", "c"]
    await crowd.leave("a", "b", "c")
    assert crowd.stopped == {"a": False, "b": False, "c": False}


async def test_an_exclusive_one_evicts_all_shared_ones_and_later_ones_wait_behind_it() -> None:
    crowd = Crowd(ProcessLocks(5))
    await crowd.come("r1", shared=True)
    await crowd.come("r2", shared=True)
    await crowd.come("w")
    await crowd.come("r3", shared=True)
    await crowd.come("r4", shared=True)
    assert crowd.order == ["r1", "r2"]
    await crowd.leave("r1")
    assert crowd.order == ["r1", "r2"], "not before all of them are gone"
    await crowd.leave("r2")
    assert crowd.order == ["r1", "r2", "w"]
    await crowd.leave("w")
    assert crowd.order == ["r1", "r2", "w", "r3", "r4"]
    await crowd.leave("r3", "r4")
    assert crowd.stopped == {"r1": True, "r2": True, "w": True, "r3": False, "r4": False}


async def test_other_keys_are_other_locks() -> None:
    locks = ProcessLocks(0.05)
    async with locks.exclusive("a") as first, locks.exclusive("b") as second:
        assert not first.stop.is_set()
        assert not second.stop.is_set()


async def test_a_holder_that_obeys_is_gone_in_no_time() -> None:
    crowd = Crowd(ProcessLocks(5))
    await crowd.come("hanging", obeys=True)
    begun = time.monotonic()
    async with crowd.locks.exclusive("k"):
        took = time.monotonic() - begun
    assert took < 0.05
    assert crowd.stopped == {"hanging": True}


async def test_a_look_behind_two_writers_has_its_turn() -> None:
    """HEAD behind two PATCHes, each of which would read its body for ever."""
    crowd = Crowd(ProcessLocks(5))
    for name in ("patch1", "patch2", "patch3"):
        await crowd.come(name, obeys=True)
    begun = time.monotonic()
    async with crowd.locks.exclusive("k"):
        took = time.monotonic() - begun
    assert took < 0.3
    assert crowd.order == ["patch1", "patch2", "patch3"]


async def test_who_does_not_let_go_makes_the_newcomer_locked() -> None:
    crowd = Crowd(ProcessLocks(0.1))
    await crowd.come("stubborn")
    begun = time.monotonic()
    with pytest.raises(Locked):
        async with crowd.locks.exclusive("k"):
            pytest.fail("held twice")
    assert 0.08 < time.monotonic() - begun < 0.5
    await crowd.leave("stubborn")
    async with crowd.locks.exclusive("k") as lock:
        assert not lock.stop.is_set()
    assert not crowd.locks._entries


async def test_shared_ones_go_on_when_the_exclusive_one_before_them_gives_up() -> None:
    crowd = Crowd(ProcessLocks(0.1))
    await crowd.come("r1", shared=True)
    await crowd.come("w")
    await asyncio.sleep(0.05)
    await crowd.come("r2", shared=True)
    assert crowd.order == ["r1"]
    with pytest.raises(Locked):
        await crowd.tasks["w"]
    await settle()
    assert crowd.order == ["r1", "r2"]
    await crowd.leave("r1", "r2")
    assert not crowd.locks._entries


async def test_cancelled_while_queued() -> None:
    crowd = Crowd(ProcessLocks(5))
    for name in "abc":
        await crowd.come(name)
    crowd.tasks["b"].cancel()
    await settle()
    await crowd.leave("a")
    assert crowd.order == ["a", "c"]
    await crowd.leave("c")
    assert crowd.tasks["b"].cancelled()
    assert not crowd.locks._entries


async def test_cancelled_at_the_moment_of_its_turn() -> None:
    crowd = Crowd(ProcessLocks(5))
    for name in "abc":
        await crowd.come(name)
    crowd.go["a"].set()
    await asyncio.sleep(0)  # `a` lets go now: `b` has the lock, but has not run yet
    crowd.tasks["b"].cancel()
    await settle()
    assert "c" in crowd.order
    await crowd.leave("b", "c")
    assert not crowd.locks._entries


async def test_stop_all_asks_everybody_and_all_who_come() -> None:
    crowd = Crowd(ProcessLocks(5))
    await crowd.come("a", obeys=True)
    await crowd.come("b")
    crowd.locks.stop_all()
    await settle()
    await crowd.leave("b")
    async with crowd.locks.exclusive("k") as late, crowd.locks.shared("other") as other:
        assert late.stop.is_set()
        assert other.stop.is_set()
    assert crowd.stopped == {"a": True, "b": True}


@pytest.mark.parametrize("seed", range(5))
async def test_mutual_exclusion(seed: int) -> None:
    """500 rounds of requests that come, hold, are cancelled or time out; never two that exclude each other."""
    chance = random.Random(seed)
    locks = ProcessLocks(0.05)
    inside: dict[str, list[bool]] = {"a": [], "b": []}
    got = {"in": 0, "locked": 0}

    async def request(key: str, shared: bool, hold: float, obeys: bool) -> None:
        try:
            async with locks.shared(key) if shared else locks.exclusive(key) as lock:
                others = inside[key]
                assert not others or (shared and all(others))
                others.append(shared)
                got["in"] += 1
                try:
                    if obeys:
                        await asyncio.wait([asyncio.ensure_future(lock.stop.wait())], timeout=hold)
                    else:
                        await asyncio.sleep(hold)
                finally:
                    others.remove(shared)
        except Locked:
            got["locked"] += 1

    tasks = []
    for _ in range(500):
        task = asyncio.create_task(
            request(chance.choice("ab"), chance.random() < 0.5, chance.random() * 0.004, chance.random() < 0.5)
        )
        if chance.random() < 0.2:
            asyncio.get_running_loop().call_later(chance.random() * 0.02, task.cancel)
        tasks.append(task)
        if chance.random() < 0.7:
            await asyncio.sleep(chance.random() * 0.002)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [each for each in done if each is not None and not isinstance(each, asyncio.CancelledError)] == []
    assert got["in"] > 100
    assert not locks._entries
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_no_task_and_no_timer_is_left() -> None:
    before = asyncio.all_tasks()
    crowd = Crowd(ProcessLocks(5))
    await crowd.come("a")
    for _ in range(20):
        waiting = asyncio.create_task(crowd._hold("x", False, False))
        await settle()
        waiting.cancel()
        await settle()
    await crowd.leave("a")
    assert asyncio.all_tasks() == before


async def test_waiting_for_a_signal() -> None:
    signal = Signal()
    waits = [asyncio.create_task(signal.wait()) for _ in range(3)]
    await settle()
    waits[1].cancel()
    await settle()
    signal.set()
    signal.set()
    await asyncio.wait_for(asyncio.gather(waits[0], waits[2]), 1)
    await asyncio.wait_for(signal.wait(), 1)
    assert signal.is_set()


async def test_an_uncontended_lock_is_cheap() -> None:
    locks = ProcessLocks(5)
    best = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(1000):
            async with locks.exclusive("k"):
                pass
        best = min(best, (time.perf_counter() - begun) / 1000)
    assert best < 3e-6


# ---------------------------------------------------------------------------------------------------- the directory


def test_the_data_directory_has_one_owner(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "data"
    held = claim(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / "lock").stat().st_mode) == 0o600
    with pytest.raises(StorageFailed, match=f"in use by process {os.getpid()}$"):
        claim(path)
    held.close()
    held.close()
    claim(path).close()


HOLD = """
import sys, time
from pathlib import Path
from tusdrive.storage.datadir import claim
held = claim(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_dead_owner_is_none(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(StorageFailed, match=f"in use by process {owner.pid}$"):
            claim(tmp_path / "data")
        owner.kill()
        owner.wait()
    claim(tmp_path / "data").close()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed, match="cannot be used: Not a directory"):
        claim(tmp_path / "file" / "data")


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    made = signing_secret(path)
    assert len(bytes.fromhex(made.decode())) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing_secret(path) == made
    assert os.listdir(tmp_path) == ["secret"]
    assert signing_secret(tmp_path / "other") != made


def test_a_secret_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_bytes(b"  0123456789abcdef0123456789abcdef\n")
    assert signing_secret(path) == b"0123456789abcdef0123456789abcdef"
    path.write_bytes(b"  0123456789abcdef0123456789abcde\n")
    with pytest.raises(StorageFailed, match="at least 32 bytes"):
        signing_secret(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_secret_that_others_can_read_is_none(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret"
    signing_secret(path)
    path.chmod(mode)
    with pytest.raises(StorageFailed, match="open to others"):
        signing_secret(path)


def test_a_secret_is_not_read_through_a_link(tmp_path: Path) -> None:
    signing_secret(tmp_path / "real")
    (tmp_path / "secret").symlink_to(tmp_path / "real")
    with pytest.raises(StorageFailed, match="cannot be used"):
        signing_secret(tmp_path / "secret")


def test_a_secret_that_many_make_at_once_is_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: signing_secret(tmp_path / "secret"), range(16)))
    assert len(set(found)) == 1
