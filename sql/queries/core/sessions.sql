-- name: try_lock
-- Whether this transaction may do a kind of work that one process does at a time.
--   $1 name of the work
SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0));

-- name: is_read_only
-- Whether Postgres takes no changes from this session: a standby, or write-protected.
SELECT current_setting('transaction_read_only')::bool;

-- name: prepared_statement_names
-- The names of the statements that are prepared in this session.
SELECT name
  FROM pg_prepared_statements;
