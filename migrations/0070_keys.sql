-- Keys that this service made for itself, such as the one that signs links; all replicas use the same.
CREATE TABLE keys (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
