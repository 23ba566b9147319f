-- What holds of the steps of items, as in verify.sql, in files that have them.

-- name: step_counts
-- The counters of steps are what counting gives.
WITH there AS (
    SELECT
        kind,
        sum(state = 0 AND not_before = 0 AND suspect = 0) AS ready,
        sum(state = 0 AND not_before > 0) AS delayed,
        sum(state = 0 AND not_before = 0 AND suspect = 1) AS suspect,
        sum(state = 6) AS waiting, sum(state = 1) AS running, sum(state = 2) AS done,
        sum(state = 3) AS failed, sum(state = 4) AS parked, sum(state = 5) AS skipped
    FROM step GROUP BY kind
), counted AS (
    SELECT
        k.name,
        json_array(
            t.ready, t.delayed, t.suspect, t.waiting, t.running, t.done, t.failed, t.parked, t.skipped
        ) AS expected,
        json_array(
            coalesce(h.ready, 0), coalesce(h.delayed, 0), coalesce(h.suspect, 0),
            coalesce(h.waiting, 0), coalesce(h.running, 0), coalesce(h.done, 0),
            coalesce(h.failed, 0), coalesce(h.parked, 0), coalesce(h.skipped, 0)
        ) AS found
    FROM step_kind AS k
    LEFT JOIN step_tally AS t ON t.kind = k.id
    LEFT JOIN there AS h ON h.kind = k.id
    WHERE t.kind IS NOT NULL OR h.kind IS NOT NULL
)
SELECT name, expected, found FROM counted WHERE expected <> found LIMIT 20;

-- name: steps_open
-- The job counts its open steps.
SELECT 'job', j.steps_open, s.rows
FROM job AS j CROSS JOIN (SELECT count(*) AS rows FROM step WHERE state IN (0, 1, 6)) AS s
WHERE j.steps_open <> s.rows;

-- name: stepped_open
-- An item counts its open steps.
SELECT s.key, s.open, coalesce(t.rows, 0)
FROM stepped AS s
LEFT JOIN (SELECT item, count(*) AS rows FROM step WHERE state IN (0, 1, 6) GROUP BY item) AS t
    ON t.item = s.id
WHERE s.open <> coalesce(t.rows, 0) LIMIT 20;

-- name: stepped_shown
-- An item whose steps have ended is visible.
SELECT key, 1, 0 FROM stepped WHERE open = 0 AND shown = 0 LIMIT 20;

-- name: step_orphans
-- A step is one of an item that is there.
SELECT t.item, 1, 0 FROM step AS t
WHERE NOT EXISTS (SELECT 1 FROM stepped AS s WHERE s.id = t.item) LIMIT 20;

-- name: steps_held
-- A step runs in a live run, or in a dead one that was not recovered yet.
SELECT t.item, 0, 1 FROM step AS t
WHERE t.state = 1 AND NOT EXISTS (SELECT 1 FROM run WHERE status = 'running') LIMIT 20;

-- name: step_payloads
-- What is stored as JSON is JSON.
SELECT 'the item ' || key, 1, 0 FROM stepped
WHERE payload IS NOT NULL AND NOT json_valid(payload) LIMIT 20;
