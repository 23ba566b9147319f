-- The read side of the steps of items.

-- name: has_steps
-- Whether the file has tables of steps: one of an older version does not.
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'step_attempts');

-- name: kinds
-- The steps that the job has had.
SELECT id, name FROM step_kind ORDER BY id;

-- name: counts
-- The steps by name and state. People see what waits for other steps as pending.
SELECT
    k.name, t.ready + t.delayed + t.suspect + t.waiting, t.running, t.done, t.failed, t.parked,
    t.skipped
FROM step_kind AS k CROSS JOIN step_tally AS t WHERE t.kind = k.id ORDER BY k.id;

-- name: failures
-- The steps of a name that have failed or are parked, by error, of the items that were found last,
-- each with the first of these items.
WITH latest AS (
    SELECT item, state, error, error_message, first_at, last_at FROM step
    WHERE kind = :kind AND state IN (3, 4) ORDER BY item DESC LIMIT :bound
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY error ORDER BY item) AS place FROM latest
)
SELECT
    :step AS step, error, count(*) AS count, sum(state = 4) AS parked,
    max(error_message) AS error_message,
    strftime('%Y-%m-%dT%H:%M:%SZ', min(first_at), 'unixepoch') AS first_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(last_at), 'unixepoch') AS last_at,
    json_group_array(json_object(
        'key', (SELECT s.key FROM stepped AS s WHERE s.id = placed.item),
        'url', (SELECT v.url FROM steps AS v WHERE v.item = placed.item LIMIT 1)
    )) FILTER (WHERE place <= :examples) AS examples
FROM placed GROUP BY error;

-- name: days
-- Attempts by day.
SELECT day, step, attempts, retries, done, failed, skipped, success_rate FROM step_attempts;

-- name: hidden_items
-- Items that are not visible yet.
SELECT count(*) FROM stepped WHERE open > 0 AND shown = 0;

-- name: known_keys
-- Which of these keys items with steps have.
SELECT DISTINCT s.key FROM json_each(?) AS j CROSS JOIN stepped AS s WHERE s.key = j.value;

-- name: last_keys
-- The keys of the items with steps that were found last.
SELECT key FROM stepped ORDER BY id DESC LIMIT ?;

-- name: payloads
-- What the codec has written of items that are not visible as they are here.
SELECT 'item', payload FROM stepped WHERE payload IS NOT NULL;
