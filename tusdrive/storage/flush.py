"""What a unit of work changed, as the JSON columns of the view `flush` (sql/flush.sql)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from ..domain.upload import Upload
from . import rows
from .unit import Layers, Unit

V = TypeVar("V")
Rows = list[Any]


@dataclass(slots=True)
class Flush:
    """Rows per column of the view, in its order. `statement` takes what `columns` gives."""

    uploads_gone: Rows = field(default_factory=list)
    uploads: Rows = field(default_factory=list)
    progress: Rows = field(default_factory=list)
    lists_gone: Rows = field(default_factory=list)
    islands_gone: Rows = field(default_factory=list)
    islands: Rows = field(default_factory=list)
    parts: Rows = field(default_factory=list)
    blobs_gone: Rows = field(default_factory=list)
    blobs: Rows = field(default_factory=list)
    files: Rows = field(default_factory=list)
    accounts: Rows = field(default_factory=list)
    space: Rows = field(default_factory=list)
    sequences: Rows = field(default_factory=list)
    outbox: Rows = field(default_factory=list)

    def columns(self) -> tuple[str | None, ...]:
        """JSON per column, None for one without rows."""
        return tuple(orjson.dumps(r).decode() if r else None for r in self._all())

    def count(self) -> int:
        """How many rows it has in all."""
        return sum(map(len, self._all()))

    def _all(self) -> tuple[Any, ...]:
        return (
            self.uploads_gone, self.uploads, self.progress, self.lists_gone, self.islands_gone, self.islands,
            self.parts, self.blobs_gone, self.blobs, self.files, self.accounts, self.space, self.sequences,
            self.outbox,
        )  # fmt: skip


INSERT = "INSERT INTO flush VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def gather(unit: Unit) -> Flush:
    """All that is different after the unit."""
    flush = Flush(outbox=[tuple(entry) for entry in unit.entries])
    for id, upload in _changes(unit.uploads):
        if upload is None:
            flush.uploads_gone.append(id)
        else:
            _add_upload(flush, unit.uploads.before.get(id), upload)
    for id, blob in _changes(unit.blobs):
        if blob is None:
            flush.blobs_gone.append(id)
        else:
            flush.blobs.append(rows.blob_row(blob))
    flush.files = [rows.file_row(file) for _, file in _changes(unit.files) if file]
    flush.accounts = [rows.account_row(account) for _, account in _changes(unit.accounts) if account]
    flush.space = [[id, space.promised] for id, space in _changes(unit.spaces) if space]
    flush.sequences = [[id, last] for id, last in _changes(unit.sequences)]
    return flush


def _changes(layers: Layers[V]) -> Iterator[tuple[str, V | None]]:
    """What is to be written: not what was saved as it had been."""
    for id, value in layers.batch.items():
        if value is None or value is not layers.before.get(id):
            yield id, value


def _add_upload(flush: Flush, before: Upload | None, upload: Upload) -> None:
    """A full row, or only its progress when the rest is as before. `before` is None also when it is not known."""
    fixed = rows.fixed_row(upload)
    progress = rows.progress_row(upload)
    if before is not None and rows.fixed_row(before) == fixed:
        flush.progress.append([upload.id, *progress])
    else:
        flush.uploads.append(fixed + progress)
    if before is not None and before.parts == upload.parts:
        _add_islands(flush, upload.id, set(before.received.islands), set(upload.received.islands))
        return
    flush.lists_gone.append(upload.id)
    flush.islands += [[upload.id, start, end] for start, end in upload.received.islands]
    flush.parts += [[upload.id, position, part] for position, part in enumerate(upload.parts)]


def _add_islands(flush: Flush, id: str, before: set[tuple[int, int]], after: set[tuple[int, int]]) -> None:
    """Only the rows that differ: an upload of 100,000 chunks must not be rewritten for each of them."""
    if before == after:
        return
    starts = {start for start, _ in after}
    flush.islands_gone += [[id, start] for start, _ in before - after if start not in starts]
    flush.islands += [[id, start, end] for start, end in after - before]
