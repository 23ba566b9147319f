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

-- name: expected_total
-- How many pages the spider expects.
SELECT expected_total FROM scrapy_resume.job WHERE id = %(job)s;

-- name: custom
-- The custom metrics of runs that have some.
SELECT number, custom FROM scrapy_resume.run WHERE job = %(job)s AND custom IS NOT NULL;

-- name: in_flight_urls
-- What the workers hold, through the index on leased rows.
SELECT r.url FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.request AS r ON r.job = f.job AND r.id = f.id
WHERE f.job = %(job)s AND f.run > 0 ORDER BY f.id;

-- name: units
-- The units: those in trouble first, those that are completed last, as they were found.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM scrapy_resume.unit_count AS c
JOIN scrapy_resume.units AS v ON v.job_id = c.job AND v.id = c.unit
WHERE c.job = %(job)s AND c.state IS NOT NULL
ORDER BY c.state, abs(c.unit) LIMIT %(count)s;

-- name: units_in_state
-- The units in one state, as they were found.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM scrapy_resume.unit_count AS c
JOIN scrapy_resume.units AS v ON v.job_id = c.job AND v.id = c.unit
WHERE c.job = %(job)s AND c.state = %(state)s
ORDER BY abs(c.unit) LIMIT %(count)s;

-- name: unit_tally
-- How many units are in each state.
SELECT state, sum(units)::bigint FROM scrapy_resume.unit_tally
WHERE job = %(job)s GROUP BY state;

-- name: item_payloads
-- The stored items, in the order in which they became visible.
SELECT payload FROM scrapy_resume.item WHERE job = %(job)s ORDER BY id;

-- name: failures
-- The failed requests by error, through the list of them.
SELECT
    r.error, r.http_status, count(*)::integer AS count, max(r.error_message) AS error_message,
    scrapy_resume.iso(min(r.updated_at)) AS first_at,
    scrapy_resume.iso(max(r.updated_at)) AS last_at
FROM scrapy_resume.trouble AS t
JOIN scrapy_resume.request AS r ON r.job = t.job AND r.id = t.id
WHERE t.job = %(job)s AND t.state = 3
GROUP BY r.error, r.http_status ORDER BY count(*) DESC, r.error;

-- name: failure_examples
-- Some of those with one error.
SELECT r.url FROM scrapy_resume.trouble AS t
JOIN scrapy_resume.request AS r ON r.job = t.job AND r.id = t.id
WHERE
    t.job = %(job)s AND t.state = 3 AND r.error IS NOT DISTINCT FROM %(error)s
    AND r.http_status IS NOT DISTINCT FROM %(http_status)s
ORDER BY t.id LIMIT %(count)s;
