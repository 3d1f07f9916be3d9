-- Uploads, files and their bytes, accounts, events. Times are microseconds since 1970 UTC, sizes are bytes.
-- Text that clients may fill with anything is kept as storage/rows.py packs it (NUL is escaped).

CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    place TEXT NOT NULL,
    kind TEXT NOT NULL,
    auto_finish INTEGER NOT NULL,
    file_name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    metadata TEXT,
    chunk_size INTEGER NOT NULL,
    hash_algorithm TEXT,
    hash TEXT,
    pool TEXT,
    bundle TEXT,
    concat TEXT,
    file_expires_at INTEGER,
    created_at INTEGER NOT NULL,
    -- What follows changes while bytes come; storage/rows.py writes it without touching the rest.
    state TEXT NOT NULL,
    length INTEGER,
    "offset" INTEGER NOT NULL,
    allocated INTEGER NOT NULL,
    reserved INTEGER NOT NULL,
    file_id TEXT,
    error TEXT,
    emitted REAL NOT NULL,
    expires_at INTEGER,
    updated_at INTEGER NOT NULL,
    active_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;

-- Parts of final uploads are in no listing, so they need not be in the indices of listings.
CREATE INDEX uploads_by_state ON uploads (account, state) WHERE kind <> 'partial';
CREATE INDEX uploads_by_name ON uploads (account, file_name) WHERE kind <> 'partial';
CREATE INDEX uploads_by_size ON uploads (account, length) WHERE kind <> 'partial';
CREATE INDEX uploads_by_created ON uploads (account, created_at) WHERE kind <> 'partial';
CREATE INDEX uploads_by_updated ON uploads (account, updated_at) WHERE kind <> 'partial';
CREATE INDEX uploads_by_active ON uploads (account, active_at) WHERE kind <> 'partial';
CREATE INDEX uploads_open ON uploads (created_at) WHERE state IN ('active', 'assembling', 'verifying');
CREATE INDEX uploads_parts ON uploads (account) WHERE state = 'completed' AND kind = 'partial';
CREATE INDEX uploads_expiring ON uploads (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX uploads_ended ON uploads (ended_at) WHERE state IN ('failed', 'cancelled', 'expired');

-- Bytes that arrived beyond the offset: [start, end).
CREATE TABLE islands (
    upload_id TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    PRIMARY KEY (upload_id, start)
) STRICT, WITHOUT ROWID;

-- What a final upload is made of. A part may be gone while its final upload is still known.
CREATE TABLE parts (
    final_id TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    part_id TEXT NOT NULL,
    PRIMARY KEY (final_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX parts_by_part ON parts (part_id);

CREATE TABLE blobs (
    id TEXT NOT NULL PRIMARY KEY,
    place TEXT NOT NULL,
    size INTEGER NOT NULL,
    refs INTEGER NOT NULL,
    sha256 TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX blobs_by_hash ON blobs (sha256, size) WHERE sha256 IS NOT NULL;
CREATE INDEX blobs_unhashed ON blobs (created_at) WHERE sha256 IS NULL;

-- A deleted file is kept for a while after its blob has gone, so `blob` is no foreign key.
CREATE TABLE files (
    id TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    upload TEXT NOT NULL,
    blob TEXT NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT,
    md5 TEXT,
    pool TEXT,
    bundle TEXT,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE INDEX files_by_name ON files (account, name) WHERE deleted_at IS NULL;
CREATE INDEX files_by_size ON files (account, size) WHERE deleted_at IS NULL;
CREATE INDEX files_by_created ON files (account, created_at, expires_at) WHERE deleted_at IS NULL;
CREATE INDEX files_by_updated ON files (account, updated_at) WHERE deleted_at IS NULL;
CREATE INDEX files_by_sha256 ON files (account, sha256, size) WHERE deleted_at IS NULL AND sha256 IS NOT NULL;
CREATE INDEX files_by_md5 ON files (account, md5, size) WHERE deleted_at IS NULL AND md5 IS NOT NULL;
CREATE INDEX files_by_blob ON files (blob);
CREATE INDEX files_expiring ON files (expires_at) WHERE deleted_at IS NULL AND expires_at IS NOT NULL;

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    quota INTEGER,
    used INTEGER NOT NULL,
    promised INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE space (
    id TEXT NOT NULL PRIMARY KEY CHECK (id = ''),
    promised INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The last seq given out per account. Apart from the outbox, so that trimming that does not start it again.
CREATE TABLE sequences (
    account TEXT NOT NULL PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    account TEXT NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_by_age ON outbox (at);
