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
SELECT w.incident_id, a.region, p.run_id, CASE WHEN p.asked_by IS NULL THEN 1 ELSE 0 END,
    CASE WHEN EXISTS (SELECT 1 FROM page_openings o WHERE o.incident_id = w.incident_id) THEN 1 ELSE 0 END, w.begun_at
FROM writes w JOIN alerts a ON a.incident_id = w.incident_id LEFT JOIN pages p ON p.incident_id = w.incident_id
WHERE w.key LIKE 'open:%' AND w.begun_at IS NOT NULL;
DROP TABLE page_openings;

-- 1: it was found open after it had been called failed or held, and that is told of.
ALTER TABLE pages ADD COLUMN after_all BIGINT NOT NULL DEFAULT 0;

-- What was sent an hour ago and more shows no more.
UPDATE writes SET doubt_sends = 0, doubt_at = NULL, doubt_there = NULL, looked_at = NULL, looked_there = NULL
WHERE key LIKE 'open:%' AND is_open = 0 AND doubt_at < (SELECT MAX(reached) FROM service_time) - 3600000;
-- What may yet show is looked for, whatever has become of its page.
INSERT INTO chores (id, kind, incident_id, data)
SELECT 'opening:' || key, 'opening', incident_id, '' FROM writes
WHERE key LIKE 'open:%' AND (is_open = 1 OR doubt_at IS NOT NULL);
INSERT INTO work (key, kind, due_at, set_at)
SELECT 'task/opening:' || key, 'task', COALESCE(doubt_at, begun_at + 90000), 0 FROM writes
WHERE key LIKE 'open:%' AND (is_open = 1 OR doubt_at IS NOT NULL);
