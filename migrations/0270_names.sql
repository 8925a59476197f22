-- An alert has an id of its own, and the incidents that it is, or was, in PagerDuty are its names: what was merged is one row.
ALTER TABLE alerts RENAME TO alerts_before;
CREATE TABLE alerts (
    id           TEXT NOT NULL PRIMARY KEY, -- ours; of an older alert it is its incident's
    incident_id  TEXT NOT NULL,    -- its newest name: where its notes go, and what its page's key is made of
    region       TEXT NOT NULL,    -- remembered, whatever the title becomes
    triggered_at BIGINT,           -- last triggered or reopened, by PagerDuty's clock; null: not known
    resolved_at  BIGINT,           -- by PagerDuty's clock; null: open, as far as is known
    held_by      TEXT,             -- who said /hold; null: nobody, or it is over
    follow_ups   BIGINT NOT NULL DEFAULT 0 -- made since its last webhook or command
);
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

-- Whose run it is; null: that of a region. `incident_id` stays: where its note stands, or goes.
ALTER TABLE runs ADD COLUMN alert_id TEXT;
UPDATE runs SET alert_id = (SELECT alert_id FROM incidents i WHERE i.incident_id = runs.incident_id)
WHERE incident_id IS NOT NULL;
DROP INDEX runs_one_active;
-- Of two that were active since a merge the one goes on that runs under the alert's newest name.
UPDATE runs SET state = 'cancelled', finished_at = COALESCE(touched_at, created_at),
    reason = 'the alert was merged into another, which has a run'
WHERE alert_id IS NOT NULL AND state IN ('queued', 'suppressed', 'running') AND EXISTS (
    SELECT 1 FROM runs o JOIN alerts a ON a.id = o.alert_id
    WHERE o.alert_id = runs.alert_id AND o.id <> runs.id AND o.state IN ('queued', 'suppressed', 'running')
    AND (o.incident_id = a.incident_id OR (runs.incident_id <> a.incident_id AND o.id > runs.id)));
DELETE FROM work WHERE kind = 'run' AND key IN (SELECT 'run/' || id FROM runs WHERE state = 'cancelled');
UPDATE steps SET state = 'interrupted'
WHERE state = 'running' AND run_id IN (SELECT id FROM runs WHERE state = 'cancelled');
CREATE UNIQUE INDEX runs_one_active ON runs (alert_id)
    WHERE alert_id IS NOT NULL AND state IN ('queued', 'suppressed', 'running');
CREATE INDEX runs_alert ON runs (alert_id, id);
