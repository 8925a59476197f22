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
