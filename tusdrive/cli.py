"""The command line: `tusdrive serve` and its smaller sisters. Flags derive from `settings`."""

from __future__ import annotations

import asyncio
import base64
import functools
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

import click
import orjson

from . import __version__, logs, services
from .app import create_app
from .domain.account import ADMIN
from .domain.errors import TusdriveError
from .domain.upload import SECOND
from .http.tokens import Tokens
from .server import CannotListen, bind, run
from .settings import CONFIG, OPTIONS, PREFIX, Loaded, Option, SettingError, Settings, flag, load
from .storage.datadir import signing_secret
from .units import read_duration, show_duration

ADMIN_LIFE = 7 * 86400.0
"""Seconds that the token printed at the start is good for."""

TOKEN_SETTINGS = frozenset({"data", "jwt_secret_file", "jwt_audience", "jwt_issuer"})
STORE_SETTINGS = frozenset(name for name, option in OPTIONS.items() if option.group in ("Storage", "Running"))


class Report(Protocol):
    """What a pass over the data found."""

    @property
    def ok(self) -> bool: ...

    def lines(self) -> list[str]: ...


class Wrong(click.ClickException):
    """Something the caller has to put right."""

    exit_code = 2


class SettingFlag(click.Option):
    """The flag of one setting. Its text is read by `settings`, which knows where each value came from."""

    def __init__(self, names: Sequence[str], option: Option) -> None:
        super().__init__(
            names,
            metavar=option.kind.name,
            multiple=option.kind.many,
            help=f"{option.help} [{option.kind.show(option.default)}]",
        )
        self.group = option.group


