"""Stores of state to test, and values to put in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tusdrive.domain.file import Blob, File
from tusdrive.domain.upload import Upload
from tusdrive.ports import StateStore
from tusdrive.storage.sqlite import SqliteState

NOON = 1_762_689_600_000_000
"""2025-11-09 12:00:00 UTC, in microseconds."""


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> int:
        return self.at


def upload(id: str = "u1", **fields: Any) -> Upload:
    given = {"account": "ann", "place": f"2025110912/{id}", "created_at": NOON, "updated_at": NOON, "active_at": NOON}
    return Upload(id=id, **{**given, **fields})


def file(id: str = "f1", **fields: Any) -> File:
    given = {
        "account": "ann", "upload": "u1", "blob": "b1", "name": "a.txt", "content_type": "text/plain", "size": 3,
        "created_at": NOON, "updated_at": NOON,
    }  # fmt: skip
    return File(id=id, **{**given, **fields})


def blob(id: str = "b1", **fields: Any) -> Blob:
    return Blob(id=id, **{"place": f"2025110912/{id}", "size": 3, "created_at": NOON, **fields})


async def save(state: StateStore, *values: Upload | File | Blob) -> None:
    """All of them in one change."""
    await state.apply(lambda tx: [_save(tx, value) for value in values] and None)


def _save(tx: Any, value: Upload | File | Blob) -> None:
    kinds: dict[type, Callable[[Any], None]] = {Upload: tx.save_upload, File: tx.save_file, Blob: tx.save_blob}
    kinds[type(value)](value)


@asynccontextmanager
async def opened(path: Path, clock: Callable[[], int], **more: Any) -> AsyncIterator[SqliteState]:
    """A store in SQLite, closed at the end."""
    state = SqliteState(path, **{"durability": "relaxed", "now": clock, **more})
    await state.open()
    try:
        yield state
    finally:
        await state.close()
