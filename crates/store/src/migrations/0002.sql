-- How many tokens are revoked: whoever loads them knows by it whether those are all.
INSERT INTO meta (name, value) SELECT 'revoked_tokens', count(*) FROM revoked_tokens;

-- Like the index by expiry, it holds all that is loaded, so that the table itself need not be read.
DROP INDEX revoked_tokens_by_key;
CREATE INDEX revoked_tokens_by_key ON revoked_tokens (key_id, expires_at) WHERE expires_at IS NULL;