class Command(click.Command):
    """A command whose --help lists its flags by group."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(param, "group", "Options"), []).append(record)
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)


def with_settings(names: Collection[str] = OPTIONS) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of these settings, and hand it what was loaded as `loaded`."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--config", metavar="FILE", help=f"TOML file with settings [{CONFIG}]")
        @functools.wraps(function)
        def command(config: str | None, **given: Any) -> Any:
            flags = {name: given.pop(name) for name in names}
            return function(loaded=_load(flags, config), **given)

        for name in reversed([name for name in OPTIONS if name in names]):
            command = click.option(flag(name), cls=SettingFlag, option=OPTIONS[name])(command)
        return command

    return decorate


def _load(given: dict[str, Any], config: str | None) -> Loaded:
    said = {name: value for name, value in given.items() if value not in (None, ())}
    flags = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in said.items()}
    try:
        return load(flags, os.environ, config)
    except SettingError as exc:
        raise Wrong(str(exc)) from exc


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=f"Every flag is also an environment variable ({PREFIX}MAX_SIZE for --max-size) and a key of the TOML file.",
)
@click.version_option(__version__, message="tusdrive %(version)s")
def main() -> None:
    """A resumable upload server: tus 1.0.0 and the Drive REST API over one core."""


@main.command(cls=Command)
@with_settings()
def serve(loaded: Loaded) -> None:
    """Run the server until SIGINT or SIGTERM."""
    settings = loaded.settings
    _configure_logs(loaded)
    try:
        sockets = bind(settings)
        status = run(create_app(settings), settings, sockets, lambda: _banner(settings, sockets[0]))
    except CannotListen as exc:
        raise click.ClickException(str(exc)) from exc
    sys.exit(status)


@main.command(cls=Command)
@click.option("--account", default=ADMIN, metavar="NAME", help=f"whom the token speaks for [{ADMIN}]")
@click.option("--role", "roles", multiple=True, metavar="NAME", help=f"may be repeated; {ADMIN} may touch everything")
@click.option("--lifetime", default="1h", metavar="DURATION", help="how long it is good for [1h]")
@with_settings(TOKEN_SETTINGS)
def token(loaded: Loaded, account: str, roles: tuple[str, ...], lifetime: str) -> None:
    """Print a token for the server that keeps its data in --data."""
    file = loaded.settings.secret_file
    if not file.exists():
        raise Wrong(f"{file}: there is no signing secret; name the server's --data, or start the server first")
    try:
        click.echo(_mint(loaded.settings, account, roles, read_duration(lifetime)))
    except ValueError as exc:
        raise Wrong(f"no such token: {exc}") from exc
    except TusdriveError as exc:
        raise Wrong(exc.message) from exc


@main.command(cls=Command)
@click.option("--repair", is_flag=True, help="put right what can be put right")
@with_settings(STORE_SETTINGS)
def check(loaded: Loaded, repair: bool) -> None:
    """Compare the database with the files. Status 1 if they differ."""
    _configure_logs(loaded)
    _report(services.check(loaded.settings, repair=repair))


@main.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="only say what would be removed")
@with_settings(STORE_SETTINGS | {"expire_after"})
def gc(loaded: Loaded, dry_run: bool) -> None:
    """Remove what has expired, and files that belong to nothing."""
    _configure_logs(loaded)
    _report(services.gc(loaded.settings, dry_run=dry_run))


@main.command(cls=Command)
@with_settings()
def config(loaded: Loaded) -> None:
    """Print the settings in force and where each came from, as a TOML file."""
    for name, option in OPTIONS.items():
        text = option.kind.show(getattr(loaded.settings, name))
        click.echo(f"{name} = {orjson.dumps(text).decode()}  # {loaded.sources[name]}")
    for note in loaded.notes:
        click.echo(f"# {note}")


def _configure_logs(loaded: Loaded) -> None:
    logs.configure(loaded.settings.log_format, loaded.settings.log_level)
    for note in loaded.notes:
        click.echo(f"WARNING: {note}", err=True)


def _report(work: Coroutine[Any, Any, Report]) -> None:
    try:
        report = asyncio.run(work)
    except TusdriveError as exc:
        raise click.ClickException(exc.message) from exc
    for line in report.lines():
        click.echo(line)
    sys.exit(0 if report.ok else 1)


def _mint(settings: Settings, account: str, roles: Collection[str], lifetime: float) -> str:
    secret = signing_secret(settings.secret_file)
    tokens = Tokens(secret, audience=settings.jwt_audience, issuer=settings.jwt_issuer)
    return tokens.mint(account, roles, lifetime, time.time_ns() * SECOND // 1_000_000_000)


def _banner(settings: Settings, listener: socket.socket) -> None:
    """What a newcomer needs, and what tests read: the lines `tus endpoint:`, `REST base:` and `token:`."""
    base = _base_url(settings, listener)
    secret = None if settings.auth == "none" else _mint(settings, ADMIN, [ADMIN], ADMIN_LIFE)
    if secret is None:
        click.echo(f"WARNING: auth is none: whoever reaches {base} may read, write and delete everything", err=True)
    lines = [
        f"tusdrive {__version__}, {settings.durability}, data in {settings.data.absolute()}",
        *([f"on the Unix socket {settings.unix_socket}"] if settings.unix_socket else []),
        "",
        f"tus endpoint:  {base}{settings.base_path}",
        f"REST base:     {base}/api",
        *([f"token:         {secret}"] if secret else []),
        *([f"               (account {ADMIN}, {show_duration(ADMIN_LIFE)}; others: tusdrive token)"] if secret else []),
        "",
        "Upload a file:",
        f"  {_curl(settings, base, secret, _some_file(Path.cwd()))}",
    ]
    click.echo("\n".join(lines))


def _base_url(settings: Settings, listener: socket.socket) -> str:
    scheme = "https" if settings.tls_cert else "http"
    if settings.unix_socket is not None:
        return f"{scheme}://localhost"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _some_file(folder: Path) -> Path:
    """A file to upload, by its whole path: the line is pasted into another terminal."""
    try:
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError:
        files = []
    return min(files, key=lambda path: (path.name != "README.md", path.name), default=folder / "FILE")


def _curl(settings: Settings, base: str, secret: str | None, file: Path) -> str:
    """One line to paste: tus "Creation With Upload"."""
    name = base64.b64encode(file.name.encode("utf-8", "surrogateescape")).decode()
    quoted = shlex.quote(str(file))
    headers = [
        f"-H 'Authorization: Bearer {secret}'" if secret else "",
        "-H 'Tus-Resumable: 1.0.0'",
        "-H 'Content-Type: application/offset+octet-stream'",
        f"-H 'Upload-Metadata: filename {name}'",
        f'-H "Upload-Length: $(wc -c < {quoted})"',
    ]
    how = [
        "-k" if settings.tls_cert else "",
        f"--unix-socket {shlex.quote(str(settings.unix_socket))}" if settings.unix_socket else "",
    ]
    return " ".join(filter(None, ["curl -sSi", *how, *headers, "-X POST -T", quoted, base + settings.base_path]))
