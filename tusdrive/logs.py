"""Log lines: text for people, JSON for machines. One record is one line, whatever a client put into it."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from typing import Any, TextIO

import orjson

MAX_VALUE = 2000
"""Characters of one value that are logged."""

# Control characters could fake lines or drive a terminal, bidirectional ones could turn the text around.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def clean(text: str) -> str:
    """Text that is safe in a log: control characters escaped, tokens removed, cut to MAX_VALUE characters."""
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE] + "..."
    text = _TOKEN.sub("[token]", text)
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return clean(str(value))


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra`."""
    return {name: _plain(value) for name, value in record.__dict__.items() if name not in _STANDARD}


def _message(record: logging.LogRecord) -> str:
    return clean(record.getMessage().rstrip("\n"))


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


class _Lines(logging.Formatter):
    def trace(self, record: logging.LogRecord) -> list[str]:
        """The traceback's lines, each safe."""
        if not record.exc_info:
            return []
        return [clean(line) for line in self.formatException(record.exc_info).splitlines()]


class TextLines(_Lines):
    """`2025-11-09T01:56:00.123Z INFO tusdrive.app message name=value`; tracebacks follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={_quoted(value)}" for name, value in _facts(record).items())
        line = f"{_time(record)} {record.levelname} {record.name} {_message(record)}{facts}"
        return "\n    ".join([line, *self.trace(record)])


def _quoted(value: Any) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text


class JsonLines(_Lines):
    """One object a line: time, level, logger, message, what was given as `extra`, and `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        line |= {name: value for name, value in _facts(record).items() if name not in line}
        if trace := self.trace(record):
            line["exception"] = "\n".join(trace)
        return orjson.dumps(line).decode("utf-8")


def configure(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (stderr) as "text" or "json". `level` as in the setting log_level."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    module, _, name = level.rpartition(":")
    root.setLevel("INFO" if module else name.upper())
    if module:
        logging.getLogger(module).setLevel(name.upper())
    # What uvicorn says about starting and stopping is said by us, in our words.
    logging.getLogger("uvicorn").setLevel(max(logging.WARNING, root.level))
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Not so the traceback of a request that is cancelled when the time to stop is over; uvicorn counts them too."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))
