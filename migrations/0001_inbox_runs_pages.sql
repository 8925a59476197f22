-- Columns are TEXT and BIGINT only, so that one set of queries serves every database: times are milliseconds since
-- 1970 (UTC), structures are JSON.

-- What PagerDuty told us. An event is here before its webhook is answered.
CREATE TABLE events (
    event_id    TEXT NOT NULL PRIMARY KEY,
    event_type  TEXT NOT NULL,
    incident_id TEXT,              -- null: the event is about no incident, or can't be read
    received_at BIGINT NOT NULL,
    outcome     TEXT NOT NULL,     -- accepted, ignored
    reason      TEXT,              -- why it was ignored; null: it was not
    body        TEXT NOT NULL
);
CREATE INDEX events_received ON events (received_at);

-- What is known of an alert over all its runs.
CREATE TABLE alerts (
    incident_id  TEXT NOT NULL PRIMARY KEY,
    alert_id     TEXT NOT NULL,    -- itself, or the incident that it was merged into
    region       TEXT NOT NULL,    -- remembered, whatever the title becomes
    triggered_at BIGINT,           -- last triggered or reopened; null: not known
    resolved_at  BIGINT,           -- null: open, as far as is known
    held_by      TEXT,             -- who said /hold; null: nobody, or it is over
    follow_ups   BIGINT NOT NULL DEFAULT 0 -- made since its last webhook or command
);

-- One diagnosis of one alert. The row is also its place in the queue.
CREATE TABLE runs (
    id              TEXT NOT NULL PRIMARY KEY,
    incident_id     TEXT,          -- null: a run by region, nothing is posted
    incident        TEXT,          -- number, title, html_url as last known; null with incident_id
    region          TEXT NOT NULL,
    triggered_by    TEXT NOT NULL,
    state           TEXT NOT NULL, -- queued, suppressed, running, done, failed, cancelled
    reason          TEXT,          -- why it failed or was cancelled; null: it was not
    created_at      BIGINT NOT NULL,
    due_at          BIGINT NOT NULL,
    finished_at     BIGINT,        -- null: not finished
    owner           TEXT,          -- who works on it; null: nobody
    lease_until     BIGINT NOT NULL DEFAULT 0,
    attempt         BIGINT NOT NULL DEFAULT 0, -- raised by every claim: a writer with an older number has lost it
    crashes         BIGINT NOT NULL DEFAULT 0, -- claims whose worker neither ended it nor gave it back
    facts           TEXT,          -- what the note needs beside the diagnosis; null: not known yet
    diagnosis       TEXT,          -- null: none yet
    related         TEXT NOT NULL DEFAULT '[]',
    suppressed_at   BIGINT,        -- since when other pages explain the alert; null: never
    related_closed_at BIGINT,      -- since when, while suppressed, none of them is open; null: one is
    go_on           BIGINT NOT NULL DEFAULT 0, -- 1: suppression is over, or was waived by a person
    alert_resolved_at BIGINT,      -- the alert was said to be resolved while the run was active; null: it was not
    escalation      TEXT NOT NULL DEFAULT 'none', -- none, suggested, held: what the run itself decided
    escalation_reason TEXT,        -- null: nothing speaks against a page
    note_begun_at   BIGINT,        -- a note was about to be written then; null: never
    note_id         TEXT           -- the diagnosis note; null: not written, or not known to be
);
CREATE UNIQUE INDEX runs_one_active ON runs (incident_id)
    WHERE incident_id IS NOT NULL AND state IN ('queued', 'suppressed', 'running');
CREATE INDEX runs_due ON runs (state, due_at);
CREATE INDEX runs_incident ON runs (incident_id, id);

-- The builds that a run asked Jenkins for: what the outside can't take back.
CREATE TABLE builds (
    run_id  TEXT NOT NULL REFERENCES runs (id),
    reading BIGINT NOT NULL,       -- 0 is the first reading, n its n-th re-run
    zone    TEXT NOT NULL,
    record  TEXT NOT NULL,
    PRIMARY KEY (run_id, reading, zone)
);

-- What a run did, for people; never replayed.
CREATE TABLE steps (
    run_id      TEXT NOT NULL REFERENCES runs (id),
    seq         BIGINT NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL,     -- running, done, failed, interrupted
    started_at  BIGINT NOT NULL,
    finished_at BIGINT,            -- null: it runs, or was cut off
    error       TEXT,              -- null: it went well
    PRIMARY KEY (run_id, seq)
);

-- One page an alert, ever: the primary key is the promise.
CREATE TABLE pages (
    incident_id  TEXT NOT NULL PRIMARY KEY,
    run_id       TEXT NOT NULL REFERENCES runs (id),
    asked_by     TEXT,             -- the operator; null: automatic
    requested_at BIGINT NOT NULL,
    state        TEXT NOT NULL,    -- requested, paged, failed
    due_at       BIGINT NOT NULL,
    begun_at     BIGINT,           -- an incident was about to be opened then; null: never
    finished_at  BIGINT,           -- null: still requested
    page_id      TEXT,             -- null: none known
    page_url     TEXT,
    joined       BIGINT NOT NULL DEFAULT 0, -- 1: an open page was joined, none was opened
    reason       TEXT,             -- what is wrong with it; null: nothing
    told         BIGINT NOT NULL DEFAULT 0, -- 1: the alert's notes say what became of it
    acknowledged_at BIGINT,        -- first seen acknowledged then; null: it was not
    acknowledged_by TEXT,          -- by whom
    owner        TEXT,
    lease_until  BIGINT NOT NULL DEFAULT 0,
    attempt      BIGINT NOT NULL DEFAULT 0
);

-- Short notes, by what they are for, so that each is written once; without a `run` line, they are found by their text.
CREATE TABLE short_notes (
    key         TEXT NOT NULL PRIMARY KEY,
    incident_id TEXT NOT NULL,
    text        TEXT NOT NULL,
    begun_at    BIGINT,            -- it was about to be written then; null: never
    note_id     TEXT               -- null: not written, or not known to be
);

-- Things to do for an alert beside its runs: commands by note, second looks, watching a page.
CREATE TABLE chores (
    id          TEXT NOT NULL PRIMARY KEY,
    kind        TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    run_id      TEXT,              -- the run that it follows from; null: none
    data        TEXT NOT NULL,
    due_at      BIGINT NOT NULL,
    owner       TEXT,
    lease_until BIGINT NOT NULL DEFAULT 0,
    attempt     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX chores_due ON chores (due_at);

-- Answers to POST /rerun with an Idempotency-Key, kept 24 hours.
CREATE TABLE idempotency_keys (
    who        TEXT NOT NULL,
    key        TEXT NOT NULL,
    body_hash  TEXT NOT NULL,
    run_id     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (who, key)
);
