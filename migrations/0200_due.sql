-- What is due next is looked for without reading all pages that ever were.
CREATE INDEX pages_due ON pages (due_at) WHERE state = 'requested' OR told = 0;
