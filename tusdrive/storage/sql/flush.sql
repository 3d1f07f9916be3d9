-- The whole of a batch in one statement: INSERT INTO flush VALUES (...), each column a JSON array of rows or NULL.
--
-- Why a view with a trigger: Python's sqlite3 gives the interpreter lock up in every step of every statement and has to
-- wait for it each time, so a batch must be few statements, not few rows. Made anew for each connection (TEMP), so it
-- is code and no part of the stored schema. The order of columns is that of storage/rows.py.
--
-- `LIMIT -1` keeps SQLite from merging the subquery into the outer one, where it would render `value` for each column.

CREATE TEMP VIEW flush AS SELECT
    NULL AS uploads_gone, NULL AS uploads, NULL AS progress,
    NULL AS lists_gone, NULL AS islands_gone, NULL AS islands, NULL AS parts,
    NULL AS blobs_gone, NULL AS blobs, NULL AS files,
    NULL AS accounts, NULL AS space, NULL AS sequences, NULL AS outbox;

CREATE TEMP TRIGGER flush_all INSTEAD OF INSERT ON flush BEGIN

DELETE FROM uploads WHERE id IN (SELECT value FROM json_each(NEW.uploads_gone));
DELETE FROM blobs WHERE id IN (SELECT value FROM json_each(NEW.blobs_gone));

INSERT INTO uploads (
    id, account, place, kind, auto_finish, file_name, content_type, metadata, chunk_size, hash_algorithm, hash,
    pool, bundle, concat, file_expires_at, created_at,
    state, length, "offset", allocated, reserved, file_id, error, emitted, expires_at, updated_at, active_at, ended_at
)
SELECT
    v ->> 0, v ->> 1, v ->> 2, v ->> 3, v ->> 4, v ->> 5, v ->> 6, v ->> 7, v ->> 8, v ->> 9, v ->> 10,
    v ->> 11, v ->> 12, v ->> 13, v ->> 14, v ->> 15,
    v ->> 16, v ->> 17, v ->> 18, v ->> 19, v ->> 20, v ->> 21, v ->> 22, v ->> 23, v ->> 24, v ->> 25, v ->> 26,
    v ->> 27
FROM (SELECT value AS v FROM json_each(NEW.uploads) LIMIT -1) WHERE true
ON CONFLICT (id) DO UPDATE SET
    account = excluded.account, place = excluded.place, kind = excluded.kind, auto_finish = excluded.auto_finish,
    file_name = excluded.file_name, content_type = excluded.content_type, metadata = excluded.metadata,
    chunk_size = excluded.chunk_size, hash_algorithm = excluded.hash_algorithm, hash = excluded.hash,
    pool = excluded.pool, bundle = excluded.bundle, concat = excluded.concat,
    file_expires_at = excluded.file_expires_at, created_at = excluded.created_at,
    state = excluded.state, length = excluded.length, "offset" = excluded."offset", allocated = excluded.allocated,
    reserved = excluded.reserved, file_id = excluded.file_id, error = excluded.error, emitted = excluded.emitted,
    expires_at = excluded.expires_at, updated_at = excluded.updated_at, active_at = excluded.active_at,
    ended_at = excluded.ended_at;

UPDATE uploads SET
    state = j.state, length = j.length, "offset" = j.o, allocated = j.allocated, reserved = j.reserved,
    file_id = j.file_id, error = j.error, emitted = j.emitted, expires_at = j.expires_at, updated_at = j.updated_at,
    active_at = j.active_at, ended_at = j.ended_at
FROM (
    SELECT
        v ->> 0 AS id, v ->> 1 AS state, v ->> 2 AS length, v ->> 3 AS o, v ->> 4 AS allocated, v ->> 5 AS reserved,
        v ->> 6 AS file_id, v ->> 7 AS error, v ->> 8 AS emitted, v ->> 9 AS expires_at, v ->> 10 AS updated_at,
        v ->> 11 AS active_at, v ->> 12 AS ended_at
    FROM (SELECT value AS v FROM json_each(NEW.progress) LIMIT -1)
) AS j
WHERE uploads.id = j.id;

DELETE FROM islands WHERE upload_id IN (SELECT value FROM json_each(NEW.lists_gone));
DELETE FROM parts WHERE final_id IN (SELECT value FROM json_each(NEW.lists_gone));
DELETE FROM islands WHERE (upload_id, start) IN (SELECT value ->> 0, value ->> 1 FROM json_each(NEW.islands_gone));

INSERT INTO islands (upload_id, start, "end")
SELECT v ->> 0, v ->> 1, v ->> 2 FROM (SELECT value AS v FROM json_each(NEW.islands) LIMIT -1) WHERE true
ON CONFLICT (upload_id, start) DO UPDATE SET "end" = excluded."end";

INSERT INTO parts (final_id, position, part_id)
SELECT v ->> 0, v ->> 1, v ->> 2 FROM (SELECT value AS v FROM json_each(NEW.parts) LIMIT -1);

INSERT INTO blobs (id, place, size, refs, sha256, created_at)
SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3, v ->> 4, v ->> 5
FROM (SELECT value AS v FROM json_each(NEW.blobs) LIMIT -1) WHERE true
ON CONFLICT (id) DO UPDATE SET
    place = excluded.place, size = excluded.size, refs = excluded.refs, sha256 = excluded.sha256,
    created_at = excluded.created_at;

INSERT INTO files (
    id, account, upload, blob, name, content_type, size, sha256, md5, pool, bundle, expires_at, created_at,
    updated_at, deleted_at
)
SELECT
    v ->> 0, v ->> 1, v ->> 2, v ->> 3, v ->> 4, v ->> 5, v ->> 6, v ->> 7, v ->> 8, v ->> 9, v ->> 10, v ->> 11,
    v ->> 12, v ->> 13, v ->> 14
FROM (SELECT value AS v FROM json_each(NEW.files) LIMIT -1) WHERE true
ON CONFLICT (id) DO UPDATE SET
    account = excluded.account, upload = excluded.upload, blob = excluded.blob, name = excluded.name,
    content_type = excluded.content_type, size = excluded.size, sha256 = excluded.sha256, md5 = excluded.md5,
    pool = excluded.pool, bundle = excluded.bundle, expires_at = excluded.expires_at,
    created_at = excluded.created_at, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at;

INSERT INTO accounts (id, quota, used, promised)
SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3 FROM (SELECT value AS v FROM json_each(NEW.accounts) LIMIT -1) WHERE true
ON CONFLICT (id) DO UPDATE SET quota = excluded.quota, used = excluded.used, promised = excluded.promised;

INSERT INTO space (id, promised)
SELECT v ->> 0, v ->> 1 FROM (SELECT value AS v FROM json_each(NEW.space) LIMIT -1) WHERE true
ON CONFLICT (id) DO UPDATE SET promised = excluded.promised;

INSERT INTO sequences (account, last)
SELECT v ->> 0, v ->> 1 FROM (SELECT value AS v FROM json_each(NEW.sequences) LIMIT -1) WHERE true
ON CONFLICT (account) DO UPDATE SET last = excluded.last;

INSERT INTO outbox (account, seq, type, data, at)
SELECT v ->> 0, v ->> 1, v ->> 2, v ->> 3, v ->> 4
FROM (SELECT value AS v FROM json_each(NEW.outbox) LIMIT -1);

END;
