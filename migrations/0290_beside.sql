-- What is under way for an alert beside its runs is one text of its own, and one item of the queue: alert/<id>. What an older
-- version has left in `chores` is taken in as it becomes due.
ALTER TABLE alerts ADD COLUMN beside TEXT NOT NULL DEFAULT '';              -- empty: nothing is under way
ALTER TABLE alerts ADD COLUMN beside_version BIGINT NOT NULL DEFAULT 0;     -- raised by each change
ALTER TABLE alerts ADD COLUMN waits_for_related BIGINT NOT NULL DEFAULT 0;  -- 1: pages that explain it are to close first
CREATE INDEX alerts_wait ON alerts (id) WHERE waits_for_related = 1;

-- When a page that may explain alerts was last opened or closed, as far as was heard: whoever has looked before looks again.
CREATE TABLE related_pages (
    id         TEXT NOT NULL PRIMARY KEY CHECK (id = 'one'),
    changed_at BIGINT NOT NULL
);

-- The table is made again, since the words that it takes can't be changed in place everywhere. It is renamed first, so that
-- what others are still writing has arrived, or fails, before it is copied.
ALTER TABLE work RENAME TO work_before;
CREATE TABLE work (
    key      TEXT NOT NULL PRIMARY KEY,  -- run/…, page/…, alert/…, task/…: what it is about is in a table of its own; watch/…
    kind     TEXT NOT NULL CHECK (kind IN ('run', 'page', 'alert', 'task', 'watch')),
    due_at   BIGINT NOT NULL,
    set_at   BIGINT NOT NULL,            -- when that was decided: later than now, time has gone back, and it is due
    owner    TEXT,                       -- who holds it, as long as it has a lease in `workers`; null: nobody
    attempt  BIGINT NOT NULL DEFAULT 0,  -- raised by every claim: a writer with an older number has lost it
    building BIGINT NOT NULL DEFAULT 0   -- 1: a build is wanted and has not ended
);
INSERT INTO work (key, kind, due_at, set_at, owner, attempt, building)
    SELECT key, kind, due_at, set_at, owner, attempt, building FROM work_before;
DROP TABLE work_before;
CREATE INDEX work_due ON work (kind, due_at);
CREATE INDEX work_owner ON work (owner) WHERE owner IS NOT NULL;
CREATE INDEX work_building ON work (building) WHERE building = 1;
