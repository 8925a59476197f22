-- A page is under way with its alert: it has no item of the queue of its own any more. What its row says stays as it is, and the
-- alerts of those that are wanted, or of whose end is to be told, take them up at once.

-- The table is made again, since the words that it takes can't be changed in place everywhere. It is renamed first, so that
-- what others are still writing has arrived, or fails, before it is copied and before their pages are looked for.
ALTER TABLE work RENAME TO work_before;
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
INSERT INTO work (key, kind, due_at, set_at, owner, attempt, building)
    SELECT key, kind, due_at, set_at, owner, attempt, building FROM work_before WHERE kind <> 'page';
DROP TABLE work_before;
CREATE INDEX work_due ON work (kind, due_at);
CREATE INDEX work_owner ON work (owner) WHERE owner IS NOT NULL;
CREATE INDEX work_building ON work (building) WHERE building = 1;

INSERT INTO work (key, kind, due_at, set_at, has_page)
    SELECT DISTINCT 'alert/' || i.alert_id, 'alert', 0, 0, 1 FROM pages p JOIN incidents i ON i.incident_id = p.incident_id
    WHERE p.state IN ('requested', 'paged', 'failed') AND (p.state = 'requested' OR p.told = 0)
    ON CONFLICT (key) DO UPDATE SET due_at = excluded.due_at, set_at = excluded.set_at, has_page = 1;

-- Raised by whatever comes, and not by who works on the alert: what was seen before says nothing of that.
ALTER TABLE alerts ADD COLUMN news BIGINT NOT NULL DEFAULT 0;
