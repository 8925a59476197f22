-- From version 0.1.0 to this one, in one step. What that version has begun is taken over; what it claims from and writes to is
-- changed first, so that one of its processes beside this version has finished what it is writing, or fails, and can claim,
-- begin and take nothing any more.

-- It answers no webhook: each begins with a row of `events`.
ALTER TABLE events RENAME TO webhooks;
DROP INDEX events_received;
CREATE INDEX webhooks_received ON webhooks (received_at);

-- An alert has an id of its own, and the incidents that it is, or was, in PagerDuty are its names: what was merged is one row.
ALTER TABLE alerts RENAME TO alerts_before;
DROP INDEX alerts_alert;
-- A replica of that version finds no roles any more: it looks after nothing, and has no place for a build.
DROP TABLE roles;

-- Whose run it is; null: that of a region. `incident_id` stays: where its note stands, or goes.
DROP INDEX runs_one_active;
DROP INDEX runs_due;
ALTER TABLE runs ADD COLUMN page_tried_since BIGINT;     -- as in `pages`, of a page that was held for its old evidence
ALTER TABLE runs ADD COLUMN suppression_ended_at BIGINT; -- its early word is due by then; null: it has none, or it goes on
ALTER TABLE runs ADD COLUMN note_text TEXT;              -- the note as it stands, after edits; null: none, or of version 0.1.0
ALTER TABLE runs ADD COLUMN diagnosed_at BIGINT;         -- when a diagnosis was first kept; null: none is, or 0.1.0 kept it
ALTER TABLE runs ADD COLUMN unchanged_from TEXT; -- of a follow-up that found nothing new, and wrote no note: whose it has edited
ALTER TABLE runs ADD COLUMN unchanged_at BIGINT; -- when; null with unchanged_from
ALTER TABLE runs ADD COLUMN alert_id TEXT;
-- Since when it is tried to open or join it, over all workers; null: not tried yet.
ALTER TABLE pages ADD COLUMN tried_since BIGINT;
-- 1: it was found open after it had been called failed or held, and that is told of.
ALTER TABLE pages ADD COLUMN after_all BIGINT NOT NULL DEFAULT 0;
-- Ids of pages that a look for what shows late makes no news of any more, a blank between them: each was told of, or was seen
-- closed beside another. By page and not by alert: of several that PagerDuty opens late each is told of.
ALTER TABLE pages ADD COLUMN no_news TEXT NOT NULL DEFAULT '';
-- Of a page that is wanted: the alert whose page may still be opened late, for which it waits; null: for none.
ALTER TABLE pages ADD COLUMN waits_for TEXT;
DROP INDEX chores_due;
ALTER TABLE short_notes RENAME TO short_notes_before;

-- How far service time has come, which never goes back: by what is written already, so that a clock that went back at this
-- very start makes nothing wait.
CREATE TABLE service_time (
    id      TEXT NOT NULL PRIMARY KEY,
    reached BIGINT NOT NULL            -- milliseconds since 1970
);
INSERT INTO service_time (id, reached)
SELECT 'one', MAX(at) FROM (
    SELECT at FROM health UNION ALL SELECT created_at FROM runs UNION ALL SELECT received_at FROM webhooks
) AS written HAVING MAX(at) IS NOT NULL;

CREATE TABLE alerts (
    id           TEXT NOT NULL PRIMARY KEY, -- ours; of an older alert it is its incident's
    incident_id  TEXT NOT NULL,    -- its newest name: where its notes go, and what its page's key is made of
    region       TEXT NOT NULL,    -- remembered, whatever the title becomes
    triggered_at BIGINT,           -- last triggered or reopened, by PagerDuty's clock; null: not known
    resolved_at  BIGINT,           -- by PagerDuty's clock; null: open, as far as is known
    held_by      TEXT,             -- who said /hold; null: nobody, or it is over
    follow_ups   BIGINT NOT NULL DEFAULT 0, -- made since its last webhook or command
    beside       TEXT NOT NULL DEFAULT '',  -- what is under way for it beside its runs; empty: nothing
    beside_version BIGINT NOT NULL DEFAULT 0,    -- raised by each change of that
    waits_for_related BIGINT NOT NULL DEFAULT 0, -- 1: pages that explain it are to close first
    news         BIGINT NOT NULL DEFAULT 0  -- raised by whatever comes, and not by who works on it: what was seen before says nothing of that
);
CREATE INDEX alerts_wait ON alerts (id) WHERE waits_for_related = 1;
-- A name is that of one alert.
CREATE TABLE incidents (
    incident_id TEXT NOT NULL PRIMARY KEY,
    alert_id    TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE
);
CREATE INDEX incidents_alert ON incidents (alert_id);

