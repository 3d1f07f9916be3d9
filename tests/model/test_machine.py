"""A real server and a model of the API get the same random requests; they must never disagree.

One server process serves all runs, and keeps all its data; each run has accounts of its own. Whenever it is stopped,
and at the end, `tusdrive check` must find rows, files and ledgers in agreement.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from creating import Creating
from ending import Ending
from harness import FULL
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from looking import Looking
from sending import Sending
from world import World

RUNS, STEPS = (200, 60) if FULL else (50, 60)


class Machine(Creating, Sending, Ending, Looking):
    """All rules together."""


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
            # Shrinking a failure would repeat its run hundreds of times, a second or more each.
            suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        ),
    )  # fmt: skip
    world.stop_and_check()
    assert "Traceback" not in world.server.output()
