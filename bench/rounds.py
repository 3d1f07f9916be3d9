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
                with self.disk.folder() as data:
                    before = machine.wait_for_quiet()
                    figures = measure(peer, data)
                found[peer.name].append({**figures, "busy_before": before})
                say(f"round {round + 1}/{self.rounds} {peer.name}: {_brief(figures)}")
        return found

    @contextmanager
    def running(self, peer: Peer, data: Path) -> Iterator[Running]:
        with running(peer, self.tools, data) as server:
            yield server


def say(text: str) -> None:
    """To the person who waits; the table alone goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def _brief(figures: Figures) -> str:
    return ", ".join(f"{key} {value:,.6g}" for key, value in figures.items())
