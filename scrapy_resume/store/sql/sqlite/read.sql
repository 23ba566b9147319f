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

-- name: in_flight_urls
-- What the live run holds, through the index on leased rows.
SELECT url FROM request WHERE state = 1 ORDER BY id;

-- name: requests
-- All requests, by id, in the columns of `scrapy resume requests --json`.
SELECT
    url, method, state, priority, depth, callback, attempts, crashes, http_status, error,
    error_message, not_before, updated_at, items, unit, worker, leased_at
FROM requests ORDER BY id LIMIT :count;

-- name: requests_in_state
-- The requests in one state (a number), by id. The CROSS JOIN makes the narrow index on the
-- state, where there is one, the outer loop.
SELECT
    v.url, v.method, v.state, v.priority, v.depth, v.callback, v.attempts, v.crashes,
    v.http_status, v.error, v.error_message, v.not_before, v.updated_at, v.items, v.unit,
    v.worker, v.leased_at
FROM request AS r CROSS JOIN requests AS v
WHERE r.state = :state AND v.id = r.id
ORDER BY r.id LIMIT :count;

-- name: item_payloads
-- The stored items, in the order in which they became visible.
SELECT payload FROM item ORDER BY id;
