-- The log. AUTOINCREMENT: a position is never given twice, whatever was removed.
CREATE TABLE changes (
    position INTEGER PRIMARY KEY AUTOINCREMENT CHECK (position > 0),
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    detail   TEXT    NOT NULL
) STRICT;

-- Settings, keys, slots, clients and rules.
CREATE TABLE records (
    kind TEXT NOT NULL CHECK (kind <> 'token'),
    id   TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- No CHECK that an entry can ever be removed: one that stays too long is better than a token that is not revoked.
CREATE TABLE revoked_tokens (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    expires_at INTEGER,
    key_id     TEXT,
    revoked_at INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    reason     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX revoked_tokens_by_key ON revoked_tokens (key_id) WHERE expires_at IS NULL;

-- Client assertions that were used.
CREATE TABLE assertions (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX assertions_by_expiry ON assertions (expires_at);

-- What was answered to calls that carried an idempotency key.
CREATE TABLE answers (
    key        TEXT    NOT NULL PRIMARY KEY,
    request    TEXT    NOT NULL,
    created    TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_expiry ON answers (expires_at);

-- trimmed: the newest position that was removed from the log.
CREATE TABLE meta (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('trimmed', 0);

-- Written to find out whether writing is possible: as much as a large transaction writes.
CREATE TABLE probe (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    room BLOB NOT NULL
) STRICT;

INSERT INTO probe (id, room) VALUES (1, zeroblob(32768));
