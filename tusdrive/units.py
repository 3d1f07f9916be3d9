"""How people write values: sizes, durations, lists, choices. Text in, value out, and back again.

Every reader raises ValueError with what is wrong, in words that follow the value ("must be ...").
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

Network = IPv4Network | IPv6Network

OFF = frozenset({"off", "none", "never", "unlimited"})
"""Words for "no limit" where a limit may be absent."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to write a value: `read(show(value)) == value`."""

    name: str  # as shown in --help
    read: Callable[[str], Any]
    show: Callable[[Any], str] = str
    many: bool = False  # whether it may be given several times


_SIZE = re.compile(r"(\d{1,16}(?:\.\d{1,6})?) ?(?:([kmgtp])(i?b)?|b)?", re.IGNORECASE | re.ASCII)
_POWERS = "kmgtp"


def read_size(text: str) -> int:
    """Bytes. `10GiB` and `10G` count in 1024s, `10GB` in 1000s, a bare number in bytes."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("must be a size such as 500MB, 10GiB or 1048576")
    number, prefix, unit = match.groups()
    scale = 1
    if prefix:
        scale = (1000 if (unit or "").lower() == "b" else 1024) ** (_POWERS.index(prefix.lower()) + 1)
    whole, _, part = number.partition(".")
    return int(whole) * scale + (int(part) * scale // 10 ** len(part) if part else 0)


def show_size(value: int) -> str:
    for power in range(len(_POWERS), 0, -1):
        if value and value % 1024**power == 0:
            return f"{value // 1024**power}{_POWERS[power - 1].upper()}iB"
    return str(value)


_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?(ms|s|min|m|h|d|w) ?", re.IGNORECASE | re.ASCII)


def read_duration(text: str) -> float:
    """Seconds. `24h`, `7d`, `1h30m`, `500ms`; a bare number is seconds."""
    if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text, re.ASCII):
        return float(text)
    total, at = 0.0, 0
    while match := _DURATION.match(text, at):
        total += float(match[1]) * _SECONDS[match[2].lower()]
        at = match.end()
    if not text or at != len(text):
        raise ValueError("must be a duration such as 30s, 24h or 7d")
    return total


def show_duration(value: float) -> str:
    for unit in ("d", "h", "m"):
        count = value / _SECONDS[unit]
        # 24h reads better than 1d, and 60m better than 1h.
        if count == int(count) and count > 1:
            return f"{int(count)}{unit}"
    return f"{value:.6f}".rstrip("0").rstrip(".") + "s"


def number(low: int, high: int | None = None) -> Kind:
    """A whole number from `low` to `high`, both included."""
    bounds = f"from {low} to {high}" if high is not None else f"of at least {low}"

    def read(text: str) -> int:
        value = int(text) if re.fullmatch(r"\d{1,16}", text, re.ASCII) else -1
        if value < low or (high is not None and value > high):
            raise ValueError(f"must be a whole number {bounds}")
        return value

    return Kind("NUMBER", read)


def size(low: int = 0) -> Kind:
    """Bytes, at least `low`."""

    def read(text: str) -> int:
        value = read_size(text)
        if value < low:
            raise ValueError(f"must be at least {show_size(low)}")
        return value

    return Kind("SIZE", read, show_size)


def duration(low: float = 0) -> Kind:
    """Seconds, at least `low`."""

    def read(text: str) -> float:
        value = read_duration(text)
        if value < low:
            raise ValueError(f"must be at least {show_duration(low)}")
        return value

    return Kind("DURATION", read, show_duration)


def optional(kind: Kind, *, zero_is_off: bool = False) -> Kind:
    """The same, or one of the words OFF for None."""

    def read(text: str) -> Any:
        if text.lower() in OFF:
            return None
        value = kind.read(text)
        return None if zero_is_off and value == 0 else value

    return Kind(kind.name, read, lambda value: "off" if value is None else kind.show(value))


def choice(*names: str) -> Kind:
    def read(text: str) -> str:
        if text.lower() not in names:
            raise ValueError(f"must be {' or '.join(names)}")
        return text.lower()

    return Kind("|".join(names), read)


def listing(name: str, read_item: Callable[[str], Any]) -> Kind:
    """Several values, separated by commas, as a tuple; `off` for none."""

    def read(text: str) -> tuple[Any, ...]:
        if text.lower() in OFF:
            return ()
        return tuple(read_item(item.strip()) for item in text.split(",") if item.strip())

    return Kind(name, read, lambda value: ",".join(map(str, value)) or "off", many=True)


_SWITCH = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}


def _read_switch(text: str) -> bool:
    if text.lower() not in _SWITCH:
        raise ValueError("must be on or off")
    return _SWITCH[text.lower()]


def _read_text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("must be printable text")
    return text


def _read_path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("must be a path")
    return Path(text).expanduser()


def _read_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as exc:
        raise ValueError("must be a UUID") from exc


def _read_network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as exc:
        raise ValueError(f"must be networks such as 10.0.0.0/8 ({text!r} is not)") from exc


_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?", re.ASCII)


def _read_origin(text: str) -> str:
    lowered = text.lower()
    if text != "*" and not _ORIGIN.fullmatch(lowered):
        raise ValueError(f"must be origins such as https://app.example, or * ({text!r} is not)")
    return lowered


def _read_base(text: str) -> str:
    stripped = text.rstrip("/")
    if text == "/":
        return text
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", stripped, re.ASCII) or "/." in stripped:
        raise ValueError("must be a path such as /files")
    if re.match(r"/(health|docs|openapi\.json)(/|$)|/(api|drive)($|/files(/|$))", stripped):
        raise ValueError("must not lie where the REST API is")
    return stripped


def _read_location(text: str) -> str:
    """A file, or an http(s) URL."""
    if "://" in text and not re.match(r"https?://[^\s/]+", text, re.IGNORECASE):
        raise ValueError("must be a file or an https URL")
    return _read_text(text)


_LEVELS = {
    "trace": "debug", "verbose": "debug", "debug": "debug",
    "info": "info", "information": "info", "notice": "info",
    "warn": "warning", "warning": "warning",
    "err": "error", "error": "error",
    "fatal": "critical", "critical": "critical", "none": "critical",
}  # fmt: skip


def _read_level(text: str) -> str:
    """`info`, or `tusdrive.engine:debug` for one part; .NET's names are understood, and so is its `Module:Level`.

    A module that is not one of ours means the whole server.
    """
    module, _, name = text.rpartition(":")
    level = _LEVELS.get(name.strip().lower())
    if level is None:
        raise ValueError("must be debug, info, warning, error or critical, or MODULE:LEVEL")
    ours = module == "tusdrive" or module.startswith("tusdrive.")
    return f"{module}:{level}" if ours else level


TEXT = Kind("TEXT", _read_text)
PATH = Kind("PATH", _read_path)
SWITCH = Kind("on|off", _read_switch, lambda value: "on" if value else "off")
UUID = Kind("UUID", _read_uuid)
NETWORKS = listing("CIDR", _read_network)
ORIGINS = listing("ORIGIN", _read_origin)
BASE_PATH = Kind("PATH", _read_base)
FILE_OR_URL = Kind("FILE|URL", _read_location)
LOG_LEVEL = Kind("LEVEL", _read_level)
