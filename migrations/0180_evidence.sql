-- What a run has seen, each reading and each round of checks, so that a restart forgets none of it.
CREATE TABLE evidence (
    run_id TEXT NOT NULL REFERENCES runs (id),
    step   BIGINT NOT NULL,        -- the step that took it: its seq
    kind   TEXT NOT NULL,          -- reading, checks
    body   TEXT NOT NULL,
    PRIMARY KEY (run_id, step)
);
