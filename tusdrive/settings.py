"""Every setting in one place: name, type, default, help. Flags, environment, file and README table derive from it.

A setting `max_size` is the flag `--max-size`, the variable `TUSDRIVE_MAX_SIZE` and the TOML key `max_size`. What is
said on the command line wins over the environment, that over the file, that over the default. Sizes are bytes,
durations are seconds.
"""

# ruff: noqa: RUF009 (the defaults are field specifications)
from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

from . import units
from .domain.upload import SECOND, Limits
from .units import Kind, Network

PREFIX = "TUSDRIVE_"
CONFIG = PREFIX + "CONFIG"
"""Names a TOML file, as `--config` does."""

IGNORED = {"UPLOAD_CACHE_DURATION_MINUTES": "there is no cache whose age could be set; tasks are always read fresh"}
"""Names of the REST API's document that have no counterpart here, and why."""

OTHERS = frozenset({CONFIG, PREFIX + "FULL"})
"""Names that begin like settings and are none."""

KIB, MIB = 1024, 1024 * 1024

Alias = tuple[str, Callable[[str], str]]
"""Another environment name, and how its text becomes ours."""


class SettingError(ValueError):
    """A value that cannot be: names the setting, where the value came from, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Option:
    """What is known about a setting besides its name."""

    group: str
    kind: Kind
    default: Any
    help: str
    aliases: tuple[Alias, ...] = ()


def _option(group: str, default: Any, kind: Kind, help: str, *aliases: Alias) -> Any:
    return field(default=default, metadata={"option": Option(group, kind, default, help, aliases)})


def _same(name: str) -> Alias:
    return name, str


def _in(name: str, unit: str) -> Alias:
    """A bare number, whose unit is in the name."""
    return name, lambda text: text + unit


_listening = partial(_option, "Listening")
_storage = partial(_option, "Storage")
_uploads = partial(_option, "Uploads")
_accounts = partial(_option, "Accounts")
_answers = partial(_option, "Answers")
_running = partial(_option, "Running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server is to behave. Raises SettingError for values that contradict each other."""

    host: str = _listening("127.0.0.1", units.TEXT, "address to listen on; 0.0.0.0 for all")
    port: int = _listening(8080, units.number(0, 65535), "port to listen on; 0 takes a free one")
    unix_socket: Path | None = _listening(
        None, units.optional(units.PATH), "listen on this Unix socket instead of host and port")
    tls_cert: Path | None = _listening(None, units.optional(units.PATH), "certificate chain (PEM); with tls_key")
    tls_key: Path | None = _listening(None, units.optional(units.PATH), "private key (PEM); with tls_cert")
    behind_proxy: tuple[Network, ...] = _listening(
        (), units.NETWORKS, "networks of proxies whose Forwarded and X-Forwarded-* headers are believed; if there are "
        "any, whoever connects to the Unix socket is believed too")
    base_path: str = _listening("/files", units.BASE_PATH, "where tus uploads live")

    data: Path = _storage(
        Path("data"), units.PATH, "directory of bytes, database and signing secret; made if there is none",
        _same("STORAGE_UPLOADS_PATH"))
    durability: Literal["durable", "relaxed"] = _storage(
        "durable", units.choice("durable", "relaxed"),
        "durable: what was acknowledged survives a power cut; relaxed: it survives a crash of the server only, faster")
    reserve: int = _storage(
        64 * MIB, units.size(), "disk space that uploads must leave free, at most a tenth of the disk")
    sync_every: int = _storage(8 * MIB, units.size(64 * KIB), "bytes of one request between two commits")
    write_threads: int = _storage(16, units.number(1, 64), "writes that may wait for the disk at a time")
    hash: Literal["auto", "eager", "off"] = _storage(
        "auto", units.choice("auto", "eager", "off"),
        "SHA-256 of files that declared no hash: computed some time after completion (auto), soon after (eager), "
        "never (off)")
    default_pool: str | None = _storage(
        None, units.optional(units.UUID), "pool of uploads that name none", _same("STORAGE_PREFERRED_REMOTE"))

    max_size: int | None = _uploads(None, units.optional(units.size(1)), "largest upload")
    quota: int | None = _uploads(None, units.optional(units.size()), "bytes an account may hold")
    expire_after: float | None = _uploads(
        86400.0, units.optional(units.duration(), zero_is_off=True),
        "unfinished uploads go after this long without activity", _in("UPLOAD_STALE_THRESHOLD_HOURS", "h"))
    cleanup_interval: float = _uploads(
        3600.0, units.duration(1), "time between two sweeps for what has expired",
        _in("UPLOAD_CLEANUP_INTERVAL_MINUTES", "m"))
    default_chunk_size: int = _uploads(
        5 * MIB, units.size(KIB), "chunk size of REST uploads that ask for none", _same("UPLOAD_DEFAULT_CHUNK_SIZE"))
    max_chunk_size: int = _uploads(
        16 * MIB, units.size(KIB), "largest chunk a REST upload may ask for", _same("UPLOAD_MAX_CHUNK_SIZE"))
    max_chunks: int = _uploads(100_000, units.number(1), "most chunks a REST upload may have")
    body_idle: float = _uploads(30.0, units.duration(0.1), "a request whose body stops for this long is ended")
    lock_timeout: float = _uploads(
        10.0, units.duration(0.1), "how long a request waits for an upload that another one holds")
    max_header: int = _uploads(32 * KIB, units.size(4 * KIB), "largest request header, all lines together")

    auth: Literal["jwt", "none"] = _accounts(
        "jwt", units.choice("jwt", "none"), "jwt: bearer tokens; none: everybody may do everything")
    jwt_secret_file: Path | None = _accounts(
        None, units.optional(units.PATH), "file with the signing secret, of 32 bytes or more; off: secret in data")
    jwks: str | None = _accounts(
        None, units.optional(units.FILE_OR_URL), "public keys whose tokens are taken too (RS256, ES256, EdDSA)")
    jwt_audience: str | None = _accounts(None, units.optional(units.TEXT), "audience that tokens must name")
    jwt_issuer: str | None = _accounts(None, units.optional(units.TEXT), "issuer that tokens must name")
    jwt_leeway: float = _accounts(10.0, units.duration(), "how far clocks may differ")
    upload_tokens: bool = _accounts(
        True, units.SWITCH, "put a capability into an upload's address, so that it can be resumed after a login ended")

    cors_origin: tuple[str, ...] = _answers(("*",), units.ORIGINS, "origins whose pages may use the server")
    location: Literal["absolute", "relative"] = _answers(
        "absolute", units.choice("absolute", "relative"), "form of addresses in Location")
    json_case: Literal["camel", "snake"] = _answers(
        "camel", units.choice("camel", "snake"), "names in JSON answers: fileName or file_name")
    docs: bool = _answers(True, units.SWITCH, "serve /openapi.json")

    log_format: Literal["text", "json"] = _running("text", units.choice("text", "json"), "form of log lines")
    log_level: str = _running(
        "info", units.LOG_LEVEL, "least level that is logged; MODULE:LEVEL for one part", _same("LOG_LEVEL"))
    shutdown_grace: float = _running(10.0, units.duration(0.1), "the server has ended this long after SIGTERM")

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingError("tls_cert and tls_key: give both or neither")
        if self.default_chunk_size > self.max_chunk_size:
            raise SettingError("default_chunk_size must not be over max_chunk_size "
                               f"({units.show_size(self.default_chunk_size)} > {units.show_size(self.max_chunk_size)})")

    @property
    def secret_file(self) -> Path:
        return self.jwt_secret_file or self.data / "secret"


