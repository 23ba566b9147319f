-- What concerns a job's file, not its content: how it is opened, and what it is.

-- name: configure_owner
-- A run's connection. NORMAL: a commit survives the process (power loss may undo the last ones,
-- never tear one). Never memory-mapped: a file cut off under a mapping kills the process.
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -4000;
PRAGMA temp_store = MEMORY;
PRAGMA mmap_size = 0;
PRAGMA wal_autocheckpoint = 4000;
PRAGMA journal_size_limit = 33554432;

-- name: durable
-- RESUME_DURABILITY = "full": every commit is synced to the disk.
PRAGMA synchronous = FULL;

-- name: not_durable
-- After a single commit that had to be synced.
PRAGMA synchronous = NORMAL;

-- name: configure_creator
-- A new job's file, until it has its name.
PRAGMA journal_mode = DELETE;
PRAGMA synchronous = FULL;

-- name: use_wal
-- The last step of the creation. A later one would need the file for itself, without readers.
PRAGMA journal_mode = WAL;

-- name: configure_reader
-- Readers cannot write, and never wait for a writer.
PRAGMA query_only = ON;
PRAGMA cache_size = -4000;
PRAGMA temp_store = MEMORY;
PRAGMA mmap_size = 0;

-- name: application_id
-- Tells a job's file from another program's database.
PRAGMA application_id;

-- name: schema
-- All that the file defines.
SELECT type, name, sql FROM sqlite_master;

-- name: distrust
-- The schema may be somebody else's: it may call harmless functions only.
PRAGMA trusted_schema = OFF;

-- name: json_view
-- Fails after ``distrust`` where SQLite takes its JSON functions for harmful, which views call.
CREATE VIEW probe AS SELECT json_extract('{}', '$.a') AS a;

-- name: read_json_view
-- The second half of the probe.
SELECT a FROM probe;

-- name: schema_version
-- The version of the schema, as the last migration left it.
PRAGMA user_version;

-- name: page_count
-- How many pages the database has, those in the WAL included.
PRAGMA page_count;

-- name: page_size
-- Bytes of a page.
PRAGMA page_size;

-- name: begin
-- Acquires the write lock at once: what the transaction reads stays true until it commits.
BEGIN IMMEDIATE;

-- name: commit
-- Commits the transaction.
COMMIT;

-- name: rollback
-- Rolls the transaction back.
ROLLBACK;

-- name: checkpoint
-- Moves everything into the main file and empties the WAL, so that a job at rest is one file.
PRAGMA wal_checkpoint(TRUNCATE);

-- name: busy_little
-- Before the checkpoint at close: a reader must not delay the end of a crawl.
PRAGMA busy_timeout = 250;

-- name: needs_json
-- Fails where SQLite was built without JSON functions.
SELECT value FROM json_each('[1]');

-- name: job_name
-- The real name of a job whose file name had to be cut.
SELECT name FROM job;

-- name: configure_sender
-- The connection of a command that writes an order to the live owner, which does the checkpoints.
PRAGMA synchronous = NORMAL;
PRAGMA mmap_size = 0;
PRAGMA wal_autocheckpoint = 0;

-- name: job_key
-- The key of the job.
SELECT name, number FROM job;

-- name: commits
-- How many commits the job has: of two states of a file, the one with fewer is the older one.
SELECT commits FROM job;

-- name: quick_check
-- Whether the pages of a copy are whole: one row with 'ok'.
PRAGMA quick_check(1);

-- name: use_no_wal
-- The last step of a backup: one file, that can be read from where nothing can be written.
PRAGMA journal_mode = DELETE;

-- name: begin_reading
-- Begins a snapshot: all that is read from here on is of one moment.
BEGIN;