INSERT INTO alerts (id, incident_id, region, triggered_at, resolved_at, held_by, follow_ups)
SELECT incident_id, incident_id, region, triggered_at, resolved_at, held_by, follow_ups FROM alerts_before
WHERE incident_id IN (SELECT alert_id FROM alerts_before);
-- One whose row is gone was over; it goes by what is known of what was merged into it.
INSERT INTO alerts (id, incident_id, region, triggered_at, resolved_at, held_by, follow_ups)
SELECT alert_id, alert_id, MIN(region), MAX(triggered_at), COALESCE(MAX(resolved_at), MAX(triggered_at), 0), MAX(held_by),
    MAX(follow_ups)
FROM alerts_before WHERE alert_id NOT IN (SELECT id FROM alerts) GROUP BY alert_id;
INSERT INTO incidents (incident_id, alert_id) SELECT incident_id, alert_id FROM alerts_before;
INSERT INTO incidents (incident_id, alert_id)
SELECT id, id FROM alerts WHERE id NOT IN (SELECT incident_id FROM incidents);
-- A run of an incident that nothing else is known of.
INSERT INTO alerts (id, incident_id, region)
SELECT incident_id, incident_id, MIN(region) FROM runs
WHERE incident_id IS NOT NULL AND incident_id NOT IN (SELECT incident_id FROM incidents) GROUP BY incident_id;
INSERT INTO incidents (incident_id, alert_id)
SELECT id, id FROM alerts WHERE id NOT IN (SELECT incident_id FROM incidents);
DROP TABLE alerts_before;

UPDATE runs SET alert_id = (SELECT alert_id FROM incidents i WHERE i.incident_id = runs.incident_id)
WHERE incident_id IS NOT NULL;
-- Of two that were active since a merge the one goes on that runs under the alert's newest name.
UPDATE runs SET state = 'cancelled', finished_at = COALESCE(touched_at, created_at),
    reason = 'the alert was merged into another, which has a run'
WHERE alert_id IS NOT NULL AND state IN ('queued', 'suppressed', 'running') AND EXISTS (
    SELECT 1 FROM runs o JOIN alerts a ON a.id = o.alert_id
    WHERE o.alert_id = runs.alert_id AND o.id <> runs.id AND o.state IN ('queued', 'suppressed', 'running')
    AND (o.incident_id = a.incident_id OR (runs.incident_id <> a.incident_id AND o.id > runs.id)));
UPDATE steps SET state = 'interrupted'
WHERE state = 'running' AND run_id IN (SELECT id FROM runs WHERE state = 'cancelled');
CREATE UNIQUE INDEX runs_one_active ON runs (alert_id)
    WHERE alert_id IS NOT NULL AND state IN ('queued', 'suppressed', 'running');
CREATE INDEX runs_alert ON runs (alert_id, id);
CREATE INDEX runs_active ON runs (state) WHERE state IN ('queued', 'suppressed', 'running');

-- The ledger of writes that have no idempotency key: each is recorded before it is sent, and what came of it at once. What
-- follows from a row is decided in `runbook::writes`.
CREATE TABLE writes (
    key          TEXT NOT NULL PRIMARY KEY, -- what it is for, such as note:<run>: it is written once
    incident_id  TEXT NOT NULL,     -- where it was last to be written
    run_id       TEXT,              -- the run whose diagnosis note it is; null: another note
    text         TEXT NOT NULL,     -- as first wanted, where it is found by that; of an edit: the newest that was wanted; else empty
    attempt      BIGINT NOT NULL DEFAULT 0, -- how often it was about to be sent: whoever saw less must not send it
    begun_at     BIGINT,            -- when it was last about to be sent; null: never
    is_open      BIGINT NOT NULL DEFAULT 0, -- 1: what came of that is not recorded
    doubt_sends  BIGINT NOT NULL DEFAULT 0, -- sends that may be done and have not shown
    doubt_at     BIGINT,            -- when the last of them was sent at the latest; null: none is in doubt
    doubt_there  BIGINT,            -- the same by PagerDuty's clock; null: not known
    looked_at    BIGINT,            -- when the last look for them began; null: none did
    looked_there BIGINT,
    made_id      TEXT,              -- the note's id; null: not written, or not known to be
    fact         TEXT               -- of an edit: what its short note is told by where it is refused; null: there is none
);
CREATE INDEX writes_run ON writes (run_id);
-- What version 0.1.0 was about to write is in doubt: a write takes 150 s at most.
INSERT INTO writes (key, incident_id, run_id, text, attempt, begun_at, is_open, made_id)
SELECT 'note:' || id, COALESCE(incident_id, ''), id, '', 1, note_begun_at,
    CASE WHEN note_id IS NULL THEN 1 ELSE 0 END, note_id