OPTIONS: dict[str, Option] = {each.name: each.metadata["option"] for each in fields(Settings)}
"""All settings by name, in the order of --help and the README."""


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where each one came from, and what a person should be told about it."""

    settings: Settings
    sources: dict[str, str]
    notes: tuple[str, ...] = ()


def load(flags: Mapping[str, str], environ: Mapping[str, str], config: str | None = None) -> Loaded:
    """Settings from flags (by setting name), environment and a TOML file. Raises SettingError.

    An environment variable that is empty counts as not there.
    """
    values: dict[str, Any] = {}
    sources = dict.fromkeys(OPTIONS, "default")
    for name, text, source in [*_file(config, environ), *_environment(environ), *_flags(flags)]:
        values[name] = _read(name, text, source)
        sources[name] = source
    return Loaded(Settings(**values), sources, tuple(_notes(environ)))


_Found = tuple[str, str, str]  # name, text, source


def _flags(flags: Mapping[str, str]) -> list[_Found]:
    return [(name, text, flag(name)) for name, text in flags.items()]


def _environment(environ: Mapping[str, str]) -> list[_Found]:
    found = []
    for name, option in OPTIONS.items():
        for variable, convert in (_same(PREFIX + name.upper()), *option.aliases):
            if text := environ.get(variable):
                found.append((name, convert(text), variable))
                break
    return found


def _file(config: str | None, environ: Mapping[str, str]) -> list[_Found]:
    path, asked = (config, "--config") if config else (environ.get(CONFIG), CONFIG)
    if not path:
        return []
    try:
        document = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as exc:
        raise SettingError(f"{path} (from {asked}): {exc.strerror}") from exc
    except ValueError as exc:
        raise SettingError(f"{path} (from {asked}): {exc}") from exc
    table = document.get("tusdrive", document)
    if not isinstance(table, dict):
        raise SettingError(f"{path}: tusdrive must be a table")
    return [(_known(key, path), _text(value, f"{key} (from {path})"), path) for key, value in table.items()]


def _known(key: str, path: str) -> str:
    if key in OPTIONS:
        return key
    near = difflib.get_close_matches(key.replace("-", "_"), OPTIONS, 1)
    raise SettingError(f"{key} (from {path}): there is no such setting" + (f"; {near[0]}?" if near else ""))


def _text(value: Any, what: str) -> str:
    """A TOML value as a person would write it in the environment."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value) or "off"
    if isinstance(value, str | int | float):
        return str(value)
    raise SettingError(f"{what}: must be text, a number, on or off, or a list of texts")


