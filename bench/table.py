"""One report of a scenario: medians over rounds, ratios of medians, as Markdown and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A figure to show: its key in a round's figures, its heading with the unit, digits after the point."""

    key: str
    heading: str
    digits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The median of `key` at `peer` is at least `factor` times that of `against`, in the same run."""

    peer: str
    against: str
    key: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a scenario found. `rounds` maps a peer's name to its figures, round by round."""

    title: str
    columns: Sequence[Column]
    rounds: dict[str, list[Figures]]
    main: str  # the key that ratios and spreads are shown of
    baseline: str
    claims: Sequence[Claim] = ()
    notes: Sequence[str] = ()
    failures: Sequence[str] = ()

    def median(self, peer: str, key: str) -> float | None:
        values = [figures[key] for figures in self.rounds.get(peer, []) if key in figures]
        return statistics.median(values) if values else None

    def ratio(self, peer: str, against: str, key: str) -> float | None:
        """Ratio of medians; None when either was not measured."""
        above, below = self.median(peer, key), self.median(against, key)
        return above / below if above is not None and below else None

    def verdicts(self) -> list[str]:
        return [line for claim in self.claims if (line := self._verdict(claim))]

    def _verdict(self, claim: Claim) -> str:
        ratio = self.ratio(claim.peer, claim.against, claim.key)
        if ratio is None:
            return ""
        word = "met" if ratio >= claim.factor else "MISSED"
        return f"{claim.peer} at least {claim.factor:g}x {claim.against}: {word}, {ratio:.2f}x"

    def markdown(self) -> str:
        head = ["peer", *(column.heading for column in self.columns), "lowest to highest", f"ratio to {self.baseline}"]
        lines = [f"## {self.title}", "", _row(head), _row(["---", *["---:"] * (len(head) - 1)])]
        lines += [_row(self._cells(peer)) for peer in self.rounds]
        for heading, items in (("Targets", self.verdicts()), ("Notes", self.notes), ("FAILURES", self.failures)):
            if items:
                lines += ["", f"{heading}:", *(f"- {item}" for item in items)]
        return "\n".join(lines)

    def _cells(self, peer: str) -> list[str]:
        values = [figures[self.main] for figures in self.rounds[peer] if self.main in figures]
        spread = f"{min(values):,.0f} to {max(values):,.0f}" if values else "-"
        medians = [_number(self.median(peer, column.key), column.digits) for column in self.columns]
        return [peer, *medians, spread, _number(self.ratio(peer, self.baseline, self.main), 2)]

    def json(self) -> dict[str, Any]:
        keys = [column.key for column in self.columns]
        return {
            "title": self.title,
            "medians": {peer: {key: self.median(peer, key) for key in keys} for peer in self.rounds},
            "ratios": {peer: self.ratio(peer, self.baseline, self.main) for peer in self.rounds},
            "baseline": self.baseline,
            "targets": self.verdicts(),
            "notes": list(self.notes),
            "failures": list(self.failures),
            "rounds": self.rounds,
        }


def facts_markdown(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
