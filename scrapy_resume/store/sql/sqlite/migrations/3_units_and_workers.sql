-- Progress and rates by named unit, the last finished page of a run, and the workers as a view.
ALTER TABLE run ADD COLUMN units INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN unit_pages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN named_pages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN cursor INTEGER;
ALTER TABLE run ADD COLUMN silent_after REAL NOT NULL DEFAULT 30;

-- A name of a unit has a negative number.
ALTER TABLE unit_tally ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
UPDATE unit_tally SET named = (
    SELECT count(*) FROM unit_count AS c WHERE c.state = unit_tally.state AND c.unit < 0
);

CREATE VIEW workers AS
SELECT
    number AS run,
    worker,
    status,
    strftime('%Y-%m-%dT%H:%M:%SZ', started_at, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', beat_at, 'unixepoch') AS heartbeat_at,
    round(max((julianday('now') - 2440587.5) * 86400.0 - beat_at, 0.0), 1) AS silent_seconds,
    (julianday('now') - 2440587.5) * 86400.0 - beat_at > silent_after AS stale,
    pages,
    items,
    units
FROM run
WHERE ended_at IS NULL AND status = 'running';

PRAGMA user_version = 3;
