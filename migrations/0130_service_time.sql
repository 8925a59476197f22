-- How far service time has come, which never goes back: by what is written already, so that a clock that went back at this
-- very start makes nothing wait.
CREATE TABLE service_time (
    id      TEXT NOT NULL PRIMARY KEY,
    reached BIGINT NOT NULL            -- milliseconds since 1970
);
INSERT INTO service_time (id, reached)
SELECT 'one', MAX(at) FROM (
    SELECT at FROM health UNION ALL SELECT created_at FROM runs UNION ALL SELECT received_at FROM events
) AS written HAVING MAX(at) IS NOT NULL;