FROM runs WHERE note_begun_at IS NOT NULL OR note_id IS NOT NULL;
INSERT INTO writes (key, incident_id, text, attempt, begun_at, is_open, made_id)
SELECT key, incident_id, text, CASE WHEN begun_at IS NULL THEN 0 ELSE 1 END, begun_at,
    CASE WHEN begun_at IS NOT NULL AND note_id IS NULL THEN 1 ELSE 0 END, note_id
FROM short_notes_before;
DROP TABLE short_notes_before;
-- So is a page that it was about to open, unless it is known to stand; what it has given up an hour ago and more shows no more.
INSERT INTO writes (key, incident_id, text, attempt, begun_at, is_open, doubt_sends, doubt_at, made_id)
SELECT 'open:' || incident_id, incident_id, '', 1, begun_at,
    CASE WHEN state = 'requested' THEN 1 ELSE 0 END,
    CASE WHEN state = 'failed' AND COALESCE(finished_at, begun_at + 150000) >= t.reached - 3600000 THEN 1 ELSE 0 END,
    CASE WHEN state = 'failed' AND COALESCE(finished_at, begun_at + 150000) >= t.reached - 3600000
        THEN COALESCE(finished_at, begun_at + 150000) END,
    CASE WHEN state = 'paged' AND joined = 0 THEN page_id END
FROM pages CROSS JOIN service_time t WHERE begun_at IS NOT NULL;

-- Whose page was about to be opened, of which region: of several alerts of one region one opens a page, and the others join
-- it. What came of it stands in `writes`, under open:<alert>; what follows is decided in `runbook::writes::opening`.
CREATE TABLE openings (
    incident_id TEXT NOT NULL PRIMARY KEY, -- the alert
    region      TEXT NOT NULL,
    run_id      TEXT,              -- in whose name; null: of an older version
    automatic   BIGINT NOT NULL,   -- 1: nobody had asked for it
    holds_right BIGINT NOT NULL,   -- 1: it was the last of its region
    begun_at    BIGINT NOT NULL    -- when it was last about to be opened
);
CREATE INDEX openings_region ON openings (region);
CREATE INDEX openings_begun ON openings (begun_at);
INSERT INTO openings (incident_id, region, run_id, automatic, holds_right, begun_at)
SELECT p.incident_id, a.region, p.run_id, CASE WHEN p.asked_by IS NULL THEN 1 ELSE 0 END, 0, p.begun_at
FROM pages p JOIN incidents i ON i.incident_id = p.incident_id JOIN alerts a ON a.id = i.alert_id
WHERE p.begun_at IS NOT NULL;
UPDATE openings SET holds_right = 1 WHERE NOT EXISTS (
    SELECT 1 FROM openings o WHERE o.region = openings.region
    AND (o.begun_at > openings.begun_at OR (o.begun_at = openings.begun_at AND o.incident_id > openings.incident_id)));

-- The one queue: runs, alerts and tasks that are to be worked on, and what one of all processes looks after: when, and who is
-- at it.
CREATE TABLE work (
    key      TEXT NOT NULL PRIMARY KEY,  -- run/…, alert/…, task/…: what it is about is in a table of its own; watch/…
    kind     TEXT NOT NULL CHECK (kind IN ('run', 'alert', 'task', 'watch')),
    due_at   BIGINT NOT NULL,
    set_at   BIGINT NOT NULL,            -- when that was decided: later than now, time has gone back, and it is due
    owner    TEXT,                       -- who holds it, as long as it has a lease in `workers`; null: nobody
    attempt  BIGINT NOT NULL DEFAULT 0,  -- raised by every claim: a writer with an older number has lost it
    building BIGINT NOT NULL DEFAULT 0,  -- 1: a build is wanted and has not ended
    has_page BIGINT NOT NULL DEFAULT 0   -- of an alert, 1: a page of it is wanted, or is to be told of: for those there are places
);
CREATE INDEX work_due ON work (kind, due_at);
CREATE INDEX work_owner ON work (owner) WHERE owner IS NOT NULL;
-- How many builds of ours run at a time is counted over those who want one: a run, or the canary, has one at a time. Who dies
-- is counted until its item is taken up and done with; an item that ends takes its build along.
CREATE INDEX work_building ON work (building) WHERE building = 1;
-- What is done in the background: looks for what shows late, and what version 0.1.0 has left to do for an alert, which is
-- taken in as it becomes due.
INSERT INTO work (key, kind, due_at, set_at, attempt)
SELECT 'task/' || id, 'task', due_at, 0, attempt FROM chores;
ALTER TABLE chores DROP COLUMN due_at;
ALTER TABLE chores DROP COLUMN owner;
ALTER TABLE chores DROP COLUMN lease_until;
ALTER TABLE chores DROP COLUMN attempt;
ALTER TABLE chores RENAME TO tasks;
INSERT INTO tasks (id, kind, incident_id, run_id, data)
SELECT 'twin:' || key, 'twin', incident_id, run_id, key FROM writes WHERE is_open = 1 AND key NOT LIKE 'open:%';
INSERT INTO tasks (id, kind, incident_id, data)
SELECT 'opening:' || key, 'opening', incident_id, '' FROM writes
WHERE key LIKE 'open:%' AND (is_open = 1 OR doubt_at IS NOT NULL);

