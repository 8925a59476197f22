-- What one process does for all that share the database: looking for alerts that no webhook told of.
CREATE TABLE roles (
    name        TEXT NOT NULL PRIMARY KEY,
    owner       TEXT NOT NULL,
    lease_until BIGINT NOT NULL
);
