-- How long a run has been worked on, or waited between, while the service was up: so that none stays active for ever.
ALTER TABLE runs ADD COLUMN spent BIGINT NOT NULL DEFAULT 0; -- milliseconds
ALTER TABLE runs ADD COLUMN touched_at BIGINT;               -- when a claim was last taken or renewed; null: never

-- What retention looks for.
CREATE INDEX runs_finished ON runs (finished_at);
CREATE INDEX pages_run ON pages (run_id);
CREATE INDEX chores_run ON chores (run_id);
