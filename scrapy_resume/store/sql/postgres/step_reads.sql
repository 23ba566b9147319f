-- The read side of the steps of items.

-- name: has_steps
-- Whether the database has tables of steps: one of an older version does not.
SELECT to_regclass('scrapy_resume.step_attempts') IS NOT NULL;

-- name: kinds
-- The steps that the job has had.
SELECT id, name FROM scrapy_resume.step_kind WHERE job = %(job)s ORDER BY id;

-- name: counts
-- The steps by name and state, over all runs. People see what waits for other steps as pending.
SELECT
    k.name, sum(t.ready + t.delayed + t.suspect + t.waiting)::bigint, sum(t.running)::bigint,
    sum(t.done)::bigint, sum(t.failed)::bigint, sum(t.parked)::bigint, sum(t.skipped)::bigint
FROM scrapy_resume.step_kind AS k
JOIN scrapy_resume.step_tally AS t ON t.job = k.job AND t.kind = k.id
WHERE k.job = %(job)s GROUP BY k.id, k.name ORDER BY k.id;

-- name: failures
-- The steps of a name that have failed or are parked, by error, of the items that were found last,
-- each with the first of these items.
WITH latest AS (
    SELECT item, state, error, error_message, first_at, last_at FROM scrapy_resume.step
    WHERE job = %(job)s AND kind = %(kind)s AND state IN (3, 4)
    ORDER BY item DESC LIMIT %(bound)s
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY error ORDER BY item) AS place FROM latest
)
SELECT
    %(step)s::text AS step, error, count(*)::integer AS count,
    (count(*) FILTER (WHERE state = 4))::integer AS parked, max(error_message) AS error_message,
    scrapy_resume.iso(min(first_at)) AS first_at, scrapy_resume.iso(max(last_at)) AS last_at,
    coalesce(json_agg((
        SELECT json_build_object('key', v.key, 'url', v.url) FROM scrapy_resume.steps AS v
        WHERE v.job_id = %(job)s AND v.item = placed.item LIMIT 1
    ) ORDER BY item) FILTER (WHERE place <= %(examples)s), '[]') AS examples
FROM placed GROUP BY error;

-- name: days
-- Attempts by day.
SELECT
    day, step, attempts, retries, done, failed, skipped, success_rate
FROM scrapy_resume.step_attempts WHERE job_id = %(job)s ORDER BY day, step;

-- name: hidden_items
-- Items that are not visible yet.
SELECT count(*) FROM scrapy_resume.stepped WHERE job = %(job)s AND open > 0 AND shown = 0;

-- name: known_keys
-- Which of these keys items with steps have.
SELECT DISTINCT key FROM scrapy_resume.stepped
WHERE job = %(job)s AND key = ANY(%(keys)s::text[]);

-- name: last_keys
-- The keys of the items with steps that were found last.
SELECT key FROM scrapy_resume.stepped WHERE job = %(job)s ORDER BY id DESC LIMIT %(count)s;

-- name: payloads
-- What the codec has written of items that are not visible as they are here.
SELECT 'item' AS kind, payload AS text FROM scrapy_resume.stepped
WHERE job = %(job)s AND payload IS NOT NULL;
