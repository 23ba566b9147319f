-- Statements of runs that fetch nothing but retried requests, and what these lead to. Those that
-- differ from another run's by a condition alone stand in commit.sql and opening.sql, with that
-- condition as a comment: /* if retried: … */.

-- name: count_delayed
-- How many rows wait for their time.
SELECT count(*) FROM request WHERE state = 0 AND not_before > 0 AND retried = 1;

-- name: slot_pending
-- The key of a slot, and how many of its rows can be leased.
SELECT key, (
    SELECT count(*) FROM request AS r
    WHERE r.slot = slot.id AND r.state = 0 AND r.not_before = 0 AND r.suspect = 0 AND r.retried = 1
)
FROM slot WHERE id = ?;

-- name: open_slots
-- Slots with rows that can be leased.
SELECT s.key, count(*) FROM request AS r CROSS JOIN slot AS s
WHERE r.retried = 1 AND r.state = 0 AND r.not_before = 0 AND r.suspect = 0 AND s.id = r.slot
GROUP BY s.key;
