-- The read side. Nothing here writes.

-- name: keys
-- All jobs.
SELECT name, number FROM scrapy_resume.job ORDER BY name, number;

-- name: find_job
-- The id of a job.
SELECT id FROM scrapy_resume.job WHERE name = %(name)s AND number = %(number)s;

-- name: summary
-- The job with its counters over all runs, and its last run, if there was one.
SELECT
    j.spider, j.status, j.reason, j.created_at, t.updated_at, j.completed_at, j.arguments,
    j.metadata, j.input_hashes, j.start_exhausted, t.pending, t.leased, t.done, t.failed,
    t.parked, t.ignored, t.delayed, t.items_stored, t.items_dropped, t.items_failed, l.worker,
    l.started_at
FROM scrapy_resume.job AS j
JOIN scrapy_resume.totals AS t ON t.job = j.id
LEFT JOIN scrapy_resume.run AS l ON l.job = j.id AND l.number = j.next_run - 1
WHERE j.id = %(job)s;

-- name: runs
-- All runs, the first one first.
SELECT
    number, worker, process, status, reason, started_at, beat_at, ended_at, pages, items, stats,
    orphan_seconds, extract(epoch FROM clock_timestamp())::double precision - beat_at AS silence
FROM scrapy_resume.run WHERE job = %(job)s ORDER BY number;

-- name: in_flight_urls
-- What the workers hold, through the index on leased rows.
SELECT r.url FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.request AS r ON r.job = f.job AND r.id = f.id
WHERE f.job = %(job)s AND f.run > 0 ORDER BY f.id;

-- name: requests
-- All requests, by id, in the columns of `scrapy resume requests --json`.
SELECT
    url, method, state, priority, depth, callback, attempts, crashes, http_status, error,
    error_message, not_before, updated_at, items, unit, worker, leased_at
FROM scrapy_resume.requests WHERE job_id = %(job)s ORDER BY id LIMIT %(count)s;

-- name: requests_pending
-- The pending ones, through the frontier; as all that follow.
SELECT
    v.url, v.method, v.state, v.priority, v.depth, v.callback, v.attempts, v.crashes,
    v.http_status, v.error, v.error_message, v.not_before, v.updated_at, v.items, v.unit,
    v.worker, v.leased_at
FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.requests AS v ON v.job_id = f.job AND v.id = f.id
WHERE f.job = %(job)s AND f.run = 0 ORDER BY f.id LIMIT %(count)s;

-- name: requests_leased
-- Those that workers hold.
SELECT
    v.url, v.method, v.state, v.priority, v.depth, v.callback, v.attempts, v.crashes,
    v.http_status, v.error, v.error_message, v.not_before, v.updated_at, v.items, v.unit,
    v.worker, v.leased_at
FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.requests AS v ON v.job_id = f.job AND v.id = f.id
WHERE f.job = %(job)s AND f.run > 0 ORDER BY f.id LIMIT %(count)s;

-- name: requests_in_trouble
-- The failed or the parked ones, through the list of them.
SELECT
    v.url, v.method, v.state, v.priority, v.depth, v.callback, v.attempts, v.crashes,
    v.http_status, v.error, v.error_message, v.not_before, v.updated_at, v.items, v.unit,
    v.worker, v.leased_at
FROM scrapy_resume.trouble AS t
JOIN scrapy_resume.requests AS v ON v.job_id = t.job AND v.id = t.id
WHERE t.job = %(job)s AND t.state = %(state)s ORDER BY t.id LIMIT %(count)s;

-- name: requests_ended
-- The done or the ignored ones.
SELECT
    v.url, v.method, v.state, v.priority, v.depth, v.callback, v.attempts, v.crashes,
    v.http_status, v.error, v.error_message, v.not_before, v.updated_at, v.items, v.unit,
    v.worker, v.leased_at
FROM scrapy_resume.request AS r
JOIN scrapy_resume.requests AS v ON v.job_id = r.job AND v.id = r.id
WHERE r.job = %(job)s AND r.state = %(state)s ORDER BY r.id LIMIT %(count)s;

-- name: item_payloads
-- The stored items, in the order in which they became visible.
SELECT payload FROM scrapy_resume.item WHERE job = %(job)s ORDER BY id;
