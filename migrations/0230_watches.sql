-- What one of all processes looks after is work too: an item of the queue that never ends. The table is made again, since
-- the words that it takes can't be changed in place everywhere. It is renamed first, so that what others are still writing
-- has arrived, or fails, before it is copied.
ALTER TABLE work RENAME TO work_before;
CREATE TABLE work (
    key     TEXT NOT NULL PRIMARY KEY,   -- run/…, page/…, task/…: what it is about is in a table of its own; watch/…
    kind    TEXT NOT NULL CHECK (kind IN ('run', 'page', 'task', 'watch')),
    due_at  BIGINT NOT NULL,
    set_at  BIGINT NOT NULL,             -- when that was decided: later than now, time has gone back, and it is due
    owner   TEXT,                        -- who holds it, as long as it has a lease in `workers`; null: nobody
    attempt BIGINT NOT NULL DEFAULT 0    -- raised by every claim: a writer with an older number has lost it
);
INSERT INTO work (key, kind, due_at, set_at, owner, attempt)
    SELECT key, kind, due_at, set_at, owner, attempt FROM work_before;
DROP TABLE work_before;
CREATE INDEX work_due ON work (kind, due_at);
CREATE INDEX work_owner ON work (owner) WHERE owner IS NOT NULL;
