-- What holds of every job at every moment. Each statement gives what breaks it, as (subject,
-- expected, found); an intact job gives no rows. They read everything.

-- name: counted
-- The job's counters, over all runs.
SELECT
    pending, leased, done, failed, parked, ignored, delayed, items_stored
FROM scrapy_resume.totals WHERE job = %(job)s;

-- name: there
-- What they count.
SELECT
    o.pending, o.leased, e.done, e.failed, e.parked, e.ignored, o.delayed,
    (SELECT count(*) FROM scrapy_resume.item WHERE job = %(job)s)
FROM (
    SELECT
        count(*) FILTER (WHERE run = 0) AS pending, count(*) FILTER (WHERE run > 0) AS leased,
        count(*) FILTER (WHERE run = 0 AND not_before > 0) AS delayed
    FROM scrapy_resume.frontier WHERE job = %(job)s AND kind = 0
) AS o, (
    SELECT
        count(*) FILTER (WHERE state = 2) AS done, count(*) FILTER (WHERE state = 3) AS failed,
        count(*) FILTER (WHERE state = 4) AS parked, count(*) FILTER (WHERE state = 5) AS ignored
    FROM scrapy_resume.request WHERE job = %(job)s AND kind = 0
) AS e;

-- name: items
-- A request has as many items as it says.
SELECT r.url, r.items, coalesce(i.rows, 0)
FROM scrapy_resume.request AS r
LEFT JOIN (
    SELECT request, count(*) AS rows FROM scrapy_resume.item WHERE job = %(job)s GROUP BY request
) AS i ON i.request = r.id
WHERE r.job = %(job)s AND r.items <> coalesce(i.rows, 0) LIMIT 20;

-- name: orphans
-- An item belongs to a request.
SELECT i.id, 1, 0 FROM scrapy_resume.item AS i
WHERE i.job = %(job)s AND NOT EXISTS (
    SELECT FROM scrapy_resume.request AS r WHERE r.job = i.job AND r.id = i.request
) LIMIT 20;

-- name: provisional
-- Provisional items end with the run that gave them.
SELECT s.id, 0, 1 FROM scrapy_resume.spill AS s
WHERE s.job = %(job)s AND NOT EXISTS (
    SELECT FROM scrapy_resume.run AS w
    WHERE w.job = s.job AND w.number = s.run AND w.status = 'running'
) LIMIT 20;

-- name: identities
-- Every request is known by its identity.
SELECT r.url, 1, 0 FROM scrapy_resume.request AS r
WHERE r.job = %(job)s AND NOT EXISTS (
    SELECT FROM scrapy_resume.seen AS s WHERE s.job = r.job AND s.identity = r.identity
) LIMIT 20;

-- name: aliases
-- An identity that is known belongs to a request.
SELECT s.request, 1, 0 FROM scrapy_resume.seen AS s
WHERE s.job = %(job)s AND NOT EXISTS (
    SELECT FROM scrapy_resume.request AS r WHERE r.job = s.job AND r.id = s.request
) LIMIT 20;

-- name: frontier
-- What is open is in the frontier, and nothing else.
SELECT r.url, 1, 0 FROM scrapy_resume.request AS r
WHERE r.job = %(job)s AND (r.state = 0) <> EXISTS (
    SELECT FROM scrapy_resume.frontier AS f WHERE f.job = r.job AND f.id = r.id
) LIMIT 20;

-- name: troubles
-- What has failed, is parked or was skipped for good is listed as such, and nothing else.
SELECT r.url, 1, 0 FROM scrapy_resume.request AS r
WHERE r.job = %(job)s AND r.kind = 0 AND (
    r.state IN (3, 4) OR (r.state = 5 AND r.error IS NOT DISTINCT FROM 'skipped')
) <> EXISTS (
    SELECT FROM scrapy_resume.trouble AS t
    WHERE t.job = r.job AND t.id = r.id AND t.state = r.state
) LIMIT 20;

-- name: slotless
-- A request is of a slot that is known.
SELECT r.url, 1, 0 FROM scrapy_resume.request AS r
WHERE r.job = %(job)s AND NOT EXISTS (
    SELECT FROM scrapy_resume.slot AS s WHERE s.job = r.job AND s.id = r.slot
) LIMIT 20;

-- name: numbers
-- Numbers that are to come are not taken.
SELECT 'request', t.next_id, m.id
FROM scrapy_resume.totals AS t,
    (SELECT max(id) AS id FROM scrapy_resume.request WHERE job = %(job)s) AS m
WHERE t.job = %(job)s AND t.next_id <= m.id;

-- name: held
-- What is leased is leased by a live run.
SELECT r.url, 0, 1 FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.request AS r ON r.job = f.job AND r.id = f.id
WHERE f.job = %(job)s AND f.run > 0 AND NOT EXISTS (
    SELECT FROM scrapy_resume.run AS w
    WHERE w.job = f.job AND w.number = f.run AND w.status = 'running'
) LIMIT 20;

-- name: owners
-- A slot belongs to a live run, or to nobody.
SELECT s.key, 0, s.run FROM scrapy_resume.slot AS s
WHERE s.job = %(job)s AND s.run > 0 AND NOT EXISTS (
    SELECT FROM scrapy_resume.run AS w
    WHERE w.job = s.job AND w.number = s.run AND w.status = 'running'
) LIMIT 20;

-- name: open
-- Nothing is open of a completed job.
SELECT r.url, 0, 1 FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.request AS r ON r.job = f.job AND r.id = f.id
JOIN scrapy_resume.job AS j ON j.id = f.job
WHERE f.job = %(job)s AND f.kind = 0 AND j.status = 'completed' LIMIT 20;
