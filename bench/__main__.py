"""`python -m bench [SCENARIO ...]`: measure, print one Markdown table a scenario, and keep the figures as JSON."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from . import machine, scenarios, table
from .disk import Disk, describe, opened
from .peers import PEERS, Peer
from .rounds import Bench, say
from .table import Report
from .tools import Missing, Tools


def _parser(known: dict[str, ModuleType]) -> argparse.ArgumentParser:
    lines = [f"  {name:18}{(module.__doc__ or '').splitlines()[0]}" for name, module in known.items()]
    lines += ["", "peers:", *(f"  {peer.name:18}{peer.about}" for peer in PEERS.values())]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure tusdrive beside its peers, alternating, on this machine; traffic goes to 127.0.0.1 only.",
        epilog="scenarios:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", help="all of them when none is named")
    parser.add_argument("--peers", help="comma-separated; each scenario has its own default")
    parser.add_argument("--rounds", type=int, default=5, help="how often each peer is measured (default 5)")
    parser.add_argument("--seconds", type=float, default=5, help="how long, each time (default 5)")
    parser.add_argument(
        "--data", type=Path, default=Path(tempfile.gettempdir()), help="where servers get their folders"
    )
    parser.add_argument(
        "--own-disk", action="store_true", help="a new ext4 for each server, in a file there (root only)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds there")
    return parser


def _arguments(known: dict[str, ModuleType], given: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser(known)
    options = parser.parse_args(given)
    options.scenario = options.scenario or list(known)
    if unknown := set(options.scenario) - set(known):
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    options.peers = options.peers.split(",") if options.peers else None
    if unknown := set(options.peers or []) - set(PEERS):
        parser.error(f"no peer {', '.join(sorted(unknown))}; there are: {', '.join(PEERS)}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return options


def _ready(peers: Sequence[Peer], tools: Tools) -> None:
    """Raise Missing now rather than in the middle of a run."""
    tools.build("load.c")
    for peer in peers:
        peer.command(tools, Path())


def _measure(module: ModuleType, options: argparse.Namespace, tools: Tools, disk: Disk) -> Report:
    peers = [PEERS[name] for name in options.peers or module.PEERS]
    _ready(peers, tools)
    bench = Bench(peers=peers, rounds=options.rounds, seconds=options.seconds, disk=disk, tools=tools)
    report: Report = module.run(bench)
    return report


def main(given: Sequence[str] | None = None) -> int:
    """0 when all was measured, 1 when a peer failed or kept wrong bytes, 2 when something is not installed."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers and disks are undone
    known = scenarios.load()
    options = _arguments(known, given)
    facts = machine.facts()
    work, disks = tempfile.TemporaryDirectory(prefix="bench-tools-"), opened(options.data, own=options.own_disk)
    with work as folder, disks as disk:
        facts |= {"data": disk.about, "data below": describe(options.data)}
        try:
            reports = {name: _measure(known[name], options, Tools(Path(folder)), disk) for name in options.scenario}
        except Missing as exc:
            say(f"cannot measure: {exc}")
            return 2
    for report in reports.values():
        print(report.markdown(), end="\n\n")
    print(table.facts_markdown(facts))
    if options.json:
        found = {name: report.json() for name, report in reports.items()}
        options.json.write_text(json.dumps({"machine": facts, "scenarios": found}, indent=1) + "\n")
    return 1 if any(report.failures for report in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
