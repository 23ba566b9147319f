-- What commands tell a live crawl, how a crawl was started, what earlier numbers of a job gave,
-- and when a request failed first.
PRAGMA user_version = 5;

ALTER TABLE job ADD COLUMN launch TEXT;
ALTER TABLE job ADD COLUMN delta INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN keeps_given INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN tried_again_at REAL;
ALTER TABLE request ADD COLUMN given_head INTEGER;
ALTER TABLE request ADD COLUMN given_tail BLOB;

-- All that anybody but the owner writes while there is one. Rows of another epoch are nobody's,
-- and go with the next opening.
CREATE TABLE control (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch INTEGER NOT NULL,
    verb TEXT NOT NULL,                  -- stop, retry, park
    body TEXT NOT NULL,                  -- JSON
    created_at REAL NOT NULL,
    answer TEXT                          -- JSON; NULL: not taken up yet
);

-- Keys of requests that gave items in earlier numbers of the job.
CREATE TABLE given (
    head INTEGER NOT NULL,
    tail BLOB NOT NULL,
    PRIMARY KEY (head, tail)
) WITHOUT ROWID;

DROP VIEW requests;
CREATE VIEW requests AS
SELECT
    r.id,
    r.url,
    coalesce(json_extract(r.payload, '$.method'), 'GET') AS method,
    CASE r.state
        WHEN 0 THEN 'pending' WHEN 1 THEN 'leased' WHEN 2 THEN 'done'
        WHEN 3 THEN 'failed' WHEN 4 THEN 'parked' ELSE 'ignored'
    END AS state,
    r.priority,
    r.depth,
    coalesce(json_extract(r.payload, '$.callback'), 'parse') AS callback,
    r.attempts,
    r.crashes,
    r.http_status,
    r.error,
    r.error_message,
    CASE WHEN r.not_before > 0
        THEN strftime('%Y-%m-%dT%H:%M:%SZ', r.not_before, 'unixepoch') END AS not_before,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.updated_at, 'unixepoch') AS updated_at,
    strftime(
        '%Y-%m-%dT%H:%M:%SZ',
        coalesce(r.tried_again_at, CASE WHEN r.state = 3 THEN r.updated_at END), 'unixepoch'
    ) AS first_failed_at,
    r.items,
    r.items_failed,
    coalesce(u.name, root.url) AS unit,
    nullif(r.parent, -1) AS parent,
    s.key AS slot,
    CASE WHEN r.state = 1
        THEN (SELECT worker FROM run ORDER BY number DESC LIMIT 1) END AS worker,
    CASE WHEN r.state = 1
        THEN strftime('%Y-%m-%dT%H:%M:%SZ', r.updated_at, 'unixepoch') END AS leased_at
FROM request AS r
LEFT JOIN unit AS u ON u.id = -r.unit
LEFT JOIN request AS root ON root.id = r.unit
LEFT JOIN slot AS s ON s.id = r.slot
WHERE r.kind = 0;