def _read(name: str, text: str, source: str) -> Any:
    try:
        return OPTIONS[name].kind.read(text.strip())
    except ValueError as exc:
        raise SettingError(f"{name} = {text!r} (from {source}): {exc}") from exc


def _notes(environ: Mapping[str, str]) -> list[str]:
    """Variables that a person may have meant for us, and that do nothing."""
    names = {PREFIX + name.upper() for name in OPTIONS} | OTHERS
    notes = [f"{name} has no effect: {why}" for name, why in IGNORED.items() if environ.get(name)]
    notes += [f"{name} is no setting" for name in sorted(environ) if name.startswith(PREFIX) and name not in names]
    return notes


def limits(settings: Settings) -> Limits:
    """What the domain's rules need to know."""
    expire = settings.expire_after
    return Limits(
        max_size=settings.max_size,
        default_chunk_size=settings.default_chunk_size,
        max_chunk_size=settings.max_chunk_size,
        max_chunks=settings.max_chunks,
        expire_after=None if expire is None else int(expire * SECOND),
        quota=settings.quota,
    )


def settings_table() -> str:
    """All settings as a Markdown table, for the README."""
    rows = ["| setting | default | what it says | other names |", "|---|---|---|---|"]
    for name, option in OPTIONS.items():
        default = option.kind.show(option.default).replace("|", "\\|")
        others = ", ".join(f"`{alias}`" for alias, _ in option.aliases)
        rows.append(f"| `{name}` | `{default}` | {option.help} | {others} |")
    return "\n".join(rows) + "\n"
