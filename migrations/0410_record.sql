-- What was seen and decided outlives the run that saw it: it is kept for EVIDENCE_RETENTION, for the timeline, replay and backtest.

-- What was said and done about an alert, and now what was concluded too.
ALTER TABLE activity RENAME TO record;
ALTER TABLE record RENAME COLUMN what TO text;
ALTER TABLE record ADD COLUMN source TEXT NOT NULL DEFAULT 'service'; -- who knows of it: see runbook::record
ALTER TABLE record ADD COLUMN kind TEXT NOT NULL DEFAULT 'other';     -- what it tells
ALTER TABLE record ADD COLUMN url TEXT;
ALTER TABLE record ADD COLUMN run_id TEXT;      -- the run that it is about; null: the alert
ALTER TABLE record ADD COLUMN alert_id TEXT;    -- whose it is, also once the alert is pruned; null: nobody knew the alert then
ALTER TABLE record ADD COLUMN data TEXT;        -- of a verdict its class, of a page its incident; null: nothing more
UPDATE record SET alert_id = (SELECT alert_id FROM incidents i WHERE i.incident_id = record.incident_id);
UPDATE record SET kind = 'edit' WHERE text LIKE 'edited the diagnosis note: %';
UPDATE record SET kind = 'note' WHERE text LIKE 'wrote: %';
UPDATE record SET kind = 'acknowledged' WHERE text = 'acknowledged the page';
UPDATE record SET kind = 'page' WHERE text LIKE 'paged Cloud Service Endpoint: %' OR text LIKE 'joined an open page: %'
    OR text LIKE 'nobody was paged, %' OR text = 'found that PagerDuty had opened the page after all';
UPDATE record SET kind = 'command' WHERE text LIKE '/%' OR text = 'asked to page Cloud Service Endpoint';
DROP INDEX activity_incident;
DROP INDEX activity_at;
CREATE INDEX record_incident ON record (incident_id, at);
CREATE INDEX record_alert ON record (alert_id, at) WHERE alert_id IS NOT NULL;
CREATE INDEX record_at ON record (at);

-- Each reading and each round of checks, whatever becomes of the run.
ALTER TABLE evidence RENAME TO evidence_before;
CREATE TABLE evidence (
    run_id      TEXT NOT NULL,
    step        BIGINT NOT NULL,   -- the step that took it: its seq
    kind        TEXT NOT NULL,     -- reading, checks
    body        TEXT NOT NULL,
    incident_id TEXT,              -- the run's alert then; null: a run by region, a drill
    region      TEXT NOT NULL,
    at          BIGINT NOT NULL,   -- when it was kept
    PRIMARY KEY (run_id, step)
);
INSERT INTO evidence (run_id, step, kind, body, incident_id, region, at)
SELECT e.run_id, e.step, e.kind, e.body, r.incident_id, r.region, COALESCE(s.finished_at, s.started_at, r.created_at)
FROM evidence_before e JOIN runs r ON r.id = e.run_id LEFT JOIN steps s ON s.run_id = e.run_id AND s.seq = e.step;
DROP TABLE evidence_before;
CREATE INDEX evidence_incident ON evidence (incident_id, at) WHERE incident_id IS NOT NULL;
CREATE INDEX evidence_at ON evidence (at);

-- The log of inputs: each decision about an alert with all that it was decided by. For people and for replay; nothing that is
-- decided reads it.
CREATE TABLE decisions (
    id       TEXT NOT NULL PRIMARY KEY,
    alert_id TEXT,                       -- null: a run by region, a drill
    run_id   TEXT,                       -- null: it was decided beside the runs
    at       BIGINT NOT NULL,
    body     TEXT NOT NULL               -- runbook::decided
);
CREATE INDEX decisions_alert ON decisions (alert_id, at, id) WHERE alert_id IS NOT NULL;
CREATE INDEX decisions_run ON decisions (run_id, at, id) WHERE run_id IS NOT NULL;
CREATE INDEX decisions_at ON decisions (at);
