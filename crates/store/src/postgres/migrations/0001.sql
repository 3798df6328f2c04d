-- Text of callers is kept as bytes (UTF-8): it may hold U+0000, which text cannot.

-- One row. Whoever writes a change locks it first, so that changes have their positions in the order of their commits,
-- without gaps. It is not written then: while any snapshot in the database is kept open, each version of a row stays, and
-- whoever looks for the newest one passes all of them.
-- oldest: the first version of the schema whose programs can work with this one.
-- identity: tells this store from any other that may be under this name later.
-- trimmed, trimmed_mark: of the newest change that was removed from the log.
-- removed_tokens: how many were revoked once and are not needed any more.
CREATE TABLE head (
    one            boolean PRIMARY KEY CHECK (one),
    version        integer NOT NULL,
    oldest         integer NOT NULL,
    identity       bytea   NOT NULL,
    trimmed        bigint  NOT NULL,
    trimmed_mark   bigint  NOT NULL,
    removed_tokens bigint  NOT NULL
) WITH (fillfactor = 10);

INSERT INTO head (one, version, oldest, identity, trimmed, trimmed_mark, removed_tokens)
    VALUES (true, 0, 0, uuid_send(gen_random_uuid()), 0, 0, 0);

-- The log, whose newest entry always stays.
-- mark: random, the same for all changes of a transaction; tells them from others that had their positions in another
-- history of the store.
-- revoked_tokens: how many were ever revoked up to the end of its transaction, in the last of each. Less those that were
-- removed it says how many there are; whoever loads them knows by it whether those are all.
CREATE TABLE changes (
    position       bigint PRIMARY KEY CHECK (position > 0),
    at             bigint NOT NULL,
    actor          bytea  NOT NULL,
    action         text   COLLATE "C" NOT NULL,
    kind           text   COLLATE "C" NOT NULL,
    id             bytea  NOT NULL,
    detail         bytea  NOT NULL,
    mark           bigint NOT NULL,
    revoked_tokens bigint NOT NULL
);

-- Settings, keys, slots, clients and rules.
CREATE TABLE records (
    kind text  COLLATE "C" NOT NULL CHECK (kind <> 'token'),
    id   bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (kind, id)
);

-- No CHECK that an entry can ever be removed: one that stays too long is better than a token that is not revoked.
CREATE TABLE revoked_tokens (
    id         bytea  PRIMARY KEY CHECK (length(id) = 16),
    expires_at bigint,
    key_id     bytea,
    revoked_at bigint NOT NULL,
    actor      bytea  NOT NULL,
    reason     bytea  NOT NULL,
    position   bigint NOT NULL
);

-- An hour's tokens go when it is over.
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens ((expires_at / 3600)) WHERE expires_at IS NOT NULL;
CREATE INDEX revoked_tokens_by_key ON revoked_tokens (key_id) WHERE expires_at IS NULL;

-- Client assertions that were used.
CREATE TABLE assertions (
    id         bytea  PRIMARY KEY CHECK (length(id) = 16),
    expires_at bigint NOT NULL
);

CREATE INDEX assertions_by_expiry ON assertions (expires_at);

-- What was answered to calls that carried an idempotency key.
CREATE TABLE answers (
    key        bytea  PRIMARY KEY,
    request    bytea  NOT NULL,
    created    bytea  NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX answers_by_expiry ON answers (expires_at);

-- Written to find out whether writing is possible.
CREATE TABLE probe (
    one  boolean PRIMARY KEY CHECK (one),
    room bytea   NOT NULL
) WITH (fillfactor = 10);

INSERT INTO probe (one, room) VALUES (true, '');