-- Whoever held something before is gone: all of it is anybody's.
INSERT INTO work (key, kind, due_at, set_at, attempt, building)
SELECT 'run/' || id, 'run', due_at, 0, attempt, CASE WHEN EXISTS (
    SELECT 1 FROM builds b WHERE b.run_id = runs.id AND b.zone <> '' AND b.record LIKE '%"ended_at":null%') THEN 1 ELSE 0 END
FROM runs WHERE state IN ('queued', 'suppressed', 'running');
INSERT INTO work (key, kind, due_at, set_at)
SELECT 'task/' || c.id, 'task', w.begun_at + 150000, 0 FROM tasks c JOIN writes w ON w.key = c.data WHERE c.kind = 'twin';
INSERT INTO work (key, kind, due_at, set_at)
SELECT 'task/' || c.id, 'task', COALESCE(w.doubt_at, w.begun_at + 90000), 0
FROM tasks c JOIN writes w ON w.key = 'open:' || c.incident_id WHERE c.kind = 'opening';
-- A page is under way with its alert. Those that are wanted, or of whose end is to be told, are taken up at once.
INSERT INTO work (key, kind, due_at, set_at, has_page)
SELECT DISTINCT 'alert/' || i.alert_id, 'alert', 0, 0, 1 FROM pages p JOIN incidents i ON i.incident_id = p.incident_id
WHERE p.state IN ('requested', 'paged', 'failed') AND (p.state = 'requested' OR p.told = 0);

ALTER TABLE runs DROP COLUMN due_at;
ALTER TABLE runs DROP COLUMN owner;
ALTER TABLE runs DROP COLUMN lease_until;
ALTER TABLE runs DROP COLUMN attempt;
ALTER TABLE runs DROP COLUMN note_begun_at;
ALTER TABLE pages DROP COLUMN due_at;
ALTER TABLE pages DROP COLUMN owner;
ALTER TABLE pages DROP COLUMN lease_until;
ALTER TABLE pages DROP COLUMN attempt;
ALTER TABLE pages DROP COLUMN begun_at;

-- A process has one lease, under which it holds all that it has claimed.
CREATE TABLE workers (
    id          TEXT NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL
);
-- Locked by whoever counts over all and adds one: see `store::builds`.
CREATE TABLE limits (id TEXT NOT NULL PRIMARY KEY);
INSERT INTO limits (id) VALUES ('one');
-- When a page that may explain alerts was last opened or closed, as far as was heard: whoever has looked before looks again.
CREATE TABLE related_pages (
    id         TEXT NOT NULL PRIMARY KEY CHECK (id = 'one'),
    changed_at BIGINT NOT NULL
);
-- What a run has seen, each reading and each round of checks, so that a restart forgets none of it.
CREATE TABLE evidence (
    run_id TEXT NOT NULL REFERENCES runs (id),
    step   BIGINT NOT NULL,        -- the step that took it: its seq
    kind   TEXT NOT NULL,          -- reading, checks
    body   TEXT NOT NULL,
    PRIMARY KEY (run_id, step)
);
-- What was said and done about an alert, for people.
CREATE TABLE activity (
    id          TEXT NOT NULL PRIMARY KEY, -- of what is done again after a crash: the same each time
    incident_id TEXT NOT NULL,
    at          BIGINT NOT NULL,
    what        TEXT NOT NULL,
    who         TEXT               -- a person's name; null: the service itself
);
CREATE INDEX activity_incident ON activity (incident_id, at);
-- Sessions that somebody ended by signing out: kept until they would have ended by themselves, and a while longer.
CREATE TABLE ended_sessions (
    id      TEXT NOT NULL PRIMARY KEY,
    ends_at BIGINT NOT NULL
);
CREATE INDEX ended_sessions_ends ON ended_sessions (ends_at);
-- What retention looks for.
CREATE INDEX idempotency_keys_run ON idempotency_keys (run_id);

