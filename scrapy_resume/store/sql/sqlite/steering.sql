-- What people tell a job: carried out by its owner, or while there is none.

-- name: tried_again
-- Payloads, out of these rows, that may count retries.
SELECT r.id, coalesce(p.text, r.payload) FROM json_each(:ids) AS j CROSS JOIN request AS r
LEFT JOIN payload AS p ON p.id = r.shared
WHERE r.id = j.value AND coalesce(p.text, r.payload) LIKE '%"retry_times"%';

-- name: change_payload
-- A request as it was before it was tried again.
UPDATE request SET payload = ?, shared = NULL WHERE id = ?;

-- name: slots_of
-- The download slots of these rows.
SELECT DISTINCT r.slot FROM json_each(:ids) AS j CROSS JOIN request AS r WHERE r.id = j.value;

-- name: leave_slots
-- Rows that could be leased leave their slots.
UPDATE slot SET pending = pending - (
    SELECT count(*) FROM json_each(:ids) AS j CROSS JOIN request AS r
    WHERE r.id = j.value AND r.slot = slot.id AND r.state = 0 AND r.not_before = 0 AND r.suspect = 0
)
WHERE id IN (SELECT r.slot FROM json_each(:ids) AS j CROSS JOIN request AS r WHERE r.id = j.value);

-- name: leave_states
-- What the job's counters lose.
SELECT
    r.state, count(*), sum(r.state = 0 AND r.not_before > 0), sum(r.items_failed)
FROM json_each(:ids) AS j CROSS JOIN request AS r
WHERE r.id = j.value GROUP BY r.state;

-- name: leave_units
-- The same for units.
SELECT r.unit, r.state, count(*), sum(r.items_failed)
FROM json_each(:ids) AS j CROSS JOIN request AS r
WHERE r.id = j.value GROUP BY r.unit, r.state;

-- name: retry
-- From here on the rows wait to be fetched, and nothing is held against them.
UPDATE request SET
    tried_again_at = coalesce(tried_again_at, CASE WHEN state = 3 THEN updated_at END),
    state = 0, not_before = 0, crashes = 0, suspect = 0, http_status = NULL, error = NULL,
    error_message = NULL, items_failed = 0, updated_at = :now
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: park
-- From here on the rows are not fetched.
UPDATE request SET
    state = 4, not_before = 0, suspect = 0, error = coalesce(error, :error), updated_at = :now
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: enter_slots
-- Rows that can be leased come to their slots.
UPDATE slot SET pending = pending + (
    SELECT count(*) FROM json_each(:ids) AS j CROSS JOIN request AS r
    WHERE r.id = j.value AND r.slot = slot.id
)
WHERE id IN (SELECT r.slot FROM json_each(:ids) AS j CROSS JOIN request AS r WHERE r.id = j.value);

-- name: count
-- The job's counters, and its status: with something to fetch it is not completed.
UPDATE job SET
    pending = pending + :pending, delayed = delayed + :delayed, done = done + :done,
    failed = failed + :failed, parked = parked + :parked, ignored = ignored + :ignored,
    items_failed = items_failed + :items_failed, updated_at = :now,
    reason = CASE WHEN status = 'completed' AND :pending > 0 THEN 'retry' ELSE reason END,
    completed_at = CASE WHEN :pending > 0 THEN NULL ELSE completed_at END,
    status = CASE WHEN status = 'completed' AND :pending > 0 THEN 'paused' ELSE status END;

-- name: forget_hosts
-- What was the matter with hosts: whoever retries believes that it is over.
DELETE FROM host;
