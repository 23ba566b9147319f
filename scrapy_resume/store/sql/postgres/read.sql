-- The read side. Nothing here writes.
--
-- LATERAL … OFFSET 0 makes PostgreSQL look up each row by its key: for a few thousand rows of a table
-- of a hundred million it would rather read the whole table where it thinks that they are more.

-- name: keys
-- All jobs.
SELECT name, number FROM scrapy_resume.job ORDER BY name, number;

-- name: find_job
-- The id of a job.
SELECT id FROM scrapy_resume.job WHERE name = %(name)s AND number = %(number)s;

-- name: summary
-- The job with its counters over all runs, and its last run, if there was one. Of two columns with
-- one name the later one counts. (All columns: a database of an older version has fewer.)
SELECT
    j.*, t.*, l.worker, l.started_at
FROM scrapy_resume.job AS j
JOIN scrapy_resume.totals AS t ON t.job = j.id
LEFT JOIN scrapy_resume.run AS l ON l.job = j.id AND l.number = j.next_run - 1
WHERE j.id = %(job)s;

-- name: runs
-- All runs, the first one first. (All columns: a database of an older version has fewer.)
SELECT
    r.*, extract(epoch FROM clock_timestamp())::double precision AS now,
    extract(epoch FROM clock_timestamp())::double precision
    - greatest(
        r.beat_at,
        CASE WHEN pg_postmaster_start_time() <= clock_timestamp()
            THEN extract(epoch FROM pg_postmaster_start_time()) END
    ) AS silence
FROM scrapy_resume.run AS r WHERE r.job = %(job)s ORDER BY r.number;

-- name: expected_total
-- How many pages the spider expects.
SELECT expected_total FROM scrapy_resume.job WHERE id = %(job)s;

-- name: progressed_at
-- The last minute in which a run did something, through the key.
SELECT max(minute) * 60.0::double precision FROM scrapy_resume.minute WHERE job = %(job)s;

-- name: marks_of_runs
-- The rows that the engines of runs hold which have not ended, as the runs have told last.
SELECT m.id FROM scrapy_resume.run AS w CROSS JOIN LATERAL unnest(w.sent) AS m (id)
WHERE w.job = %(job)s AND w.status = 'running';

-- name: in_flight_urls
-- Those of these rows that are leased to the run which holds them, by id.
SELECT r.url FROM scrapy_resume.run AS w
CROSS JOIN LATERAL unnest(w.sent) AS m (id)
JOIN scrapy_resume.frontier AS f ON f.job = w.job AND f.id = m.id AND f.run = w.number
CROSS JOIN LATERAL (
    SELECT url FROM scrapy_resume.request WHERE job = f.job AND id = f.id OFFSET 0
) AS r
WHERE w.job = %(job)s AND w.status = 'running' ORDER BY f.id;

-- name: units
-- The units: those in trouble first, those that are completed last, as they were found.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    c.items_open, v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM scrapy_resume.unit_count AS c
JOIN scrapy_resume.units AS v ON v.job_id = c.job AND v.id = c.unit
WHERE c.job = %(job)s AND c.state IS NOT NULL
ORDER BY c.state, abs(c.unit) LIMIT %(count)s;

-- name: units_in_state
-- The units in one state, as they were found.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    c.items_open, v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM scrapy_resume.unit_count AS c
JOIN scrapy_resume.units AS v ON v.job_id = c.job AND v.id = c.unit
WHERE c.job = %(job)s AND c.state = %(state)s
ORDER BY abs(c.unit) LIMIT %(count)s;

-- name: unit_tally
-- How many units, and named ones among them, are in each state, by run. (All columns: a database of
-- an older version has fewer.)
SELECT * FROM scrapy_resume.unit_tally WHERE job = %(job)s;

-- name: place
-- Where a run stood: the request that it finished last.
SELECT url, unit, updated_at AS at FROM scrapy_resume.requests
WHERE job_id = %(job)s AND id = %(request)s;

-- name: urls
-- The URLs of requests, in order.
SELECT url FROM scrapy_resume.request WHERE job = %(job)s AND id = ANY(%(ids)s) ORDER BY id;

-- name: items
-- The stored items and their keys, in the order in which they became visible.
SELECT key, payload FROM scrapy_resume.item WHERE job = %(job)s ORDER BY id;

