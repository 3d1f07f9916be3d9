"""SIGKILL at random points under load: what was acknowledged is there, what was never sent is not claimed."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import pytest
from harness import FULL, Server
from load import Load

KILLS = 300 if FULL else 30
SEED = 7


@pytest.mark.timeout(1200)
def test_kills_at_random_points(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    load = Load(SEED)
    with Server(tmp_path / "data") as server:
        for _ in range(KILLS):
            load.run(server, chance.uniform(0.02, 0.4), server.kill)
            if chance.random() < 0.15:
                _kill_while_starting(server, chance)
            server.start()
            load.audit(server)
        load.finish(server)
        assert server.stop() == 0
        report = load.report()
        assert report.problems == []
        assert (report.lost, report.wrong) == (0, 0)
        assert report.acknowledged > KILLS * 1_000_000, "the load was a load"
        assert report.finished > KILLS // 3
        _assert_sound(server)


def _kill_while_starting(server: Server, chance: random.Random) -> None:
    """Recovery itself must survive being killed."""
    with server.log.open("ab") as out:
        process = subprocess.Popen(server.command(), stdout=out, stderr=out, env=server.env)
    time.sleep(chance.uniform(0.2, 0.8))
    process.kill()
    process.wait(10)


def _assert_sound(server: Server) -> None:
    """Rows and files agree, but for bytes of deleted uploads that a kill left behind; and those can be cleaned up."""
    found = _check(server).stdout.splitlines()
    assert [line for line in found if "no row knows it" not in line and "agree" not in line] == []
    assert _check(server, "--repair").returncode == 0
    again = _check(server)
    assert again.returncode == 0, again.stdout + again.stderr


def _check(server: Server, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*server.program, "check", "--data", str(server.data), *options]
    return subprocess.run(command, capture_output=True, text=True, env=server.env, timeout=60)
