-- What many URLs begin with is kept once. (Older rows stay as they are, with their URLs whole.)
PRAGMA user_version = 7;

CREATE TABLE beginning (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL
);
ALTER TABLE request ADD COLUMN beginning INTEGER;

DROP VIEW requests;
CREATE VIEW requests AS
SELECT
    r.id,
    coalesce(b.text, '') || r.url AS url,
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
    coalesce(u.name, coalesce(rb.text, '') || root.url) AS unit,
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
LEFT JOIN beginning AS b ON b.id = r.beginning
LEFT JOIN beginning AS rb ON rb.id = root.beginning
WHERE r.kind = 0;

DROP VIEW units;
CREATE VIEW units AS
SELECT
    c.unit AS id,
    coalesce(n.name, coalesce(rb.text, '') || root.url) AS unit,
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
    coalesce(lb.text, '') || last.url AS cursor
FROM unit_count AS c
LEFT JOIN unit AS n ON n.id = -c.unit
LEFT JOIN request AS root ON root.id = c.unit
LEFT JOIN request AS last ON last.id = c.cursor
LEFT JOIN beginning AS rb ON rb.id = root.beginning
LEFT JOIN beginning AS lb ON lb.id = last.beginning
WHERE c.state IS NOT NULL;

DROP VIEW items;
CREATE VIEW items AS
SELECT
    i.id,
    i.payload AS item,
    coalesce(b.text, '') || r.url AS url,
    coalesce(u.name, coalesce(rb.text, '') || root.url) AS unit,
    i.key,
    i.occurrence,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.updated_at, 'unixepoch') AS stored_at
FROM item AS i
LEFT JOIN request AS r ON r.id = i.request
LEFT JOIN unit AS u ON u.id = -r.unit
LEFT JOIN request AS root ON root.id = r.unit
LEFT JOIN beginning AS b ON b.id = r.beginning
LEFT JOIN beginning AS rb ON rb.id = root.beginning;
