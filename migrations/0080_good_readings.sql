-- The last good reading of each region, complete and every box 1:1: what a diagnosis is compared with.
CREATE TABLE good_readings (
    region    TEXT NOT NULL PRIMARY KEY,
    at        BIGINT NOT NULL,     -- when its build ended
    build_url TEXT,                -- null: not known
    boxes     TEXT NOT NULL        -- the region's, as they were
);

-- The reading that is taken every now and then without an alert. One row, for all that share the database.
CREATE TABLE canary (
    id        TEXT NOT NULL PRIMARY KEY,
    due_at    BIGINT NOT NULL,     -- when the next one begins; set when one is begun, so that no restart repeats it
    begun_at  BIGINT,              -- when the one that goes on was begun; null: none does
    region    TEXT,                -- the last one that the job was asked for; null: none yet
    builds    TEXT NOT NULL DEFAULT '[]', -- what the one that goes on has asked Jenkins for
    outcome   TEXT,                -- of the last: good, not_good, incomplete, failed; null: there was none
    good_at   BIGINT               -- when the last good one ended; null: never
);
