-- Ids of pages that a look for what shows late makes no news of any more, a blank between them: each was told of, or was seen
-- closed beside another. By page and not by alert: of several that PagerDuty opens late each is told of.
ALTER TABLE pages ADD COLUMN no_news TEXT NOT NULL DEFAULT '';

UPDATE pages SET no_news = COALESCE(page_id, (SELECT w.made_id FROM writes w WHERE w.key = 'open:' || pages.incident_id), '')
WHERE after_all = 1;

-- Of a page that is wanted: the alert whose page may still be opened late, for which it waits; null: for none.
ALTER TABLE pages ADD COLUMN waits_for TEXT;
