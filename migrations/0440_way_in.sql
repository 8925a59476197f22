-- Whether PagerDuty's webhooks reach us, as the last self-check proved it: one row, for all that share the database.
CREATE TABLE way_in (
    id        TEXT NOT NULL PRIMARY KEY CHECK (id = 'one'),
    wanted_at BIGINT NOT NULL,    -- when a self-check last asked for a proof
    ended_at  BIGINT,             -- when the last proof ended; null: none has
    url       TEXT,               -- the WEBHOOK_URL that it was of; null with ended_at, as all that follows
    outcome   TEXT CHECK (outcome IN ('proven', 'failed', 'not_asked', 'not_allowed', 'no_subscription')),
    detail    TEXT,               -- what was found, in words
    fix       TEXT                -- how to fix it; empty: nothing is to be fixed
);
-- The pings that came are looked for while one is waited for.
CREATE INDEX webhooks_pings ON webhooks (received_at) WHERE event_type = 'pagey.ping';
