-- What holds in every job's file at every moment. Each statement gives what breaks it, as
-- (subject, expected, found); an intact job gives no rows. They read everything.

-- name: integrity
-- SQLite's own check; one row with 'ok' if all is well.
PRAGMA integrity_check(20);

-- name: counted
-- The job's counters.
SELECT
    pending, leased, done, failed, parked, ignored, delayed, items_stored
FROM job;

-- name: there
-- What they count.
SELECT
    coalesce(sum(state = 0), 0), coalesce(sum(state = 1), 0), coalesce(sum(state = 2), 0),
    coalesce(sum(state = 3), 0), coalesce(sum(state = 4), 0), coalesce(sum(state = 5), 0),
    coalesce(sum(state = 0 AND not_before > 0), 0), (SELECT count(*) FROM item)
FROM request WHERE kind = 0;

-- name: slots
-- A slot counts the rows that can be leased from it.
SELECT s.key, s.pending, coalesce(r.rows, 0)
FROM slot AS s
LEFT JOIN (
    SELECT slot, count(*) AS rows FROM request
    WHERE kind = 0 AND state = 0 AND not_before = 0 AND suspect = 0 GROUP BY slot
) AS r ON r.slot = s.id
WHERE s.pending <> coalesce(r.rows, 0) LIMIT 20;

-- name: items
-- A request has as many items as it says.
SELECT coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url, r.items,
    coalesce(i.rows, 0)
FROM request AS r
LEFT JOIN (SELECT request, count(*) AS rows FROM item GROUP BY request) AS i ON i.request = r.id
WHERE r.items <> coalesce(i.rows, 0) LIMIT 20;

-- name: orphans
-- An item belongs to a request.
SELECT i.id, 1, 0 FROM item AS i
WHERE NOT EXISTS (SELECT 1 FROM request AS r WHERE r.id = i.request) LIMIT 20;

-- name: provisional
-- Provisional items end with the run that gave them, or when its death is recovered: a job may be
-- cancelled before that.
SELECT s.id, 0, 1 FROM spill AS s
WHERE NOT EXISTS (SELECT 1 FROM run WHERE status = 'running') LIMIT 20;

-- name: identities
-- No identity is two requests'.
SELECT min(coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url), 1, count(*)
FROM request AS r
GROUP BY identity_head, identity_tail HAVING count(*) > 1 LIMIT 20;

-- name: aliases
-- An identity that was taken on belongs to a request.
SELECT a.request, 1, 0 FROM alias AS a
WHERE NOT EXISTS (SELECT 1 FROM request AS r WHERE r.id = a.request) LIMIT 20;

-- name: slotless
-- A request is of a slot that is known.
SELECT coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url, 1, 0
FROM request AS r
WHERE NOT EXISTS (SELECT 1 FROM slot AS s WHERE s.id = r.slot) LIMIT 20;

-- name: numbers
-- Numbers that are to come are not taken.
SELECT 'request', j.next_id, (SELECT max(id) FROM request) FROM job AS j
WHERE j.next_id <= (SELECT max(id) FROM request)
UNION ALL
SELECT 'item', j.next_item, (SELECT max(id) FROM item) FROM job AS j
WHERE j.next_item <= (SELECT max(id) FROM item);

-- name: held
-- What is leased is leased by a live run, or by a dead one that was not recovered yet.
SELECT coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url, 0, 1
FROM request AS r
WHERE r.state = 1 AND NOT EXISTS (SELECT 1 FROM run WHERE status = 'running') LIMIT 20;

-- name: open
-- Nothing is open of a completed job.
SELECT coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url, 0, 1
FROM request AS r
WHERE r.state IN (0, 1) AND r.kind = 0 AND (SELECT status FROM job) = 'completed' LIMIT 20;

-- name: payloads
-- What is stored as JSON is JSON.
SELECT 'request ' || r.id, 1, 0 FROM request AS r
LEFT JOIN payload AS p ON p.id = r.shared
WHERE NOT json_valid(coalesce(p.text, r.payload))
UNION ALL
SELECT 'item ' || id, 1, 0 FROM item WHERE NOT json_valid(payload) LIMIT 20;

-- name: beginnings
-- A URL is whole.
SELECT r.id, 1, 0 FROM request AS r
WHERE
    r.beginning IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM beginning AS b WHERE b.id = r.beginning) LIMIT 20;
