-- A follow-up that found nothing new: it has edited the note of an earlier run, and written none.
ALTER TABLE runs ADD COLUMN unchanged_from TEXT; -- the run whose note that is; null: it was no such follow-up, or an older version's
ALTER TABLE runs ADD COLUMN unchanged_at BIGINT; -- when; null with unchanged_from
