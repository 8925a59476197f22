-- Opening a page goes by the ledger of writes too: one row, open:<alert>. The row of `pages` is what people and limits see.
INSERT INTO writes (key, incident_id, text, attempt, begun_at, is_open, doubt_sends, doubt_at, made_id)
SELECT 'open:' || incident_id, incident_id, '', 1, begun_at,
    CASE WHEN state = 'requested' THEN 1 ELSE 0 END,
    CASE WHEN state NOT IN ('requested', 'paged') THEN 1 ELSE 0 END,
    CASE WHEN state NOT IN ('requested', 'paged') THEN COALESCE(finished_at, begun_at + 150000) END,
    CASE WHEN state = 'paged' AND joined = 0 THEN page_id END
FROM pages WHERE begun_at IS NOT NULL;

ALTER TABLE pages DROP COLUMN begun_at;
