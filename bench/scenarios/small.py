"""Create and fill 4 KiB uploads on 32 connections, as fast as they go."""

from __future__ import annotations

from pathlib import Path

from .. import load as client
from ..machine import Cpu
from ..peers import Peer
from ..peers.process import PeerFailed, Running
from ..rounds import Bench, say
from ..table import Claim, Column, Figures, Report

PEERS = ("tusdrive-relaxed", "tusdrive-durable", "tus-node", "bare-uvicorn", "responder")
MOST_SECONDS = 8.0
WARM_UP = 2.0

COLUMNS = (
    Column(key="uploads_per_s", heading="uploads/s"),
    Column(key="p50_ms", heading="upload p50, ms", digits=1),
    Column(key="p99_ms", heading="p99, ms", digits=1),
    Column(key="server_us", heading="server CPU, µs/upload"),
    Column(key="client_us", heading="client CPU, µs/upload", digits=1),
    Column(key="client_share", heading="client, % of a core"),
    Column(key="peak_mib", heading="server peak, MiB"),
    Column(key="errors", heading="errors"),
)
CLAIMS = (
    Claim(peer="tusdrive-relaxed", against="tus-node", key="uploads_per_s", factor=2),
    Claim(peer="tusdrive-durable", against="tus-node", key="uploads_per_s", factor=1),
)


def run(bench: Bench) -> Report:
    failures: list[str] = []
    rounds = bench.alternate(lambda peer, data: _measure(bench, peer, data, failures))
    return Report(
        title="small: create and PATCH of 4 KiB, 32 connections",
        columns=COLUMNS,
        rounds=rounds,
        main="uploads_per_s",
        baseline="tus-node",
        claims=CLAIMS,
        notes=_notes(rounds),
        failures=failures,
    )


def _measure(bench: Bench, peer: Peer, data: Path, failures: list[str]) -> Figures:
    load = client.Load(warm_up=WARM_UP, seconds=min(bench.seconds, MOST_SECONDS))
    try:
        with bench.running(peer, data) as server:
            result, figures = _loaded(bench, server, load)
        if peer.keeps:
            with bench.running(peer, data) as again:
                checked, wrong = client.differing(again.endpoint, result.sample, load.size)
            figures |= {"checked": checked, "wrong": len(wrong)}
            failures += [f"{peer.name}: not what was sent, after a restart: {line}" for line in wrong[:3]]
            failures += [f"{peer.name}: nothing to check"] * (not checked)
    except (PeerFailed, client.ClientFailed) as exc:
        failures.append(f"{peer.name}: {exc}")
        return {}
    if figures["errors"]:
        failures.append(f"{peer.name}: errors {result.figures['errors']}, unfinished {result.figures['unfinished']}")
        say(result.complaints)
    return figures


def _loaded(bench: Bench, server: Running, load: client.Load) -> tuple[client.Result, Figures]:
    cpu, machine_cpu = server.cpu_seconds(), Cpu.read()
    result = client.run(bench.tools, server.endpoint, load)
    cpu, machine_cpu = server.cpu_seconds() - cpu, Cpu.read().since(machine_cpu)
    found = result.figures
    others = max(0.0, machine_cpu.busy - cpu - found["total_cpu_s"])
    return result, {
        "uploads_per_s": found["uploads_per_s"],
        "p50_ms": found["upload_us"]["p50"] / 1000,
        "p99_ms": found["upload_us"]["p99"] / 1000,
        "create_p50_ms": found["create_us"]["p50"] / 1000,
        "patch_p50_ms": found["patch_us"]["p50"] / 1000,
        "server_us": cpu / max(found["total"], 1) * 1e6,
        "client_us": found["cpu_s"] / max(found["uploads"], 1) * 1e6,
        "client_share": found["cpu_s"] / found["seconds"] * 100,
        "peak_mib": server.peak_mib(),
        "uploads": found["total"],
        "errors": sum(found["errors"].values()) + found["unfinished"],
        "others_share": others / (machine_cpu.busy + machine_cpu.idle + machine_cpu.stolen) * 100,
        "stolen_share": machine_cpu.stolen / (machine_cpu.busy + machine_cpu.idle + machine_cpu.stolen) * 100,
    }


def _notes(rounds: dict[str, list[Figures]]) -> list[str]:
    everything = [figures for peer in rounds.values() for figures in peer]
    checked = sum(int(figures.get("checked", 0)) for figures in everything)
    wrong = sum(int(figures.get("wrong", 0)) for figures in everything)
    others = max((figures.get("others_share", 0.0) for figures in everything), default=0.0)
    stolen = max((figures.get("stolen_share", 0.0) for figures in everything), default=0.0)
    return [
        f"{checked} uploads read back after a restart of their server and compared byte for byte; {wrong} differed",
        "server CPU includes its warm-up; client and server share the machine's cores",
        f"CPU used by neither server nor client (kernel threads, other programs): at most {others:.0f} % of the machine"
        f" in any run; taken by the hypervisor: at most {stolen:.0f} %",
    ]
