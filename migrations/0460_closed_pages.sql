-- When a page was seen resolved while its alert was open: nobody needs to acknowledge it any more.
ALTER TABLE pages ADD COLUMN closed_at BIGINT;
