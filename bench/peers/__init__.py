"""The servers that can be measured, and how each is started fresh on an empty folder.

A peer is a command that prints `tus endpoint: http://127.0.0.1:PORT/...` when it can be asked, and ends with SIGTERM.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..tools import Missing, Tools

HERE = Path(__file__).parent
REPO = HERE.parent.parent
NODE_MODULES_ENV = "BENCH_NODE_MODULES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server. `command` gets the compiler and the empty data folder, and raises Missing for what is not installed."""

    name: str
    about: str
    command: Callable[[Tools, Path], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    keeps: bool = True  # what was uploaded can be read back, after a restart as well


def _node_modules() -> Path:
    """The folder whose node_modules has @tus/server: the one of the client tests, or the one the environment names."""
    folder = Path(os.environ.get(NODE_MODULES_ENV, REPO / "tests" / "clients"))
    if shutil.which("node") is None:
        raise Missing("no node for @tus/server; Node 20.19 or newer is needed (or leave the peer out with --peers)")
    for package in ("server", "file-store"):
        if not (folder / "node_modules" / "@tus" / package).is_dir():
            raise Missing(
                f"no @tus/{package} in {folder}/node_modules; run: npm ci --prefix {folder}\n"
                f"(or name another folder in {NODE_MODULES_ENV}, or leave the peer out with --peers)"
            )
    return folder


def _tus_node(tools: Tools, data: Path) -> list[str]:
    return ["node", str(HERE / "tus_node_server.mjs"), str(_node_modules()), str(data)]


def _tusdrive(durability: str) -> Callable[[Tools, Path], list[str]]:
    def command(tools: Tools, data: Path) -> list[str]:
        options = ["--port", "0", "--auth", "none", "--data", str(data), "--durability", durability]
        return [sys.executable, "-m", "tusdrive", "serve", *options]

    return command


def _bare_uvicorn(tools: Tools, data: Path) -> list[str]:
    return [sys.executable, str(HERE / "bare_uvicorn.py")]


def _responder(tools: Tools, data: Path) -> list[str]:
    return [str(tools.build("peers/responder.c"))]


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(name="tusdrive-relaxed", about="tusdrive, durability = relaxed", command=_tusdrive("relaxed")),
        Peer(name="tusdrive-durable", about="tusdrive, durability = durable", command=_tusdrive("durable")),
        Peer(
            name="tus-node",
            about="@tus/server over @tus/file-store, default settings, NODE_ENV=production",
            command=_tus_node,
            environment={"NODE_ENV": "production", "DEBUG": ""},
        ),
        Peer(
            name="bare-uvicorn",
            about="uvicorn, httptools and uvloop under an app that keeps nothing: what HTTP alone costs",
            command=_bare_uvicorn,
            keeps=False,
        ),
        Peer(
            name="responder",
            about="the least a server can do, in C, keeps nothing: what the load client can reach",
            command=_responder,
            keeps=False,
        ),
    )
}
