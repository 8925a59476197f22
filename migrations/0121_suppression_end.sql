-- When a run's suppression ended, by itself or at a person's word: its early word is due by then. Null: it has none, or it
-- goes on.
ALTER TABLE runs ADD COLUMN suppression_ended_at BIGINT;
