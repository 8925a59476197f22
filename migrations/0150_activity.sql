-- What was said and done about an alert, for people.
CREATE TABLE activity (
    id          TEXT NOT NULL PRIMARY KEY, -- of what is done again after a crash: the same each time
    incident_id TEXT NOT NULL,
    at          BIGINT NOT NULL,
    what        TEXT NOT NULL,
    who         TEXT               -- a person's name; null: the service itself
);
CREATE INDEX activity_incident ON activity (incident_id, at);
-- The diagnosis note as it stands on the incident, after edits.
ALTER TABLE runs ADD COLUMN note_text TEXT;      -- null: no note, or one of an older version
ALTER TABLE runs ADD COLUMN diagnosed_at BIGINT; -- when a diagnosis was first kept; null: none is, or an older version kept it
