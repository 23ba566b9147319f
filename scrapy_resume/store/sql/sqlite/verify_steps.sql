-- What holds of the steps of items in every job's file that has tables of them, as in verify.sql.

-- name: steps_counted
-- The job counts its open steps.
SELECT '', j.steps_open, t.there
FROM job AS j, (SELECT count(*) AS there FROM step WHERE state IN (0, 1, 6)) AS t
WHERE j.steps_open <> t.there;

-- name: step_payloads
-- What is stored as JSON is JSON.
SELECT 'item with steps ' || id, 1, 0 FROM stepped
WHERE payload IS NOT NULL AND NOT json_valid(payload) LIMIT 20;

-- name: step_tallies
-- The tally of a step counts what there is.
SELECT k.name, coalesce(c.counts, '0,0,0,0,0,0,0,0,0'), coalesce(t.counts, '0,0,0,0,0,0,0,0,0')
FROM step_kind AS k
LEFT JOIN (
    SELECT kind, ready || ',' || delayed || ',' || suspect || ',' || waiting || ',' || running || ',' || done
        || ',' || failed || ',' || parked || ',' || skipped AS counts
    FROM step_tally
) AS c ON c.kind = k.id
LEFT JOIN (
    SELECT kind, sum(state = 0 AND not_before = 0 AND suspect = 0) || ','
        || sum(state = 0 AND not_before > 0) || ','
        || sum(state = 0 AND not_before = 0 AND suspect = 1) || ','
        || sum(state = 6) || ',' || sum(state = 1) || ',' || sum(state = 2) || ',' || sum(state = 3) || ',' || sum(state = 4) || ','
        || sum(state = 5) AS counts
    FROM step GROUP BY kind
) AS t ON t.kind = k.id
WHERE coalesce(c.counts, '0,0,0,0,0,0,0,0,0') <> coalesce(t.counts, '0,0,0,0,0,0,0,0,0');

-- name: steps_open
-- An item has as many open steps as it says.
SELECT s.key, s.open, coalesce(t.rows, 0)
FROM stepped AS s
LEFT JOIN (
    SELECT item, count(*) AS rows FROM step WHERE state IN (0, 1, 6) GROUP BY item
) AS t ON t.item = s.id
WHERE s.open <> coalesce(t.rows, 0) LIMIT 20;

-- name: steps_lost
-- A step is of an item.
SELECT t.item, 1, 0 FROM step AS t
WHERE NOT EXISTS (SELECT 1 FROM stepped AS s WHERE s.id = t.item) LIMIT 20;

-- name: steps_missing
-- An item that is kept for its steps has some.
SELECT s.key, 1, 0 FROM stepped AS s
WHERE NOT EXISTS (SELECT 1 FROM step AS t WHERE t.item = s.id) LIMIT 20;

-- name: steps_held
-- A step that is running was leased by a live run, or by a dead one that was not recovered yet.
SELECT t.item, 0, 1 FROM step AS t
WHERE t.state = 1 AND NOT EXISTS (SELECT 1 FROM run WHERE status = 'running') LIMIT 20;

-- name: steps_left
-- No step is open of a completed job.
SELECT t.item, 0, 1 FROM step AS t
WHERE t.state IN (0, 1, 6) AND (SELECT status FROM job) = 'completed' LIMIT 20;

-- name: shown
-- An item of which a version is visible is among the visible ones.
SELECT s.key, 1, 0 FROM stepped AS s
WHERE s.shown = 1 AND NOT EXISTS (
    SELECT 1 FROM item AS i WHERE i.request = s.request AND i.occurrence = s.occurrence
) AND NOT EXISTS (SELECT 1 FROM item AS i WHERE s.updates = 1 AND i.key = s.key) LIMIT 20;

-- name: invisible
-- An item whose steps have all ended is visible.
SELECT s.key, 1, 0 FROM stepped AS s WHERE s.open = 0 AND s.shown = 0 LIMIT 20;

-- name: items_open
-- Units count the items of which a step is open.
SELECT '', c.counted, t.there
FROM (SELECT coalesce(sum(items_open), 0) AS counted FROM unit_count) AS c, (
    SELECT count(*) AS there FROM stepped AS s CROSS JOIN request AS r
    WHERE s.open > 0 AND r.id = s.request AND r.kind = 0
) AS t
WHERE c.counted <> t.there;
