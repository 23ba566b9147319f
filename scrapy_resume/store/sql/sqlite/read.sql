-- The read side. Nothing here writes.

-- name: summary
-- The job with its last run, if there was one.
SELECT j.*, r.worker, r.started_at
FROM job AS j
LEFT JOIN run AS r ON r.number = (SELECT max(number) FROM run);

-- name: epoch
-- The job's current epoch.
SELECT epoch FROM job;

-- name: runs
-- All runs, the first one first. (All columns: a file of an older version has fewer.)
SELECT * FROM run ORDER BY number;

-- name: expected_total
-- How many pages the spider expects.
SELECT expected_total FROM job;

-- name: progressed_at
-- The last minute in which a run did something, through the key.
SELECT max(minute) * 60.0 FROM minute;

-- name: run_epoch
-- The epoch of the last run: 0, if there was none.
SELECT coalesce((SELECT epoch FROM run WHERE number = (SELECT max(number) FROM run)), 0);

-- name: in_flight_urls
-- Those of these rows that are leased, in their order.
SELECT v.url FROM json_each(?) AS j CROSS JOIN request AS r CROSS JOIN requests AS v
WHERE r.id = j.value AND r.state = 1 AND v.id = r.id;

-- name: units
-- The units: those in trouble first, those that are completed last, as they were found.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed, c.items_open,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM unit_count AS c CROSS JOIN units AS v
WHERE c.state IS NOT NULL AND v.id = c.unit
ORDER BY c.state, abs(c.unit) LIMIT :count;

-- name: units_in_state
-- The units in one state, as they were found.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed, c.items_open,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM unit_count AS c CROSS JOIN units AS v
WHERE c.state = :state AND v.id = c.unit
ORDER BY c.state, abs(c.unit) LIMIT :count;

-- name: unit_tally
-- How many units, and named ones among them, are in each state.
SELECT * FROM unit_tally;

-- name: place
-- Where a run stood: the request that it finished last.
SELECT url, unit, updated_at AS at FROM requests WHERE id = :request;

-- name: urls
-- The URLs of requests, in order.
SELECT v.url FROM json_each(:ids) AS j CROSS JOIN requests AS v WHERE v.id = j.value;

-- name: items
-- The stored items and their keys, in the order in which they became visible.
SELECT key, payload FROM item ORDER BY id;

-- name: failures
-- The requests that failed last, by error, each with the first of their URLs; through the index on
-- what has failed. Then those of the requests that were found last which are done and lost items.
WITH latest AS (
    SELECT * FROM (
        SELECT id, error, http_status, error_message, updated_at, tried_again_at, 0 AS items_failed
        FROM request WHERE state IN (3, 4) AND state = 3 ORDER BY id DESC LIMIT :bound
    )
    UNION ALL
    SELECT id, error, NULL, error_message, updated_at, NULL, items_failed
    FROM (SELECT * FROM request WHERE kind = 0 ORDER BY id DESC LIMIT :lost_bound)
    WHERE state = 2 AND items_failed > 0
), placed AS (
    SELECT
        *, items_failed > 0 AS lost,
        row_number() OVER (PARTITION BY items_failed > 0, error, http_status ORDER BY id) AS place
    FROM latest
)
SELECT
    error, http_status, count(*) AS count, sum(items_failed) AS items_failed,
    max(error_message) AS error_message,
    strftime('%Y-%m-%dT%H:%M:%SZ', min(coalesce(tried_again_at, updated_at)), 'unixepoch') AS first_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(updated_at), 'unixepoch') AS last_at,
    json_group_array((SELECT v.url FROM requests AS v WHERE v.id = placed.id))
        FILTER (WHERE place <= :examples) AS examples
FROM placed GROUP BY lost, error, http_status ORDER BY lost, count(*) DESC, error;

-- name: statuses
-- The requests that were found last, by HTTP status.
SELECT http_status, count(*) AS count
FROM (SELECT http_status FROM request WHERE kind = 0 ORDER BY id DESC LIMIT :bound)
WHERE http_status IS NOT NULL GROUP BY http_status ORDER BY count(*) DESC, http_status;

-- name: hosts
-- The requests that were found last, by download slot, those with most of them.
SELECT
    s.key AS host, count(*) AS total, sum(l.state IN (0, 1)) AS open, sum(l.state = 2) AS done,
    sum(l.state IN (3, 4)) AS failed
FROM (SELECT slot, state FROM request WHERE kind = 0 ORDER BY id DESC LIMIT :bound) AS l
CROSS JOIN slot AS s ON s.id = l.slot
GROUP BY l.slot ORDER BY count(*) DESC, s.key LIMIT :count;

-- name: recorded_texts
-- What the codec has written, except of requests that are not fetched again.
SELECT 'request', coalesce(p.text, r.payload) FROM request AS r
LEFT JOIN payload AS p ON p.id = r.shared
WHERE r.kind = 0 AND r.state IN (0, 1, 3, 4)
UNION ALL SELECT 'item', payload FROM item
UNION ALL SELECT 'item', payload FROM stepped WHERE payload IS NOT NULL
UNION ALL SELECT 'state', payload FROM spider_state
UNION ALL SELECT 'cookies', jar FROM cookies
UNION ALL SELECT 'cookies', payload FROM cookies;

-- name: minutes
-- The counts of each minute, over all runs, through the key.
SELECT
    minute * 60 AS at, sum(pages) AS pages, sum(items) AS items, sum(done) AS done,
    sum(failed) AS failed, sum(ignored) AS ignored, max(open) AS open
FROM minute WHERE minute >= :since GROUP BY minute ORDER BY minute;

-- name: feed_notes
-- Feeds that a run may go on with.
SELECT name, record FROM feed WHERE settled = 0 ORDER BY name, batch;
