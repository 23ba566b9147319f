-- Units with their counts: what there is so far is counted once.
PRAGMA user_version = 2;

-- What has become of the requests of each unit; kept by every commit.
CREATE TABLE unit_count (
    unit INTEGER PRIMARY KEY,            -- as in request
    state INTEGER,                       -- 0 in_progress, 1 failed, 2 partial, 3 parked, 4 pending,
                                         -- 5 completed; NULL: it has no requests
    open INTEGER NOT NULL,
    done INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    parked INTEGER NOT NULL,
    ignored INTEGER NOT NULL,
    items INTEGER NOT NULL,
    items_failed INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    first_at REAL,                       -- when the first, and the last, of them ended
    last_at REAL,
    cursor INTEGER,                      -- the request that was done last
    error TEXT,                          -- of the one that failed, or was parked, last
    error_message TEXT
);
CREATE INDEX unit_count_state ON unit_count (state, abs(unit));

-- How many units are in each state.
CREATE TABLE unit_tally (
    state INTEGER PRIMARY KEY,
    units INTEGER NOT NULL
);

INSERT INTO unit_count (
    unit, open, done, failed, parked, ignored, items, items_failed, attempts, first_at, last_at
)
SELECT
    unit, sum(state IN (0, 1)), sum(state = 2), sum(state = 3), sum(state = 4), sum(state = 5),
    sum(items), sum(items_failed), sum(attempts),
    min(CASE WHEN state > 1 THEN updated_at END), max(CASE WHEN state > 1 THEN updated_at END)
FROM request WHERE kind = 0 GROUP BY unit;

-- The request that was done last, and the one that failed, or was parked, last. (Of a bare column
-- beside max(), SQLite takes the value of the row that has the maximum.)
UPDATE unit_count SET cursor = t.id
FROM (
    SELECT unit, id, max(updated_at) FROM request WHERE kind = 0 AND state = 2 GROUP BY unit
) AS t
WHERE t.unit = unit_count.unit;

UPDATE unit_count SET error = t.error, error_message = t.error_message
FROM (
    SELECT unit, error, error_message, max(updated_at) FROM request
    WHERE kind = 0 AND state IN (3, 4) GROUP BY unit
) AS t
WHERE t.unit = unit_count.unit;

UPDATE unit_count SET state = CASE
    WHEN open > 0 AND done + failed + ignored > 0 THEN 0
    WHEN open > 0 THEN 4
    WHEN done > 0 AND (failed > 0 OR parked > 0 OR items_failed > 0) THEN 2
    WHEN failed > 0 THEN 1
    WHEN parked > 0 THEN 3
    ELSE 5
END;

INSERT INTO unit_tally (state, units)
SELECT s.value, (SELECT count(*) FROM unit_count WHERE state = s.value)
FROM json_each('[0, 1, 2, 3, 4, 5]') AS s;

CREATE VIEW units AS
SELECT
    c.unit AS id,
    coalesce(n.name, root.url) AS unit,
    CASE c.state
        WHEN 0 THEN 'in_progress' WHEN 1 THEN 'failed' WHEN 2 THEN 'partial'
        WHEN 3 THEN 'parked' WHEN 4 THEN 'pending' ELSE 'completed'
    END AS state,
    c.open,
    c.done,
    c.failed,
    c.parked,
    c.ignored,
    c.items,
    c.items_failed,
    c.attempts,
    c.error,
    c.error_message,
    strftime('%Y-%m-%dT%H:%M:%SZ', c.first_at, 'unixepoch') AS first_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', c.last_at, 'unixepoch') AS last_at,
    last.url AS cursor
FROM unit_count AS c
LEFT JOIN unit AS n ON n.id = -c.unit
LEFT JOIN request AS root ON root.id = c.unit
LEFT JOIN request AS last ON last.id = c.cursor
WHERE c.state IS NOT NULL;
