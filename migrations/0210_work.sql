-- The one queue: runs, pages and tasks that are to be worked on, when, and who is at it.
CREATE TABLE work (
    key     TEXT NOT NULL PRIMARY KEY,   -- run/…, page/…, task/…: what it is about is in a table of its own
    kind    TEXT NOT NULL CHECK (kind IN ('run', 'page', 'task')),
    due_at  BIGINT NOT NULL,
    set_at  BIGINT NOT NULL,             -- when that was decided: later than now, time has gone back, and it is due
    owner   TEXT,                        -- who holds it, as long as it has a lease in `workers`; null: nobody
    attempt BIGINT NOT NULL DEFAULT 0    -- raised by every claim: a writer with an older number has lost it
);
CREATE INDEX work_due ON work (kind, due_at);
CREATE INDEX work_owner ON work (owner) WHERE owner IS NOT NULL;

-- A process has one lease, under which it holds all that it has claimed.
CREATE TABLE workers (
    id          TEXT NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL
);

-- Whoever held something before this version is gone: all of it is anybody's.
INSERT INTO work (key, kind, due_at, set_at, attempt)
    SELECT 'run/' || id, 'run', due_at, 0, attempt FROM runs WHERE state IN ('queued', 'suppressed', 'running');
INSERT INTO work (key, kind, due_at, set_at, attempt)
    SELECT 'page/' || incident_id, 'page', due_at, 0, attempt FROM pages
    WHERE (state = 'requested' OR told = 0) AND state IN ('requested', 'paged', 'failed');
INSERT INTO work (key, kind, due_at, set_at, attempt)
    SELECT 'task/' || id, 'task', due_at, 0, attempt FROM chores;

DROP INDEX runs_due;
DROP INDEX pages_due;
DROP INDEX runs_leased;
DROP INDEX pages_leased;
DROP INDEX chores_leased;
DROP INDEX chores_due;
ALTER TABLE runs DROP COLUMN due_at;
ALTER TABLE runs DROP COLUMN owner;
ALTER TABLE runs DROP COLUMN lease_until;
ALTER TABLE runs DROP COLUMN attempt;
ALTER TABLE pages DROP COLUMN due_at;
ALTER TABLE pages DROP COLUMN owner;
ALTER TABLE pages DROP COLUMN lease_until;
ALTER TABLE pages DROP COLUMN attempt;
ALTER TABLE chores DROP COLUMN due_at;
ALTER TABLE chores DROP COLUMN owner;
ALTER TABLE chores DROP COLUMN lease_until;
ALTER TABLE chores DROP COLUMN attempt;
CREATE INDEX runs_active ON runs (state) WHERE state IN ('queued', 'suppressed', 'running');
