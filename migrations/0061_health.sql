-- One row that is written again and again, so that a full disk is noticed before a webhook meets it.
CREATE TABLE health (
    id      TEXT NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    padding TEXT NOT NULL          -- as long as a small webhook
);
