-- Questions about what people name, and the history of retries. They read what they are asked about.

-- name: chosen_units
-- The units that match, as they were found. Each condition that is NULL holds for any.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    c.items_open, v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM scrapy_resume.unit_count AS c
JOIN scrapy_resume.units AS v ON v.job_id = c.job AND v.id = c.unit
WHERE c.job = %(job)s AND c.state IS NOT NULL
    AND (%(states)s::integer[] IS NULL OR c.state = ANY(%(states)s::integer[]))
    AND (%(globs)s::text[] IS NULL OR v.unit LIKE ANY(%(globs)s::text[]))
    AND (%(names)s::text[] IS NULL OR v.unit = ANY(%(names)s::text[]))
    AND (%(errors)s::text[] IS NULL OR v.error = ANY(%(errors)s::text[]))
ORDER BY c.state, abs(c.unit) LIMIT %(count)s;

-- name: known_urls
-- Which of these URLs, without a fragment, requests have.
SELECT DISTINCT split_part(url, '#', 1) FROM scrapy_resume.requests
WHERE job_id = %(job)s AND split_part(url, '#', 1) = ANY(%(urls)s::text[]);

-- name: known_identities
-- Which of these identities, in hex, requests have, or have taken on.
SELECT h FROM unnest(%(identities)s::text[]) AS h
WHERE EXISTS (
    SELECT 1 FROM scrapy_resume.seen AS s WHERE s.job = %(job)s AND s.identity = decode(h, 'hex')
);

-- name: has_history
-- Whether the database has the history of retries.
SELECT to_regclass('scrapy_resume.history') IS NOT NULL;

-- name: history
-- Attempts, rounds of retry and ends by day.
SELECT day, attempts, rounds, retried, done, failed, success_rate FROM scrapy_resume.history
WHERE job_id = %(job)s ORDER BY day;
