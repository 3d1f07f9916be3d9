"""Power cuts shortly after acknowledgements, on a real file system; and proof that the test can fail."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from disk import Disk, require_loop_mounts
from harness import COMMAND, FULL, MIB, Server
from load import Load
from tracks import Report

CUTS = 30 if FULL else 6
SEED = 11
NOSYNC = (sys.executable, str(Path(__file__).with_name("nosync.py")))


@pytest.fixture(autouse=True)
def _able() -> None:
    require_loop_mounts()


def run_cuts(folder: Path, cuts: int, program: Sequence[str]) -> Report:
    """Load a server on a disk of its own and cut the power; after each cut, all is audited and finished."""
    chance = random.Random(SEED)
    load = Load(SEED, strict=False)  # the disk is gone before the server is, so it may well refuse
    with Disk(folder, 1024 * MIB) as disk:
        server = Server(disk.mount / "data", command=program, log=folder / "server.log")

        def cut() -> None:
            # A sync that is under way when the disk stops can return as if it had worked (seen on ext4, within 0.1 ms
            # of the cut, no server involved). With the power off nobody would hear of it, so nobody may here.
            server.is_dark = True
            disk.cut()
            server.kill()

        with server:
            for _ in range(cuts):
                load.run(server, chance.uniform(0.1, 0.5), cut)
                disk.detach()
                disk.attach()
                server.is_dark = False
                server.start()
                load.audit(server)
                load.finish(server)
    report = load.report()
    report.crashes = cuts
    return report


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_and_nothing_false_is_claimed(tmp_path: Path) -> None:
    report = run_cuts(tmp_path, CUTS, COMMAND)
    assert report.problems == []
    assert (report.lost, report.wrong) == (0, 0)
    assert report.acknowledged > CUTS * MIB, "there was something to lose"
    assert report.finished >= CUTS


def test_a_server_that_does_not_sync_is_found_out(tmp_path: Path) -> None:
    report = run_cuts(tmp_path, 3, NOSYNC)
    assert report.lost + report.wrong > 0
    assert report.problems != []
