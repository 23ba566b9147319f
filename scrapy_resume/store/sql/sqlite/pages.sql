-- Answers in pages. Each statement finds its rows by a key, and reads no more than it is told.

-- name: floor_of_requests
-- The id of the last row of those that are looked at; none, if there are not so many. As the next
-- ones, through the primary key or an index on the state.
SELECT id FROM request WHERE id < :before ORDER BY id DESC LIMIT 1 OFFSET :bound;

-- name: floor_of_failed
-- The same of the failed requests.
SELECT id FROM request
WHERE state IN (3, 4) AND state = 3 AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :bound;

-- name: floor_of_parked
-- The same of the parked requests.
SELECT id FROM request
WHERE state IN (3, 4) AND state = 4 AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :bound;

-- name: floor_of_leased
-- The same of the leased requests.
SELECT id FROM request WHERE state = 1 AND id < :before ORDER BY id DESC LIMIT 1 OFFSET :bound;

-- name: floor_of_items
-- The same of the items.
SELECT id FROM item WHERE id < :before ORDER BY id DESC LIMIT 1 OFFSET :bound;

-- name: pending
-- So many pending requests, through the indexes by which they are leased. They have no index on
-- their id.
SELECT id FROM (
    SELECT id FROM request WHERE state = 0 AND not_before = 0 AND suspect = 0 LIMIT :bound
)
UNION
SELECT id FROM (SELECT id FROM request WHERE state = 0 AND not_before > 0 LIMIT :bound)
UNION
SELECT id FROM (SELECT id FROM request WHERE state = 0 AND suspect = 1 LIMIT :bound)
LIMIT :bound;

-- name: units_after
-- The units in one state after one of them, as they were found.
SELECT
    v.id, v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed, c.items_open,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM unit_count AS c CROSS JOIN units AS v
WHERE c.state = :state AND abs(c.unit) > :after AND v.id = c.unit
ORDER BY c.state, abs(c.unit) LIMIT :count;

-- name: host_notes
-- The hosts of which anything is noted.
SELECT key AS host, record FROM host ORDER BY key LIMIT :count;

-- name: answered
-- The requests that were found last, by the minute of their end and HTTP status.
SELECT CAST(updated_at / 60 AS INTEGER) * 60 AS at, http_status, count(*) AS count
FROM (
    SELECT updated_at, http_status FROM request WHERE kind = 0 ORDER BY id DESC LIMIT :bound
)
WHERE http_status IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2;
