-- A start frees what a dead process held: that must not read all that ever ran.
CREATE INDEX runs_leased ON runs (lease_until) WHERE lease_until <> 0;
CREATE INDEX pages_leased ON pages (lease_until) WHERE lease_until <> 0;
CREATE INDEX chores_leased ON chores (lease_until) WHERE lease_until <> 0;
-- What retention looks for.
CREATE INDEX idempotency_keys_run ON idempotency_keys (run_id);
