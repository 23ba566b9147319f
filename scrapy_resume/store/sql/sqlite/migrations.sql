-- How migrations are applied; the migrations themselves are in migrations/.

-- name: begin_migration
-- One transaction for a migration and its record.
BEGIN IMMEDIATE;

-- name: record_version
-- Notes a version, with the time at which the file got it.
INSERT INTO migration (version, applied_at) VALUES (?, ?);

-- name: commit_migration
-- From here on the file has the new version.
COMMIT;

-- name: rollback_migration
-- Something went wrong: the file stays as it was.
ROLLBACK;
