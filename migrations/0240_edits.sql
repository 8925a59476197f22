-- Edits of diagnosis notes go by the ledger of writes too: one row, edit:<run>, whose text is the newest that was wanted.
ALTER TABLE writes ADD COLUMN fact TEXT; -- of an edit: what its short note is told by where it is refused; null: there is none

-- What the version before was about to tell by an edit is told by the task of those.
INSERT INTO chores (id, kind, incident_id, run_id, data)
SELECT 'edit:' || run_id, 'edit', MIN(incident_id), run_id, '' FROM chores
WHERE kind = 'retell' AND run_id IS NOT NULL GROUP BY run_id;
INSERT INTO work (key, kind, due_at, set_at) SELECT 'task/' || id, 'task', 0, 0 FROM chores WHERE kind = 'edit';
DELETE FROM work WHERE key LIKE 'task/retell:%';
DELETE FROM chores WHERE kind = 'retell';
