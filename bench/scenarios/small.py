"""Create and fill 4 KiB uploads on 32 connections, as fast as they go."""

from __future__ import annotations

from pathlib import Path

from .. import load as client
from ..machine import Cpu, kernel_seconds
from ..peers import Peer
from ..peers.process import PeerFailed, Running
from ..rounds import DISTURBANCE, Bench, say
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
    Column(key="kernel_us", heading="kernel threads, µs/upload"),
    Column(key=DISTURBANCE, heading="other programs, % of machine"),
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
    cpu, kernel, machine = server.cpu_seconds(), kernel_seconds(), Cpu.read()
    result = client.run(bench.tools, server.endpoint, load)
    cpu, kernel, machine = server.cpu_seconds() - cpu, kernel_seconds() - kernel, Cpu.read().since(machine)
    found = result.figures
    others = max(0.0, machine.busy - cpu - kernel - found["total_cpu_s"])
    capacity = machine.busy + machine.idle + machine.stolen
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
        "kernel_us": kernel / max(found["total"], 1) * 1e6,
        DISTURBANCE: others / capacity * 100,
        "stolen_share": machine.stolen / capacity * 100,
    }


def _notes(rounds: dict[str, list[Figures]]) -> list[str]:
    everything = [figures for peer in rounds.values() for figures in peer]
    checked = sum(int(figures.get("checked", 0)) for figures in everything)
    wrong = sum(int(figures.get("wrong", 0)) for figures in everything)
    repeated = sum(int(figures.get("repeated", 0)) for figures in everything)
    others = max((figures.get(DISTURBANCE, 0.0) for figures in everything), default=0.0)
    stolen = max((figures.get("stolen_share", 0.0) for figures in everything), default=0.0)
    return [
        f"{checked} uploads read back after a restart of their server and compared byte for byte; {wrong} differed",
        "server CPU includes its warm-up; client and server share the machine's cores",
        f"{repeated} runs were repeated because other programs ran beside them; in those that count these used at most"
        f" {others:.0f} % of the machine, and the hypervisor took at most {stolen:.0f} %",
    ]