-- What lists filter by and show is a column, and each combination of filters has an index: a list reads no more rows than it
-- shows. Who looks for what is open, unfinished or old reads no more than there is of that.
ALTER TABLE runs ADD COLUMN verdict TEXT; -- the kind of its diagnosis's verdict; null: there is no diagnosis
ALTER TABLE runs ADD COLUMN rule TEXT;    -- the rule that led there; null with verdict
ALTER TABLE runs ADD COLUMN drill TEXT;   -- the id that a drill's incident goes by; null: it is no drill

-- The members of what is stored are in the order of their declaration:
-- {"region":"…","verdict":{"kind":"…","rule":"…",   and   {"id":"…",
CREATE TABLE words_of_runs (id TEXT NOT NULL PRIMARY KEY, rest TEXT NOT NULL, verdict TEXT, rule TEXT);
INSERT INTO words_of_runs (id, rest)
SELECT id, LTRIM(SUBSTR(diagnosis, 12, 400), 'abcdefghijklmnopqrstuvwxyz0123456789-') FROM runs
WHERE diagnosis LIKE '{"region":"%';
DELETE FROM words_of_runs WHERE rest NOT LIKE '","verdict":{"kind":"%","rule":"%';
UPDATE words_of_runs SET rest = SUBSTR(rest, 22);
UPDATE words_of_runs SET rest = LTRIM(rest, 'abcdefghijklmnopqrstuvwxyz_'),
    verdict = SUBSTR(rest, 1, LENGTH(rest) - LENGTH(LTRIM(rest, 'abcdefghijklmnopqrstuvwxyz_')));
DELETE FROM words_of_runs WHERE rest NOT LIKE '","rule":"%';
UPDATE words_of_runs SET rest = SUBSTR(rest, 11);
UPDATE words_of_runs SET rule = SUBSTR(rest, 1, LENGTH(rest) - LENGTH(LTRIM(rest, 'abcdefghijklmnopqrstuvwxyz-')));
UPDATE runs SET verdict = (SELECT w.verdict FROM words_of_runs w WHERE w.id = runs.id),
    rule = (SELECT w.rule FROM words_of_runs w WHERE w.id = runs.id)
WHERE id IN (SELECT id FROM words_of_runs);
DROP TABLE words_of_runs;

UPDATE runs SET drill = SUBSTR(incident, 8, LENGTH(incident) - 7 - LENGTH(LTRIM(SUBSTR(incident, 8),
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-')))
WHERE incident_id IS NULL AND incident LIKE '{"id":"%' AND LTRIM(SUBSTR(incident, 8),
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-') LIKE '"%';

-- Ids sort by time. Of states those that are final: there are few active runs, and `runs_active` has them.
CREATE INDEX runs_region ON runs (region, id);
CREATE INDEX runs_verdict ON runs (verdict, id) WHERE verdict IS NOT NULL;
CREATE INDEX runs_region_verdict ON runs (region, verdict, id) WHERE verdict IS NOT NULL;
CREATE INDEX runs_state ON runs (state, id) WHERE state IN ('done', 'failed', 'cancelled');
CREATE INDEX runs_region_state ON runs (region, state, id) WHERE state IN ('done', 'failed', 'cancelled');
CREATE INDEX runs_state_verdict ON runs (state, verdict, id)
    WHERE state IN ('done', 'failed', 'cancelled') AND verdict IS NOT NULL;
CREATE INDEX runs_region_state_verdict ON runs (region, state, verdict, id)
    WHERE state IN ('done', 'failed', 'cancelled') AND verdict IS NOT NULL;
CREATE INDEX runs_created ON runs (created_at);
CREATE INDEX runs_drill ON runs (drill) WHERE drill IS NOT NULL;
-- An alert's runs are looked for by the alert.
DROP INDEX runs_incident;

CREATE INDEX alerts_open ON alerts (incident_id) WHERE resolved_at IS NULL;
CREATE INDEX alerts_resolved ON alerts (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX pages_unfinished ON pages (incident_id) WHERE state = 'requested' OR told = 0;
CREATE INDEX pages_page ON pages (page_id) WHERE page_id IS NOT NULL;
CREATE INDEX writes_incident ON writes (incident_id);
CREATE INDEX writes_begun ON writes (COALESCE(begun_at, 0)) WHERE COALESCE(run_id, '') = '';
CREATE INDEX activity_at ON activity (at);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);
