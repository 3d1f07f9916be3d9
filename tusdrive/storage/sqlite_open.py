"""Opening the database file: is it sound, is it ours, is it of this version; and the settings of a connection."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from contextlib import suppress
from importlib import resources
from pathlib import Path

from ..domain.errors import StorageFailed
from .ballast import Ballast
from .flush import INSERT
from .sqlite_errors import is_damage, translate

log = logging.getLogger(__name__)

OLDEST_SQLITE = (3, 38, 0)  # STRICT tables are 3.37, the operator ->> is 3.38

MIB = 2**20

WAL_LIMIT = 32 * MIB
"""A WAL file longer than this is emptied as soon as no reader needs it."""

CHECKPOINT_PAGES = 4000
"""A commit that leaves the WAL longer than this (16 MiB) copies it into the database, and the changes behind it wait.

Changes/s were the same from 1,000 pages to 7,500. Of changes alone, the slowest hundredth of 32 at a time took 10 ms
with 1,000, 13 with 2,000, 19 with 4,000, 28 with 7,500; of small uploads over HTTP the slowest tenth took 17 ms with
2,000 and 10 with 7,000.
"""

_RESTORE = """the state database {path} is damaged: {detail}
Nothing was changed. To restore it:
  1. stop every program that uses it
  2. move {path}, {path}-wal and {path}-shm together to another place, and keep them
  3. copy the newest backup to {path}
     (without a backup: sqlite3 <the moved file> .recover | sqlite3 {path})
  4. start again; `tusdrive check` compares the state with the files"""

_MISSING = """there are uploaded files here, but no state database {path}
No new one was made, because it would forget them. Copy the newest backup to {path} and start again."""


def script(name: str) -> str:
    """The text of a file in sql/."""
    return (resources.files(__package__) / "sql" / name).read_text(encoding="utf-8")


class Database:
    """The database file, and the one connection that writes to it. All of it on the writer's thread."""

    def __init__(self, path: Path, *, durability: str, fresh_ok: bool, busy_ms: int) -> None:
        self._path = path
        self._wal = Path(f"{path}-wal")
        self.ballast = Ballast(path.with_name("ballast"))
        self._durability = durability
        self._fresh_ok = fresh_ok
        self._busy_ms = busy_ms
        self._wal_limit = WAL_LIMIT
        self.synchronous = 0  # the setting in force: 2 is FULL, 1 is NORMAL
        self.rows = 0  # written since the WAL was looked at

    def open(self) -> None:
        """Makes the database if there is none and that is `fresh_ok`.

        Raises StorageFailed for a damaged or foreign file (which is left as it is), a missing one, or an old SQLite.
        """
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StorageFailed(f"SQLite {sqlite3.sqlite_version} is too old; 3.38 or newer is needed")
        try:
            version = _check(self._path)
            if version == 0 and not self._fresh_ok:
                raise StorageFailed(_MISSING.format(path=self._path))
            _make_file(self._path)
            self.connection = _connect(self._path, self._durability, self._busy_ms)
        except OSError as exc:
            raise StorageFailed(f"the state database {self._path} could not be opened: {exc}") from exc
        except sqlite3.Error as exc:
            raise translate(exc, f"the state database {self._path} could not be opened: {exc}") from exc
        self.synchronous = self.connection.execute("PRAGMA synchronous").fetchone()[0]
        self.ballast.tend()

    def close(self) -> None:
        """The last connection to go empties the WAL into the database, so readers are to be closed before."""
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA analysis_limit = 400")
            self.connection.execute("PRAGMA optimize")
        self.connection.close()

    def insert(self, columns: tuple[str | None, ...]) -> None:
        """Write a batch (flush.Flush.columns) and commit it; durable on return, as the durability promises.

        One statement outside of BEGIN and COMMIT: SQLite makes it a transaction of its own, and takes the write lock
        at its beginning as BEGIN IMMEDIATE does. With the two around it a batch waits for the interpreter lock twice
        more, and SQLite keeps a copy of each page for the case that the statement fails and the transaction goes on:
        11,300 to 12,300 changes/s, and 12,400 to 14,000 without.
        """
        self.connection.execute(INSERT, columns)

    def tend_wal(self) -> None:
        """Empty the WAL when it is long. Commits copy it into the database (wal_autocheckpoint), this starts it anew.

        Waits only briefly for readers, since commits wait meanwhile. Reads are short, so one of the next tries does it.
        """
        if self.rows < 256:  # a row dirties a page per index at most: some 10 MiB
            return
        self.rows = 0
        try:
            size = self._wal.stat().st_size
            if size < self._wal_limit:
                return
            self.connection.execute("PRAGMA busy_timeout = 100")
            blocked = self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self.connection.execute(f"PRAGMA busy_timeout = {self._busy_ms:d}")
            self._wal_limit = size + 2 * MIB if blocked else WAL_LIMIT
        except (OSError, sqlite3.Error) as exc:
            log.warning("the WAL could not be emptied", exc_info=exc, extra={"action": "checkpoint"})


def _make_file(path: Path) -> None:
    """An empty file that only its owner reads (SQLite gives its -wal and -shm the same mode), its name synced.

    Not opened when it is there: closing a descriptor of a database drops the locks that this process has on it.
    """
    if path.exists():
        return
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(path: Path) -> int:
    """The version of the schema, 0 for none. Raises StorageFailed when it is damaged or newer than this program.

    Looks through a read-only connection, which never changes the file. One without a WAL is opened as immutable, so
    that not even an empty -wal appears beside it.
    """
    if not path.exists() or path.stat().st_size == 0:
        return 0
    wal = Path(f"{path}-wal")
    alone = not wal.exists() or wal.stat().st_size == 0
    uri = path.absolute().as_uri() + "?mode=ro" + ("&immutable=1" if alone else "")
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        try:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError as exc:
        if not is_damage(exc):
            raise
        raise StorageFailed(_RESTORE.format(path=path, detail=exc)) from exc
    if found != ["ok"]:
        raise StorageFailed(_RESTORE.format(path=path, detail="; ".join(found)))
    if version > max(migrations()):
        raise StorageFailed(f"the state database {path} is of version {version}, newer than this program knows")
    return version


def _connect(path: Path, durability: str, busy_ms: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=busy_ms / 1000)
    try:
        for pragma in (
            "journal_mode = WAL",
            f"synchronous = {'NORMAL' if durability == 'relaxed' else 'FULL'}",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "cache_size = -16384",  # KiB: indices over random ids touch many pages per batch
            "secure_delete = FAST",  # Debian's default ON writes pages only to blank them
            f"journal_size_limit = {WAL_LIMIT}",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _migrate(connection)
        connection.executescript(script("flush.sql"))
    except BaseException:
        connection.close()
        raise
    return connection


def migrations() -> dict[int, str]:
    """File names in sql/ by the version that they lead to, from 1 on."""
    names = (entry.name for entry in (resources.files(__package__) / "sql").iterdir())
    found = {int(name[:4]): name for name in names if re.fullmatch(r"\d{4}_\w+\.sql", name)}
    return dict(sorted(found.items()))


def _migrate(connection: sqlite3.Connection) -> None:
    """Each step in a transaction of its own, together with the version it leads to."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, name in migrations().items():
        if number <= version:
            continue
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script(name)}\nPRAGMA user_version = {number:d};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
