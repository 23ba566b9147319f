-- The read side. Nothing here writes.

-- name: summary
-- The job with its last run, if there was one.
SELECT
    j.name, j.number, j.spider, j.status, j.reason, j.epoch, j.created_at, j.updated_at,
    j.completed_at, j.arguments, j.metadata, j.input_hashes, j.start_exhausted,
    j.pending, j.leased, j.done, j.failed, j.parked, j.ignored, j.delayed,
    j.items_stored, j.items_dropped, j.items_failed,
    r.worker, r.started_at
FROM job AS j
LEFT JOIN run AS r ON r.number = (SELECT max(number) FROM run);

-- name: epoch
-- The job's current epoch.
SELECT epoch FROM job;

-- name: runs
-- All runs, the first one first.
SELECT number, worker, status, reason, started_at, beat_at, ended_at, pages, items, stats
FROM run ORDER BY number;

-- name: expected_total
-- How many pages the spider expects.
SELECT expected_total FROM job;

-- name: custom
-- The custom metrics of runs that have some.
SELECT number, custom FROM run WHERE custom IS NOT NULL;

-- name: in_flight_urls
-- What the live run holds, through the index on leased rows.
SELECT url FROM request WHERE state = 1 ORDER BY id;

-- name: units
-- The units: those in trouble first, those that are completed last, as they were found.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM unit_count AS c CROSS JOIN units AS v
WHERE c.state IS NOT NULL AND v.id = c.unit
ORDER BY c.state, abs(c.unit) LIMIT :count;

-- name: units_in_state
-- The units in one state, as they were found.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM unit_count AS c CROSS JOIN units AS v
WHERE c.state = :state AND v.id = c.unit
ORDER BY c.state, abs(c.unit) LIMIT :count;

-- name: unit_tally
-- How many units are in each state.
SELECT state, units FROM unit_tally;

-- name: item_payloads
-- The stored items, in the order in which they became visible.
SELECT payload FROM item ORDER BY id;

-- name: failures
-- The failed requests by error, through the index on what has failed.
SELECT
    error, http_status, count(*) AS count, max(error_message) AS error_message,
    strftime('%Y-%m-%dT%H:%M:%SZ', min(updated_at), 'unixepoch') AS first_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(updated_at), 'unixepoch') AS last_at
FROM request WHERE state IN (3, 4) AND state = 3 GROUP BY error, http_status ORDER BY count(*) DESC, error;

-- name: failure_examples
-- Some of those with one error.
SELECT url FROM request
WHERE state IN (3, 4) AND state = 3 AND error IS :error AND http_status IS :http_status ORDER BY id LIMIT :count;
