-- The statements by which a run leases that fetches nothing but retried requests, and what these lead
-- to: under the names, and in place, of those of commit.sql and opening.sql.

-- name: lease_requests
-- The first rows of a slot, in order. (UPDATE … RETURNING has no order, so the rows are taken
-- by a statement of their own, in the same transaction.)
SELECT
    r.id, r.identity_head, r.identity_tail, r.parent,
    coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url,
    coalesce((SELECT text FROM payload WHERE id = r.shared), r.payload), r.priority, r.start,
    r.seq, r.unit, (SELECT name FROM unit WHERE id = -r.unit), r.attempts, r.crashes, r.items,
    r.every_run
FROM request AS r
WHERE r.slot = ? AND r.state = 0 AND r.not_before = 0 AND r.retried = 1 AND r.suspect = 0
ORDER BY r.priority DESC, r.start, r.seq LIMIT ?;

-- name: lease_suspect
-- The suspect that was found first.
SELECT
    r.id, r.identity_head, r.identity_tail, r.parent,
    coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url,
    coalesce((SELECT text FROM payload WHERE id = r.shared), r.payload), r.priority, r.start,
    r.seq, r.unit, (SELECT name FROM unit WHERE id = -r.unit), r.attempts, r.crashes, r.items,
    r.every_run, (SELECT key FROM slot WHERE id = r.slot)
FROM request AS r
WHERE r.state = 0 AND r.retried = 1 AND r.suspect = 1 AND r.not_before = 0
ORDER BY r.id LIMIT 1;

-- name: count_suspects
-- How many suspects can be leased now.
SELECT count(*) FROM request WHERE state = 0 AND retried = 1 AND suspect = 1 AND not_before = 0;

-- name: next_due
-- When the first delayed row is due.
SELECT not_before FROM request
WHERE state = 0 AND not_before > 0 AND retried = 1 ORDER BY not_before LIMIT 1;

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
