-- Answers in pages. Each statement finds its rows by a key, and reads no more than it is told.

-- name: floor_of_requests
-- The id of the last row of those that are looked at; none, if there are not so many. As the next
-- ones, through the primary key.
SELECT id FROM scrapy_resume.request
WHERE job = %(job)s AND id < %(before)s ORDER BY id DESC LIMIT 1 OFFSET %(bound)s;

-- name: floor_of_troubled
-- The same of the requests that are failed, or parked.
SELECT id FROM scrapy_resume.trouble
WHERE job = %(job)s AND state = %(state)s AND id < %(before)s
ORDER BY id DESC LIMIT 1 OFFSET %(bound)s;

-- name: floor_of_open
-- The same of the open requests.
SELECT id FROM scrapy_resume.frontier
WHERE job = %(job)s AND id < %(before)s ORDER BY id DESC LIMIT 1 OFFSET %(bound)s;

-- name: floor_of_items
-- The same of the items.
SELECT id FROM scrapy_resume.item
WHERE job = %(job)s AND id < %(before)s ORDER BY id DESC LIMIT 1 OFFSET %(bound)s;

-- name: units_after
-- The units in one state after one of them, as they were found.
SELECT
    v.id, v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed, c.items_open,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM scrapy_resume.unit_count AS c
JOIN scrapy_resume.units AS v ON v.job_id = c.job AND v.id = c.unit
WHERE c.job = %(job)s AND c.state = %(state)s AND abs(c.unit) > %(after)s
ORDER BY abs(c.unit) LIMIT %(count)s;

-- name: host_notes
-- The hosts of which anything is noted.
SELECT key AS host, record FROM scrapy_resume.host
WHERE job = %(job)s ORDER BY key LIMIT %(count)s;

-- name: answered
-- The requests that were found last, by the minute of their end and HTTP status.
SELECT
    floor(updated_at / 60)::bigint * 60 AS at, http_status, count(*)::integer AS count
FROM (
    SELECT updated_at, http_status FROM scrapy_resume.request
    WHERE job = %(job)s AND kind = 0 ORDER BY id DESC LIMIT %(bound)s
) AS l
WHERE http_status IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2;

-- name: stamps
-- What differs when a job has changed.
SELECT
    j.name, j.number, t.updated_at AS changed_at, j.status, j.reason, j.next_run, t.pending,
    t.leased, t.done, t.failed, t.parked, t.ignored, t.workers
FROM scrapy_resume.job AS j JOIN scrapy_resume.totals AS t ON t.job = j.id;
