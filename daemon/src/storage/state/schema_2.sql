-- What a service knows of a torrent besides. Foreign keys are off while this runs: a table is rebuilt under those
-- that refer to it.

-- Announce URLs in tiers, as JSON: most torrents share them with many others.
CREATE TABLE tracker_set (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    tiers TEXT NOT NULL UNIQUE
) STRICT;

-- Small columns only, for all rows are read at once when the service starts. Ids are never used again, so that nothing
-- is taken for what was removed. Names are those of the control API; a missing limit is the service's own.
CREATE TABLE new_torrent (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    info_hash         BLOB NOT NULL UNIQUE CHECK (length(info_hash) = 20),
    name              TEXT,
    added_at_s        INTEGER NOT NULL DEFAULT (unixepoch()),
    tracker_set       INTEGER REFERENCES tracker_set,
    dir               TEXT NOT NULL DEFAULT '',
    label             TEXT,
    error             TEXT,
    is_paused         INTEGER NOT NULL DEFAULT 0,
    is_seed_only      INTEGER NOT NULL DEFAULT 0,
    is_check_skipped  INTEGER NOT NULL DEFAULT 0,
    is_sequential     INTEGER NOT NULL DEFAULT 0,
    is_looked_at      INTEGER NOT NULL DEFAULT 0,
    lies_in           TEXT,
    upload_limit      INTEGER,
    download_limit    INTEGER,
    ratio_limit       REAL,
    seed_time_limit_s INTEGER,
    size              INTEGER NOT NULL DEFAULT 0,
    have_bytes        INTEGER NOT NULL DEFAULT 0,
    uploaded          INTEGER NOT NULL DEFAULT 0,
    downloaded        INTEGER NOT NULL DEFAULT 0,
    wasted            INTEGER NOT NULL DEFAULT 0,
    completed_at_s    INTEGER,
    seeded_s          INTEGER NOT NULL DEFAULT 0,
    next_announce_s   INTEGER
) STRICT;

CREATE VIEW old_trackers AS
    SELECT torrent, json_group_array(json(urls) ORDER BY tier) AS tiers
    FROM (SELECT torrent, tier, json_group_array(url ORDER BY rank) AS urls FROM tracker GROUP BY torrent, tier)
    GROUP BY torrent;
INSERT INTO tracker_set (tiers) SELECT DISTINCT tiers FROM old_trackers;
INSERT INTO new_torrent (id, info_hash, name, added_at_s, tracker_set, uploaded, downloaded)
    SELECT torrent.id, info_hash, name, added_at_s, tracker_set.id, ifnull(uploaded, 0), ifnull(downloaded, 0)
    FROM torrent
    LEFT JOIN progress ON progress.torrent = torrent.id
    LEFT JOIN old_trackers ON old_trackers.torrent = torrent.id
    LEFT JOIN tracker_set USING (tiers)
    ORDER BY torrent.id;
DROP VIEW old_trackers;
DROP TABLE tracker;
DROP TABLE torrent;
ALTER TABLE new_torrent RENAME TO torrent;
CREATE INDEX torrent_of_tracker_set ON torrent (tracker_set);

ALTER TABLE progress DROP COLUMN uploaded;
ALTER TABLE progress DROP COLUMN downloaded;

-- What stands before and after the info dictionary in the .torrent file; nothing if it came from peers.
ALTER TABLE info ADD COLUMN head BLOB NOT NULL DEFAULT x'';
ALTER TABLE info ADD COLUMN tail BLOB NOT NULL DEFAULT x'';
-- Tells which torrents have one, without a look at the pages of dictionaries.
CREATE INDEX info_is_known ON info (torrent);

-- What few torrents have, as JSON: which files are wanted, where they lie, and peers that a magnet link names.
CREATE TABLE choice (
    torrent    INTEGER PRIMARY KEY REFERENCES torrent ON DELETE CASCADE,
    patterns   TEXT,
    file_paths TEXT,
    peers      TEXT
) STRICT;

-- Where payload lies, by 64 bits of a hash of the path.
CREATE TABLE path (
    torrent INTEGER NOT NULL REFERENCES torrent ON DELETE CASCADE,
    hash    INTEGER NOT NULL,
    PRIMARY KEY (torrent, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX path_by_hash ON path (hash);
