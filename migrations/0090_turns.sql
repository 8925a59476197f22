-- Requests to PagerDuty granted to the processes that share this database: its limit is one for all of them.
CREATE TABLE turns (
    slot  BIGINT NOT NULL PRIMARY KEY, -- ten seconds each, counted from 1970
    taken BIGINT NOT NULL
);
