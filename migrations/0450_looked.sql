-- When the last look for open alerts in PagerDuty succeeded, whichever process took it: one row, for all that share the database.
CREATE TABLE reconciled (
    id TEXT PRIMARY KEY NOT NULL CHECK (id = 'one'),
    at BIGINT NOT NULL
);
