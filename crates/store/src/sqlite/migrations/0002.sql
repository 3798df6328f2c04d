-- How many tokens are revoked: whoever loads them knows by it whether those are all.
INSERT INTO meta (name, value) SELECT 'revoked_tokens', count(*) FROM revoked_tokens;

-- The entry of the log that came with it; 0 for those from before this version.
ALTER TABLE revoked_tokens ADD COLUMN position INTEGER NOT NULL DEFAULT 0;

-- Both indexes hold all that is loaded, so that the table itself need not be read. What expires is in buckets of an hour,
-- each in the order in which it came: new entries go to the ends of buckets, on a few pages, and not all over the index.
DROP INDEX revoked_tokens_by_expiry;
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (expires_at / 3600, position, expires_at)
    WHERE expires_at IS NOT NULL;
DROP INDEX revoked_tokens_by_key;
CREATE INDEX revoked_tokens_by_key ON revoked_tokens (key_id, position, expires_at) WHERE expires_at IS NULL;
