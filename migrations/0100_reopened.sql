-- An alert that is reopened while its run is active: a run that had seen it resolved by then is followed by another.
ALTER TABLE runs ADD COLUMN reopened_at BIGINT; -- by PagerDuty's clock, last; null: it was not
