"""The SQL of reading. Column lists are those of rows.py; nothing here comes from input.

Parameters are numbered; a list is one parameter, as JSON.
"""

from __future__ import annotations

from ..ports import Sort
from . import rows
from .sqlite_open import script

_ISLANDS = '(SELECT json_group_array(json_array(start, "end")) FROM (SELECT * FROM islands WHERE upload_id = u.id \
ORDER BY start))'
_PARTS = "(SELECT json_group_array(part_id) FROM (SELECT * FROM parts WHERE final_id = u.id ORDER BY position))"


def _columns(names: tuple[str, ...], table: str) -> str:
    return ", ".join(f'{table}."{name}"' for name in names)


_UPLOAD_COLUMNS = f"{_columns(rows.FIXED + rows.PROGRESS, 'u')}, {_ISLANDS}, {_PARTS}"
_FILE_COLUMNS = _columns(rows.FILE, "f")
_BLOB_COLUMNS = _columns(rows.BLOB, "b")

_OPEN = "state IN ('active', 'assembling', 'verifying')"
_WHOLE_PART = "state = 'completed' AND kind = 'partial'"

UPLOAD = f"SELECT {_UPLOAD_COLUMNS} FROM uploads AS u WHERE u.id = ?1"
FILE = f"SELECT {_FILE_COLUMNS} FROM files AS f WHERE f.id = ?1"
BLOB = f"SELECT {_BLOB_COLUMNS} FROM blobs AS b WHERE b.id = ?1"
ACCOUNT = "SELECT id, quota, used, promised FROM accounts WHERE id = ?1"
SPACE = "SELECT promised FROM space WHERE id = ?1"
SEQUENCE = "SELECT last FROM sequences WHERE account = ?1"

WAITING_ON = f"""SELECT {_UPLOAD_COLUMNS} FROM uploads AS u
WHERE u.id IN (SELECT final_id FROM parts WHERE part_id = ?1) AND u.state = 'assembling'"""

_FILE_BY_HASH = f"""SELECT {_FILE_COLUMNS} FROM files AS f
WHERE f.account = ?1 AND f.{{hash}} = ?2 AND f.size = ?3 AND f.deleted_at IS NULL
AND (f.expires_at IS NULL OR f.expires_at > ?4) AND f.id NOT IN (SELECT value FROM json_each(?5))
ORDER BY f.created_at DESC, f.id DESC LIMIT 1"""
FILE_BY_HASH = {name: _FILE_BY_HASH.format(hash=name) for name in ("sha256", "md5")}

FILES_OF_BLOB = f"SELECT {_FILE_COLUMNS} FROM files AS f WHERE f.blob = ?1"
BLOB_BY_HASH = f"SELECT {_BLOB_COLUMNS} FROM blobs AS b WHERE b.sha256 = ?1 AND b.size = ?2"

UPLOAD_ORDER = {
    Sort.NAME: "file_name",
    Sort.SIZE: "length",
    Sort.CREATED: "created_at",
    Sort.UPDATED: "updated_at",
    Sort.ACTIVE: "active_at",
}
FILE_ORDER = {
    Sort.NAME: "name",
    Sort.SIZE: "size",
    Sort.CREATED: "created_at",
    Sort.UPDATED: "updated_at",
    Sort.ACTIVE: "updated_at",
}

_LISTED_UPLOADS = """uploads AS {t} WHERE {t}.account = ?1 AND {t}.kind <> 'partial'
AND (?2 IS NULL OR {t}.state IN (SELECT value FROM json_each(?2)))"""
COUNT_UPLOADS = f"SELECT count(*) FROM {_LISTED_UPLOADS.format(t='c')}"
_LIST_UPLOADS = f"""SELECT ({COUNT_UPLOADS}), {_UPLOAD_COLUMNS} FROM {_LISTED_UPLOADS.format(t='u')}
ORDER BY u.{{column}} {{way}}, u.id {{way}} LIMIT ?3 OFFSET ?4"""

_LISTED_FILES = """files AS {t} WHERE {t}.account = ?1 AND {t}.deleted_at IS NULL
AND ({t}.expires_at IS NULL OR {t}.expires_at > ?2)"""
COUNT_FILES = f"SELECT count(*) FROM {_LISTED_FILES.format(t='c')}"
_LIST_FILES = f"""SELECT ({COUNT_FILES}), {_FILE_COLUMNS} FROM {_LISTED_FILES.format(t='f')}
ORDER BY f.{{column}} {{way}}, f.id {{way}} LIMIT ?3 OFFSET ?4"""


def _listings(template: str, order: dict[Sort, str]) -> dict[tuple[Sort, bool], str]:
    """A statement for each sort and direction (True: descending)."""
    return {
        (sort, descending): template.format(column=column, way="DESC" if descending else "ASC")
        for sort, column in order.items()
        for descending in (False, True)
    }


LIST_UPLOADS = _listings(_LIST_UPLOADS, UPLOAD_ORDER)
LIST_FILES = _listings(_LIST_FILES, FILE_ORDER)

OPEN_UPLOADS = f"SELECT {_UPLOAD_COLUMNS} FROM uploads AS u WHERE u.{_OPEN} ORDER BY u.created_at, u.id"
EXPIRED_UPLOADS = f"""SELECT id FROM uploads WHERE expires_at IS NOT NULL AND expires_at <= ?1
AND (state IN ('active', 'assembling') OR {_WHOLE_PART}) ORDER BY expires_at, id LIMIT ?2"""
STALE_ENDED = """SELECT id FROM uploads WHERE state IN ('failed', 'cancelled', 'expired') AND ended_at < ?1
ORDER BY ended_at, id LIMIT ?2"""
EXPIRED_FILES = """SELECT id FROM files WHERE deleted_at IS NULL AND expires_at IS NOT NULL AND expires_at <= ?1
ORDER BY expires_at, id LIMIT ?2"""
UNHASHED_BLOBS = f"SELECT {_BLOB_COLUMNS} FROM blobs AS b WHERE b.sha256 IS NULL ORDER BY b.created_at, b.id LIMIT ?1"
_END = """COALESCE((SELECT MAX(i."end") FROM islands i WHERE i.upload_id = uploads.id), "offset")"""
PLACES = f"""SELECT place, {_END} FROM uploads WHERE {_OPEN}
UNION ALL SELECT place, {_END} FROM uploads WHERE {_WHOLE_PART}
UNION ALL SELECT place, size FROM blobs"""
EVENTS = "SELECT account, seq, type, data, at FROM outbox WHERE account = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
TRIM_EVENTS = """DELETE FROM outbox WHERE (account, seq) IN
(SELECT account, seq FROM outbox WHERE at < ?1 ORDER BY at LIMIT ?2)"""
STATS = script("stats.sql")
RECOUNT = script("recount.sql")
