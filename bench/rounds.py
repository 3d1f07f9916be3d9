"""What every scenario needs: peers in turn, round after round, each fresh, on a machine that is quiet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import machine
from .disk import Disk
from .peers import Peer
from .peers.process import Running, running
from .table import Figures
from .tools import Tools

DISTURBANCE = "others_share"
"""The figure that says how much of the machine other programs used during a run, in percent."""

DISTURBED = 10.0
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One call of the bench: who is measured, how often and how long, and on what disk."""

    peers: Sequence[Peer]
    rounds: int
    seconds: float
    disk: Disk
    tools: Tools

    def alternate(self, measure: Callable[[Peer, Path], Figures]) -> dict[str, list[Figures]]:
        """Measure each peer once a round, on an empty folder, beginning each round with another peer."""
        found: dict[str, list[Figures]] = {peer.name: [] for peer in self.peers}
        for round in range(self.rounds):
            first = round % len(self.peers)
            for peer in [*self.peers[first:], *self.peers[:first]]:
                figures = self._undisturbed(peer, measure)
                found[peer.name].append(figures)
                say(f"round {round + 1}/{self.rounds} {peer.name}: {_brief(figures)}")
        return found

    def _undisturbed(self, peer: Peer, measure: Callable[[Peer, Path], Figures]) -> Figures:
        """Measure, and again when other programs got in the way; the run they disturbed least, whatever it found."""
        runs: list[Figures] = []
        while len(runs) < TRIES:
            with self.disk.folder() as data:
                machine.wait_for_quiet()
                runs.append(measure(peer, data))
            if runs[-1].get(DISTURBANCE, 0.0) <= DISTURBED:
                break
            say(f"{peer.name}: other programs used {runs[-1][DISTURBANCE]:.0f} % of the machine")
        best = min(runs, key=lambda figures: figures.get(DISTURBANCE, 0.0))
        return {**best, "repeated": len(runs) - 1}

    @contextmanager
    def running(self, peer: Peer, data: Path) -> Iterator[Running]:
        with running(peer, self.tools, data) as server:
            yield server


def say(text: str) -> None:
    """To the person who waits; the table alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def _brief(figures: Figures) -> str:
    return ", ".join(f"{key} {value:,.6g}" for key, value in figures.items())
