-- How many builds of ours run at a time is counted over those who want one: a run, or the canary, has one at a time. Who dies
-- is counted until its item is taken up and done with; an item that ends takes its build along.
ALTER TABLE work ADD COLUMN building BIGINT NOT NULL DEFAULT 0; -- 1: a build is wanted and has not ended
UPDATE work SET building = 1 WHERE key IN
    (SELECT 'run/' || run_id FROM builds WHERE zone <> '' AND record LIKE '%"ended_at":null%');
CREATE INDEX work_building ON work (building) WHERE building = 1;

-- Locked by whoever counts over all and adds one: see `store::builds`.
CREATE TABLE limits (id TEXT NOT NULL PRIMARY KEY);
INSERT INTO limits (id) VALUES ('one');

-- A replica of the version before finds no roles any more: it has no place for a build, and looks after nothing. That is
-- this version's.
DROP TABLE roles;