-- name: failures
-- The requests that failed last, by error, each with the first of their URLs; through the list of
-- what has failed. Then those of the requests that were found last which are done and lost items.
WITH latest AS MATERIALIZED (
    SELECT id FROM scrapy_resume.trouble
    WHERE job = %(job)s AND state = 3 ORDER BY id DESC LIMIT %(bound)s
), troubled AS (
    SELECT
        r.id, r.url, r.error, r.http_status, r.error_message, r.updated_at, r.tried_again_at,
        0 AS items_failed
    FROM latest AS l
    CROSS JOIN LATERAL (
        SELECT * FROM scrapy_resume.request WHERE job = %(job)s AND id = l.id OFFSET 0
    ) AS r
    UNION ALL
    SELECT
        d.id, d.url, d.error, NULL, d.error_message, d.updated_at, NULL, d.items_failed
    FROM (
        SELECT * FROM scrapy_resume.request
        WHERE job = %(job)s AND kind = 0 ORDER BY id DESC LIMIT %(lost_bound)s
    ) AS d
    WHERE d.state = 2 AND d.items_failed > 0
), placed AS (
    SELECT
        *, items_failed > 0 AS lost,
        row_number() OVER (PARTITION BY items_failed > 0, error, http_status ORDER BY id) AS place
    FROM troubled
)
SELECT
    error, http_status, count(*)::integer AS count, sum(items_failed)::integer AS items_failed,
    max(error_message) AS error_message,
    scrapy_resume.iso(min(coalesce(tried_again_at, updated_at))) AS first_at,
    scrapy_resume.iso(max(updated_at)) AS last_at,
    coalesce(json_agg(url ORDER BY id) FILTER (WHERE place <= %(examples)s), '[]') AS examples
FROM placed GROUP BY lost, error, http_status ORDER BY lost, count(*) DESC, error;

-- name: statuses
-- The requests that were found last, by HTTP status.
SELECT l.http_status, count(*)::integer AS count
FROM (
    SELECT http_status FROM scrapy_resume.request
    WHERE job = %(job)s AND kind = 0 ORDER BY id DESC LIMIT %(bound)s
) AS l
WHERE l.http_status IS NOT NULL GROUP BY l.http_status ORDER BY count(*) DESC, l.http_status;

-- name: hosts
-- The requests that were found last, by download slot, those with most of them.
SELECT s.key AS host, l.total, l.open, l.done, l.failed
FROM (
    SELECT
        slot, count(*)::integer AS total, (count(*) FILTER (WHERE state = 0))::integer AS open,
        (count(*) FILTER (WHERE state = 2))::integer AS done,
        (count(*) FILTER (WHERE state IN (3, 4)))::integer AS failed
    FROM (
        SELECT slot, state FROM scrapy_resume.request
        WHERE job = %(job)s AND kind = 0 ORDER BY id DESC LIMIT %(bound)s
    ) AS last
    GROUP BY slot ORDER BY count(*) DESC, slot LIMIT %(count)s
) AS l
CROSS JOIN LATERAL (SELECT key FROM scrapy_resume.slot WHERE id = l.slot OFFSET 0) AS s
ORDER BY l.total DESC, s.key;

-- name: recorded_texts
-- What the codec has written, except of requests that are not fetched again.
SELECT 'request' AS kind, payload AS text FROM scrapy_resume.request
WHERE job = %(job)s AND kind = 0 AND state IN (0, 1, 3, 4)
UNION ALL SELECT 'item', payload FROM scrapy_resume.item WHERE job = %(job)s
UNION ALL
SELECT 'item', payload FROM scrapy_resume.stepped WHERE job = %(job)s AND payload IS NOT NULL
UNION ALL
SELECT 'state', payload FROM scrapy_resume.spider_state
WHERE job = %(job)s AND payload IS NOT NULL
UNION ALL SELECT 'cookies', jar FROM scrapy_resume.cookies WHERE job = %(job)s
UNION ALL SELECT 'cookies', payload FROM scrapy_resume.cookies WHERE job = %(job)s;

-- name: minutes
-- The counts of each minute, over all runs, through the key.
SELECT
    minute::bigint * 60 AS at, sum(pages)::bigint AS pages, sum(items)::bigint AS items,
    sum(done)::bigint AS done, sum(failed)::bigint AS failed, sum(ignored)::bigint AS ignored,
    max(open) AS open
FROM scrapy_resume.minute WHERE job = %(job)s AND minute >= %(since)s
GROUP BY minute ORDER BY minute;

-- name: feed_notes
-- Feeds that a run may go on with.
SELECT name, record FROM scrapy_resume.feed
WHERE job = %(job)s AND NOT settled ORDER BY name, batch;
