"""Log lines: one record is one line, and nothing in it can lie."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from tusdrive import logs

NAMES = ("tusdrive.test", "tusdrive", "uvicorn", "uvicorn.error")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, {name: logging.getLogger(name).level for name in NAMES}
    yield
    root.handlers[:], level, levels = before
    root.setLevel(level)
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)
    logging.getLogger("uvicorn.error").filters.clear()


def logged(form: str, level: str = "info") -> tuple[io.StringIO, logging.Logger]:
    stream = io.StringIO()
    logs.configure(form, level, stream)
    return stream, logging.getLogger("tusdrive.test")


def fields(line: str) -> str:
    """A text line without its time."""
    return line.partition(" ")[2]


def test_text_line() -> None:
    stream, log = logged("text")
    log.info("done %d", 7, extra={"action": "append", "id": "abc", "file": "two words", "size": 3, "type": ""})
    line = stream.getvalue()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO ", line)
    assert fields(line) == 'INFO tusdrive.test done 7 action=append id=abc file="two words" size=3 type=""\n'


def test_json_line() -> None:
    stream, log = logged("json")
    log.warning("done", extra={"action": "append", "size": 3, "ratio": 0.5, "path": ["a"], "ok": True, "who": None})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning", "logger": "tusdrive.test", "message": "done",
        "action": "append", "size": 3, "ratio": 0.5, "path": "['a']", "ok": True, "who": None,
    }  # fmt: skip


HOSTILE = "a\r\n2026-01-01 INFO fake\x1b[2J\x00\x85\u2028\u202egpj.exe\u2066\ud800"
SAFE = "a\\r\\n2026-01-01 INFO fake\\x1b[2J\\x00\\x85\\u2028\\u202egpj.exe\\u2066\\ud800"


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_text_stays_on_its_line(form: str) -> None:
    stream, log = logged(form)
    log.info(HOSTILE, extra={"file": HOSTILE})
    text = stream.getvalue()
    assert text.count("\n") == 1
    if form == "json":
        line = json.loads(text)
        assert (line["message"], line["file"]) == (SAFE, SAFE)
    else:
        assert fields(text) == f'INFO tusdrive.test {SAFE} file="{SAFE}"\n'


@pytest.mark.parametrize("form", ["text", "json"])
def test_tokens_do_not_reach_the_log(form: str) -> None:
    stream, log = logged(form)
    log.info("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln!", extra={"url": "/x?t=eyJh.eyJi.c2ln"})
    assert "eyJ" not in stream.getvalue()
    assert "Bearer [token]!" in stream.getvalue()


def test_long_values_are_cut() -> None:
    stream, log = logged("json")
    log.info("x" * 10_000)
    assert json.loads(stream.getvalue())["message"] == "x" * 2000 + "..."


@pytest.mark.parametrize("form", ["text", "json"])
def test_traceback(form: str) -> None:
    stream, log = logged(form)
    try:
        raise ValueError("bad\x1b name\n2026-01-01 INFO fake")
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert "\x1b" not in text
    if form == "json":
        assert text.count("\n") == 1
        assert json.loads(text)["exception"].endswith("ValueError: bad\\x1b name\n2026-01-01 INFO fake")
    else:
        assert "\n    Traceback (most recent call last):\n" in text
        assert all(line.startswith("    ") for line in text.splitlines()[1:])


@pytest.mark.parametrize(
    ("level", "info", "debug", "other"),
    [
        ("info", True, False, False),
        ("debug", True, True, True),
        ("warning", False, False, False),
        ("tusdrive.test:debug", True, True, False),
        ("tusdrive:warning", False, False, False),
    ],
)
def test_levels(level: str, info: bool, debug: bool, other: bool) -> None:
    stream, log = logged("text", level)
    log.info("one")
    log.debug("two")
    logging.getLogger("elsewhere").debug("three")
    assert [word in stream.getvalue() for word in ("one", "two", "three")] == [info, debug, other]


def test_what_uvicorn_says() -> None:
    stream, _ = logged("text")
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.info("Started server process")
    uvicorn.error("Exception in ASGI application\n", exc_info=asyncio.CancelledError())
    uvicorn.error("Exception in ASGI application\n", exc_info=ValueError("x"))
    assert "Started" not in stream.getvalue()
    assert stream.getvalue().count("ERROR uvicorn.error Exception in ASGI application\n    ValueError: x\n") == 1
    assert "CancelledError" not in stream.getvalue()
