-- What people tell a job, whether or not somebody is crawling it: what nobody has leased.

-- name: tried_again
-- Payloads, out of these rows, that may count retries.
SELECT id, payload FROM scrapy_resume.request
WHERE job = %(job)s AND id = ANY(%(ids)s) AND payload LIKE '%%"retry_times"%%';

-- name: change_payloads
-- Requests as they were before they were tried again.
UPDATE scrapy_resume.request AS r SET payload = c.payload
FROM unnest(%(changed)s::bigint[], %(payloads)s::text[]) AS c (id, payload)
WHERE r.job = %(job)s AND r.id = c.id AND r.id = ANY(%(changed)s);

-- name: hold_open
-- Pending ones stay as they are to the end of the transaction; what is leased is not ours.
SELECT f.id, f.not_before, r.unit
FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.request AS r ON r.job = f.job AND r.id = f.id
WHERE f.job = %(job)s AND f.id = ANY(%(ids)s) AND f.run = 0
ORDER BY f.id FOR UPDATE OF f SKIP LOCKED;

-- name: hold_ended
-- Others, and what the job's counters lose with them.
SELECT id, state, items_failed, unit FROM scrapy_resume.request
WHERE job = %(job)s AND id = ANY(%(ids)s) AND state IN (2, 3, 4, 5)
ORDER BY id FOR UPDATE;

-- name: leave_frontier
-- They are not to be fetched; what is known of their attempts goes with them.
WITH gone AS (
    DELETE FROM scrapy_resume.frontier
    WHERE job = %(job)s AND id = ANY(%(ids)s) AND run = 0
    RETURNING id, attempts, crashes
)
UPDATE scrapy_resume.request AS r SET attempts = g.attempts, crashes = g.crashes
FROM gone AS g WHERE r.job = %(job)s AND r.id = g.id AND r.id = ANY(%(ids)s);

-- name: leave_trouble
-- They have not failed, nor are they parked.
DELETE FROM scrapy_resume.trouble
WHERE job = %(job)s AND state IN (3, 4) AND id = ANY(%(ids)s);

-- name: retry
-- From here on the rows wait to be fetched, and nothing is held against them.
WITH changed AS (
    UPDATE scrapy_resume.request SET
        tried_again_at = coalesce(tried_again_at, CASE WHEN state = 3 THEN updated_at END),
        state = 0, crashes = 0, http_status = NULL, error = NULL, error_message = NULL,
        items_failed = 0, updated_at = %(now)s
    WHERE job = %(job)s AND id = ANY(%(ids)s)
    RETURNING id, slot, priority, seq, attempts, kind, start, every_run
)
INSERT INTO scrapy_resume.frontier (
    job, id, slot, priority, seq, not_before, updated_at, run, attempts, crashes, kind, start,
    every_run, suspect
)
SELECT
    %(job)s, id, slot, priority, seq, 0, %(now)s, 0, attempts, 0, kind, start, every_run, 0
FROM changed;

-- name: park
-- From here on the rows are not fetched.
WITH changed AS (
    UPDATE scrapy_resume.request SET
        state = 4, error = coalesce(error, %(error)s), updated_at = %(now)s
    WHERE job = %(job)s AND id = ANY(%(ids)s)
    RETURNING id
)
INSERT INTO scrapy_resume.trouble (job, state, id) SELECT %(job)s, 4, id FROM changed;

-- name: count
-- The job's counters, and its status: with something to fetch it is not completed.
UPDATE scrapy_resume.job SET
    pending = pending + %(pending)s, delayed = delayed + %(delayed)s, done = done + %(done)s,
    failed = failed + %(failed)s, parked = parked + %(parked)s, ignored = ignored + %(ignored)s,
    items_failed = items_failed + %(items_failed)s, updated_at = %(now)s,
    reason = CASE WHEN status = 'completed' AND %(pending)s > 0 THEN 'retry' ELSE reason END,
    completed_at = CASE WHEN %(pending)s > 0 THEN NULL ELSE completed_at END,
    status = CASE WHEN status = 'completed' AND %(pending)s > 0 THEN 'paused' ELSE status END
WHERE id = %(job)s;

-- name: forget_hosts
-- What was the matter with hosts: whoever retries believes that it is over.
DELETE FROM scrapy_resume.host WHERE job = %(job)s;
