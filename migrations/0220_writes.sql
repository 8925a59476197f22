-- The ledger of writes that have no idempotency key: each is recorded before it is sent, and what came of it at once. What
-- follows from a row is decided in `runbook::writes`.
CREATE TABLE writes (
    key          TEXT NOT NULL PRIMARY KEY, -- what it is for, such as note:<run>: it is written once
    incident_id  TEXT NOT NULL,     -- where it was last to be written
    run_id       TEXT,              -- the run whose diagnosis note it is; null: another note
    text         TEXT NOT NULL,     -- as first wanted, where it is found by that; else empty
    attempt      BIGINT NOT NULL DEFAULT 0, -- how often it was about to be sent: whoever saw less must not send it
    begun_at     BIGINT,            -- when it was last about to be sent; null: never
    is_open      BIGINT NOT NULL DEFAULT 0, -- 1: what came of that is not recorded
    doubt_sends  BIGINT NOT NULL DEFAULT 0, -- sends that may be done and have not shown
    doubt_at     BIGINT,            -- when the last of them was sent at the latest; null: none is in doubt
    doubt_there  BIGINT,            -- the same by PagerDuty's clock; null: not known
    looked_at    BIGINT,            -- when the last look for them began; null: none did
    looked_there BIGINT,
    made_id      TEXT               -- the note's id; null: not written, or not known to be
);
CREATE INDEX writes_run ON writes (run_id);

-- What the version before was about to write is in doubt: a write takes 150 s at most.
INSERT INTO writes (key, incident_id, run_id, text, attempt, begun_at, is_open, made_id)
SELECT 'note:' || id, COALESCE(incident_id, ''), id, '', 1, note_begun_at,
    CASE WHEN note_id IS NULL THEN 1 ELSE 0 END, note_id
FROM runs WHERE note_begun_at IS NOT NULL OR note_id IS NOT NULL;
INSERT INTO writes (key, incident_id, text, attempt, begun_at, is_open, made_id)
SELECT key, incident_id, text, CASE WHEN begun_at IS NULL THEN 0 ELSE 1 END, begun_at,
    CASE WHEN begun_at IS NOT NULL AND note_id IS NULL THEN 1 ELSE 0 END, note_id
FROM short_notes;
-- A twin that was looked for is looked for again.
UPDATE writes SET doubt_sends = 1, doubt_at = begun_at + 150000
WHERE begun_at IS NOT NULL AND EXISTS (SELECT 1 FROM chores
    WHERE chores.kind = 'twin' AND (chores.run_id = writes.run_id OR chores.data LIKE '{"short":"' || writes.key || '"%'));
DELETE FROM work WHERE key LIKE 'task/twin:%';
DELETE FROM chores WHERE kind = 'twin';
INSERT INTO chores (id, kind, incident_id, run_id, data)
SELECT 'twin:' || key, 'twin', incident_id, run_id, key FROM writes WHERE is_open = 1 OR doubt_at IS NOT NULL;
INSERT INTO work (key, kind, due_at, set_at)
SELECT 'task/twin:' || key, 'task', begun_at + 150000, 0 FROM writes WHERE is_open = 1 OR doubt_at IS NOT NULL;

DROP TABLE short_notes;
ALTER TABLE runs DROP COLUMN note_begun_at;
ALTER TABLE pages DROP COLUMN join_begun_at;
