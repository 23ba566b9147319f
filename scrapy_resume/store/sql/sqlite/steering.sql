-- Retrying and parking requests of a job, by its owner or while there is none.

-- name: tried_again
-- The payloads of these rows that may contain a count of retries.
SELECT r.id, coalesce(p.text, r.payload) FROM json_each(:ids) AS j CROSS JOIN request AS r
LEFT JOIN payload AS p ON p.id = r.shared
WHERE r.id = j.value AND coalesce(p.text, r.payload) LIKE '%"retry_times"%';

-- name: change_payload
-- A payload without its count of retries.
UPDATE request SET payload = ?, shared = NULL WHERE id = ?;

-- name: slots_of
-- The download slots of these rows.
SELECT DISTINCT r.slot FROM json_each(:ids) AS j CROSS JOIN request AS r WHERE r.id = j.value;

-- name: leave_slots
-- Subtracts leasable rows from their slots.
UPDATE slot SET pending = pending - (
    SELECT count(*) FROM json_each(:ids) AS j CROSS JOIN request AS r
    WHERE r.id = j.value AND r.slot = slot.id AND r.state = 0 AND r.not_before = 0 AND r.suspect = 0
)
WHERE id IN (SELECT r.slot FROM json_each(:ids) AS j CROSS JOIN request AS r WHERE r.id = j.value);

-- name: leave_states
-- How many rows leave each state.
SELECT
    r.state, count(*), sum(r.state = 0 AND r.not_before > 0), sum(r.items_failed)
FROM json_each(:ids) AS j CROSS JOIN request AS r
WHERE r.id = j.value GROUP BY r.state;

-- name: leave_units
-- How many rows of each unit leave each state.
SELECT r.unit, r.state, count(*), sum(r.items_failed)
FROM json_each(:ids) AS j CROSS JOIN request AS r
WHERE r.id = j.value GROUP BY r.unit, r.state;

-- name: retry
-- failed, parked, done or ignored → pending; crashes and errors are reset.
UPDATE request SET
    tried_again_at = coalesce(tried_again_at, CASE WHEN state = 3 THEN updated_at END),
    retried = 1, kept = max(kept, state = 2), state = 0, not_before = 0, crashes = 0, suspect = 0,
    http_status = NULL, error = NULL, error_message = NULL, items_failed = 0, updated_at = :now
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: park
-- pending, failed → parked.
UPDATE request SET
    state = 4, not_before = 0, suspect = 0, error = coalesce(error, :error), updated_at = :now
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: begin_rounds
-- Before a retry: rounds are counted from the time when a request was done, or ignored, last.
DELETE FROM retry_count WHERE request IN (
    SELECT r.id FROM json_each(:ids) AS j CROSS JOIN request AS r
    WHERE r.id = j.value AND r.state NOT IN (3, 4)
);

-- name: count_rounds
-- Another round of these requests.
INSERT INTO retry_count (request, rounds) SELECT value, 1 FROM json_each(:ids) WHERE true
ON CONFLICT (request) DO UPDATE SET rounds = rounds + 1;

-- name: skip
-- pending, failed, parked → ignored, for good.
UPDATE request SET
    state = 5, not_before = 0, suspect = 0, http_status = NULL, error = 'skipped',
    error_message = NULL, updated_at = CAST(:now AS INTEGER)
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: keep_round
-- A round of retry.
INSERT INTO retry_round (number, at, requests)
SELECT coalesce(max(number), 0) + 1, :now, :requests FROM retry_round;

-- name: enter_slots
-- Adds leasable rows to their slots.
UPDATE slot SET pending = pending + (
    SELECT count(*) FROM json_each(:ids) AS j CROSS JOIN request AS r
    WHERE r.id = j.value AND r.slot = slot.id
)
WHERE id IN (SELECT r.slot FROM json_each(:ids) AS j CROSS JOIN request AS r WHERE r.id = j.value);

-- name: count
-- The job's counters, and its status: with pending rows it is not completed.
UPDATE job SET
    pending = pending + :pending, delayed = delayed + :delayed, done = done + :done,
    failed = failed + :failed, parked = parked + :parked, ignored = ignored + :ignored,
    items_failed = items_failed + :items_failed, updated_at = :now,
    reason = CASE WHEN status = 'completed' AND :pending > 0 THEN 'retry' ELSE reason END,
    completed_at = CASE WHEN :pending > 0 THEN NULL ELSE completed_at END,
    status = CASE WHEN status = 'completed' AND :pending > 0 THEN 'paused' ELSE status END;

-- name: delete_hosts
-- Deletes the records of hosts: a retry assumes that they answer again.
DELETE FROM host;
