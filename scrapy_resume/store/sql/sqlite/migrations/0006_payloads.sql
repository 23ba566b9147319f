-- What several requests have in common is kept once.
PRAGMA user_version = 6;

CREATE TABLE payload (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL                   -- JSON, as in request
);
ALTER TABLE request ADD COLUMN shared INTEGER;

DROP VIEW requests;
CREATE VIEW requests AS
SELECT
    r.id,
    r.url,
    coalesce(json_extract(coalesce(p.text, r.payload), '$.method'), 'GET') AS method,
    CASE r.state
        WHEN 0 THEN 'pending' WHEN 1 THEN 'leased' WHEN 2 THEN 'done'
        WHEN 3 THEN 'failed' WHEN 4 THEN 'parked' ELSE 'ignored'
    END AS state,
    r.priority,
    r.depth,
    coalesce(json_extract(coalesce(p.text, r.payload), '$.callback'), 'parse') AS callback,
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
LEFT JOIN payload AS p ON p.id = r.shared
WHERE r.kind = 0;
