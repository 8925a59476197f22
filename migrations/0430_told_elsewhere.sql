-- Slack and GHE: what was said of an alert, and how far others are told of it. Without them configured all of this stays empty.

-- What was written on an alert's incident: kept with the write that stands, so that none of it is missed.
CREATE TABLE announcements (
    key         TEXT NOT NULL PRIMARY KEY, -- of the write: it is said once
    incident_id TEXT NOT NULL,
    run_id      TEXT,              -- the run that it is about
    head        TEXT NOT NULL,     -- its first three lines
    why         TEXT,              -- null: a short note says it in these
    at          BIGINT NOT NULL
);
CREATE INDEX announcements_incident ON announcements (incident_id, at);

-- What has changed of an alert or of a page: whoever claims work puts it into the queue. Rows are only added and taken out, so
-- that who tells of a change waits for nobody.
CREATE TABLE news (
    id          TEXT NOT NULL PRIMARY KEY,
    incident_id TEXT,              -- of an alert: one of its names; null: of a page
    page_id     TEXT,
    at          BIGINT NOT NULL
);
CREATE INDEX news_at ON news (at);

-- One row a message or an issue: its intent is recorded before it is sent, and what came of it at once. What follows from a row
-- is decided in `runbook::notify`.
CREATE TABLE told (
    key         TEXT NOT NULL PRIMARY KEY, -- place, alert and kind
    place       TEXT NOT NULL CHECK (place IN ('slack-registry', 'slack-se', 'ghe')),
    incident_id TEXT NOT NULL,     -- the alert by which it is found again
    kind        TEXT NOT NULL,
    page_id     TEXT,              -- the page that it is about; null: about an alert
    at          BIGINT NOT NULL,   -- since when it is wanted
    record      TEXT NOT NULL      -- what is known of it, as JSON
);
CREATE INDEX told_incident ON told (incident_id);
CREATE INDEX told_page ON told (page_id) WHERE page_id IS NOT NULL;

-- The queue, with a kind of its own for that: what tells others keeps nobody waiting.
CREATE TABLE work_next (
    key      TEXT NOT NULL PRIMARY KEY,  -- run/…, alert/…, task/…, notify/…: what it is about is in a table of its own; watch/…
    kind     TEXT NOT NULL CHECK (kind IN ('run', 'alert', 'task', 'watch', 'notify')),
    due_at   BIGINT NOT NULL,
    set_at   BIGINT NOT NULL,            -- when that was decided: later than now, time has gone back, and it is due
    owner    TEXT,                       -- who holds it, as long as it has a lease in `workers`; null: nobody
    attempt  BIGINT NOT NULL DEFAULT 0,  -- raised by every claim: a writer with an older number has lost it
    building BIGINT NOT NULL DEFAULT 0,  -- 1: a build is wanted and has not ended
    has_page BIGINT NOT NULL DEFAULT 0,  -- of an alert, 1: a page of it is wanted, or is to be told of: for those there are places
    news     BIGINT NOT NULL DEFAULT 0   -- of kind notify: raised by what comes, so that its holder sees that
);
INSERT INTO work_next (key, kind, due_at, set_at, owner, attempt, building, has_page)
SELECT key, kind, due_at, set_at, owner, attempt, building, has_page FROM work;
DROP TABLE work;
ALTER TABLE work_next RENAME TO work;
CREATE INDEX work_due ON work (kind, due_at);
CREATE INDEX work_owner ON work (owner) WHERE owner IS NOT NULL;
CREATE INDEX work_building ON work (building) WHERE building = 1;
