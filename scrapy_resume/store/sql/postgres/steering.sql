-- Retrying and parking requests of a job, whether it is crawled or not: those that are not leased.

-- name: tried_again
-- The payloads of these rows that may contain a count of retries.
SELECT id, payload FROM scrapy_resume.request
WHERE job = %(job)s AND id = ANY(%(ids)s) AND payload LIKE '%%"retry_times"%%';

-- name: change_payloads
-- Payloads without their counts of retries.
UPDATE scrapy_resume.request AS r SET payload = c.payload
FROM unnest(%(changed)s::bigint[], %(payloads)s::text[]) AS c (id, payload)
WHERE r.job = %(job)s AND r.id = c.id AND r.id = ANY(%(changed)s);

-- name: hold_open
-- Locks those that are pending to the end of the transaction; leased ones are left out.
SELECT f.id, f.not_before, r.unit
FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.request AS r ON r.job = f.job AND r.id = f.id
WHERE f.job = %(job)s AND f.id = ANY(%(ids)s) AND f.run = 0
ORDER BY f.id FOR UPDATE OF f SKIP LOCKED;

-- name: hold_ended
-- Locks those that have ended, with what the counters need.
SELECT id, state, items_failed, unit FROM scrapy_resume.request
WHERE job = %(job)s AND id = ANY(%(ids)s) AND state IN (2, 3, 4, 5)
ORDER BY id FOR UPDATE;

-- name: leave_frontier
-- Takes rows out of the frontier; their attempts and crashes go to their requests.
WITH gone AS (
    DELETE FROM scrapy_resume.frontier
    WHERE job = %(job)s AND id = ANY(%(ids)s) AND run = 0
    RETURNING id, attempts, crashes
)
UPDATE scrapy_resume.request AS r SET attempts = g.attempts, crashes = g.crashes
FROM gone AS g WHERE r.job = %(job)s AND r.id = g.id AND r.id = ANY(%(ids)s);

-- name: leave_trouble
-- Takes rows off the list of failed and parked ones.
DELETE FROM scrapy_resume.trouble
WHERE job = %(job)s AND state IN (3, 4, 5) AND id = ANY(%(ids)s);

-- name: retry
-- failed, parked, done or ignored → pending; crashes and errors are reset.
WITH changed AS (
    UPDATE scrapy_resume.request SET
        tried_again_at = coalesce(tried_again_at, CASE WHEN state = 3 THEN updated_at END),
        retry_rounds = CASE WHEN state IN (3, 4) THEN retry_rounds + 1 ELSE 1 END,
        kept = CASE WHEN state = 2 THEN 1 ELSE kept END, state = 0, crashes = 0,
        http_status = NULL, error = NULL, error_message = NULL, items_failed = 0,
        updated_at = %(now)s
    WHERE job = %(job)s AND id = ANY(%(ids)s)
    RETURNING id, slot, priority, seq, attempts, kind, start, every_run
)
INSERT INTO scrapy_resume.frontier (
    job, id, slot, priority, seq, not_before, updated_at, run, attempts, crashes, kind, start,
    every_run, suspect, retried
)
SELECT
    %(job)s, id, slot, priority, seq, 0, %(now)s, 0, attempts, 0, kind, start, every_run, 0,
    1
FROM changed;

-- name: park
-- pending, failed → parked.
WITH changed AS (
    UPDATE scrapy_resume.request SET
        state = 4, error = coalesce(error, %(error)s), updated_at = %(now)s
    WHERE job = %(job)s AND id = ANY(%(ids)s)
    RETURNING id
)
INSERT INTO scrapy_resume.trouble (job, state, id) SELECT %(job)s, 4, id FROM changed;

-- name: skip
-- pending, failed, parked → ignored, for good.
WITH changed AS (
    UPDATE scrapy_resume.request SET
        state = 5, http_status = NULL, error = 'skipped', error_message = NULL,
        updated_at = %(now)s
    WHERE job = %(job)s AND id = ANY(%(ids)s)
    RETURNING id
)
INSERT INTO scrapy_resume.trouble (job, state, id) SELECT %(job)s, 5, id FROM changed;

-- name: keep_round
-- A round of retry.
INSERT INTO scrapy_resume.retry_round (job, number, at, requests)
SELECT %(job)s, coalesce(max(number), 0) + 1, %(now)s, %(requests)s
FROM scrapy_resume.retry_round WHERE job = %(job)s;

-- name: count
-- The job's counters, and its status: with pending rows it is not completed.
UPDATE scrapy_resume.job SET
    pending = pending + %(pending)s, delayed = delayed + %(delayed)s, done = done + %(done)s,
    failed = failed + %(failed)s, parked = parked + %(parked)s, ignored = ignored + %(ignored)s,
    items_failed = items_failed + %(items_failed)s, updated_at = %(now)s,
    reason = CASE WHEN status = 'completed' AND %(pending)s > 0 THEN 'retry' ELSE reason END,
    completed_at = CASE WHEN %(pending)s > 0 THEN NULL ELSE completed_at END,
    status = CASE WHEN status = 'completed' AND %(pending)s > 0 THEN 'paused' ELSE status END
WHERE id = %(job)s;

-- name: delete_hosts
-- Deletes the records of hosts: a retry assumes that they answer again.
DELETE FROM scrapy_resume.host WHERE job = %(job)s;
