-- Who opens a page for a region, or was the last to: of several alerts of one region at one time one opens a page, and the
-- others join it. PagerDuty's lists show a new page only after a while, so it can't be asked.
CREATE TABLE page_openings (
    region      TEXT NOT NULL PRIMARY KEY, -- the primary key is the promise
    incident_id TEXT NOT NULL,     -- the alert; what became of its page stands in `pages`
    begun_at    BIGINT NOT NULL    -- when it was last about to open one
);
-- Since when it is tried to open or join it, over all workers; null: not tried yet.
ALTER TABLE pages ADD COLUMN tried_since BIGINT;
-- A note on the page that is joined was about to be written then; null: never.
ALTER TABLE pages ADD COLUMN join_begun_at BIGINT;
-- The same of a page that was held for its old evidence, once that is taken again; null: there was none.
ALTER TABLE runs ADD COLUMN page_tried_since BIGINT;
