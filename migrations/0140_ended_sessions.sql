-- Sessions that somebody ended by signing out: kept until they would have ended by themselves, and a while longer.
CREATE TABLE ended_sessions (
    id      TEXT NOT NULL PRIMARY KEY,
    ends_at BIGINT NOT NULL
);
CREATE INDEX ended_sessions_ends ON ended_sessions (ends_at);
