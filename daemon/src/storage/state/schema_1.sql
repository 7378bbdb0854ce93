-- A torrent that was asked for, whether or not its metadata is here yet.
CREATE TABLE torrent (
    id         INTEGER PRIMARY KEY,
    info_hash  BLOB NOT NULL UNIQUE CHECK (length(info_hash) = 20),
    name       TEXT,
    added_at_s INTEGER NOT NULL DEFAULT (unixepoch())
) STRICT;

-- The raw info dictionary. Apart from what changes twice a second: SQLite rewrites a row as a whole.
CREATE TABLE info (
    torrent INTEGER PRIMARY KEY REFERENCES torrent ON DELETE CASCADE,
    raw     BLOB NOT NULL
) STRICT;

CREATE TABLE tracker (
    torrent INTEGER NOT NULL REFERENCES torrent ON DELETE CASCADE,
    tier    INTEGER NOT NULL,
    rank    INTEGER NOT NULL,
    url     TEXT NOT NULL,
    PRIMARY KEY (torrent, tier, rank)
) STRICT, WITHOUT ROWID;

-- Pieces that were verified, and those of them that were on disk for certain, as bits in wire order.
CREATE TABLE progress (
    torrent    INTEGER PRIMARY KEY REFERENCES torrent ON DELETE CASCADE,
    have       BLOB NOT NULL,
    synced     BLOB NOT NULL,
    boot_id    TEXT,
    uploaded   INTEGER NOT NULL,
    downloaded INTEGER NOT NULL
) STRICT;

-- Payload files as they were when `have` was true of them. The inode is the kernel's 64 bits, read as signed.
CREATE TABLE file (
    torrent     INTEGER NOT NULL REFERENCES torrent ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    length      INTEGER NOT NULL,
    inode       INTEGER NOT NULL,
    modified_s  INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    PRIMARY KEY (torrent, number)
) STRICT, WITHOUT ROWID;
