-- Steps of items: what a batch does to them.

-- name: find_kinds
-- The ids of steps by name.
SELECT k.name, k.id FROM json_each(?) AS j CROSS JOIN step_kind AS k WHERE k.name = j.value;

-- name: add_kind
-- A step that the job did not have.
INSERT INTO step_kind (name) VALUES (?) RETURNING id;

-- name: kinds
-- All steps that the job has had.
SELECT id, name FROM step_kind;

-- name: tally
-- The steps by state.
SELECT kind, ready, delayed, suspect, waiting, running, done, failed, parked, skipped FROM step_tally;

-- name: change_tally
-- By how much a transaction changes them.
INSERT INTO step_tally (
    kind, ready, delayed, suspect, waiting, running, done, failed, parked, skipped
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind) DO UPDATE SET
    ready = ready + excluded.ready, delayed = delayed + excluded.delayed,
    suspect = suspect + excluded.suspect, waiting = waiting + excluded.waiting,
    running = running + excluded.running, done = done + excluded.done,
    failed = failed + excluded.failed, parked = parked + excluded.parked,
    skipped = skipped + excluded.skipped;

-- name: change_day
-- Attempts that have ended on a day.
INSERT INTO step_day (day, kind, attempts, retries, done, failed, skipped)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, kind) DO UPDATE SET
    attempts = attempts + excluded.attempts, retries = retries + excluded.retries,
    done = done + excluded.done, failed = failed + excluded.failed,
    skipped = skipped + excluded.skipped;

-- name: add_item
-- An item with steps.
INSERT INTO stepped (id, version, request, occurrence, key, updates, open, shown, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_step
-- A step of such an item.
INSERT INTO step (item, kind, state, error, error_message) VALUES (?, ?, ?, ?, ?);

-- name: items_of_requests
-- The items with steps that these requests have given.
SELECT s.id, s.version, s.request, s.occurrence, s.key, s.updates, s.open, s.shown
FROM json_each(?) AS j CROSS JOIN stepped AS s WHERE s.request = j.value;

-- name: items_of_keys
-- Those with these keys of RESUME_ITEM_KEY.
SELECT s.id, s.version, s.request, s.occurrence, s.key, s.updates, s.open, s.shown
FROM json_each(?) AS j CROSS JOIN stepped AS s WHERE s.key = j.value AND s.updates = 1;

-- name: items
-- Items with steps.
SELECT s.id, s.version, s.request, s.occurrence, s.key, s.updates, s.open, s.shown
FROM json_each(?) AS j CROSS JOIN stepped AS s WHERE s.id = j.value;

-- name: steps_of
-- The steps of items.
SELECT
    t.item, t.kind, t.state, t.run, t.not_before, t.attempts, t.crashes, t.suspect, t.error,
    t.error_message, t.version, t.inputs, t.gave
FROM json_each(?) AS j CROSS JOIN step AS t WHERE t.item = j.value;

-- name: replace_item
-- The page was fetched again: a new version.
UPDATE stepped SET
    version = ?, request = ?, occurrence = ?, key = ?, updates = ?, open = ?, shown = ?, payload = ?
WHERE id = ?;

-- name: keep_item
-- What attempts have made of an item.
UPDATE stepped SET open = ?, shown = ?, payload = CASE WHEN ? THEN ? ELSE payload END WHERE id = ?;

-- name: replace_step
-- A step of a new version; what it was done with before is kept.
INSERT INTO step (item, kind, state, error, error_message) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (item, kind) DO UPDATE SET
    state = excluded.state, run = 0, not_before = 0, attempts = 0, crashes = 0, suspect = 0,
    error = excluded.error, error_message = excluded.error_message, first_at = NULL, last_at = NULL,
    version = CASE WHEN step.state = 2 THEN step.version END,
    inputs = CASE WHEN step.state = 2 THEN step.inputs END,
    gave = CASE WHEN step.state = 2 THEN step.gave END;

-- name: drop_step
-- A step that a new version of the item does not have.
DELETE FROM step WHERE item = ? AND kind = ?;

-- name: end_attempt
-- An attempt has ended.
UPDATE step SET
    state = ?, not_before = ?, attempts = ?, suspect = 0, crashes = 0, error = ?, error_message = ?,
    version = ?, inputs = ?, gave = ?, first_at = coalesce(first_at, ?), last_at = ?
WHERE item = ? AND kind = ?;

-- name: end_unsuccessful
-- The same, of one that gave nothing: what an earlier one gave is kept.
UPDATE step SET
    state = ?, not_before = ?, attempts = ?, suspect = 0, crashes = 0, error = ?, error_message = ?,
    first_at = coalesce(first_at, ?), last_at = ?
WHERE item = ? AND kind = ?;

-- name: change_step
-- What a step waited for has come, or will not come.
UPDATE step SET
    state = ?, not_before = 0, attempts = 0, crashes = 0, suspect = 0, error = ?, error_message = ?,
    last_at = ?
WHERE item = ? AND kind = ?;

-- name: release_step
-- running → pending; nothing was tried.
UPDATE step SET state = 0, attempts = ?, not_before = ? WHERE item = ? AND kind = ?;

-- name: drop_items
-- Deletes items with steps.
DELETE FROM stepped WHERE id = ?;

-- name: drop_steps
-- And their steps.
DELETE FROM step WHERE item = ?;

-- name: open_payload
-- An item as its steps left it.
SELECT payload FROM stepped WHERE id = ?;

-- name: find_shown
-- The visible version of an item.
SELECT id, request, occurrence, key FROM item WHERE request = ? AND occurrence = ? AND key IS ?;

-- name: find_visible
-- The visible items of a request, but for those of which a new version is awaited: from this
-- execution, or from another request that has given an item of that key since.
SELECT i.id, i.request, i.occurrence, i.key FROM item AS i
WHERE
    i.request = :request
    AND NOT (i.key IS NULL AND i.occurrence IN (SELECT value FROM json_each(:occurrences)))
    AND (i.key IS NULL OR i.key NOT IN (SELECT value FROM json_each(:keys)))
    AND NOT EXISTS (
        SELECT 1 FROM stepped AS s WHERE s.key = i.key AND s.updates = 1 AND s.request <> i.request
    );

-- name: drop_visible
-- Deletes visible items.
DELETE FROM item WHERE id = ?;

-- name: take_back
-- For those who follow what a job gives.
INSERT INTO taken_back (id, request, occurrence, key) VALUES (?, ?, ?, ?);

-- name: lease_steps
-- The first steps of a kind that can run.
SELECT item, kind, attempts, crashes, version, inputs, gave, error, error_message FROM step
WHERE kind = ? AND state = 0 AND not_before = 0 AND suspect = 0 ORDER BY item LIMIT ?;

-- name: lease_suspect
-- The suspect that was found first.
SELECT item, kind, attempts, crashes, version, inputs, gave, error, error_message FROM step
WHERE state = 0 AND suspect = 1 AND not_before = 0 ORDER BY item LIMIT 1;

-- name: take_step
-- pending → running.
UPDATE step SET state = 1, run = ? WHERE item = ? AND kind = ?;

-- name: leased_items
-- What a step needs to know of its item.
SELECT
    s.id, s.version, s.key, s.shown,
    coalesce(s.payload, CASE s.updates
        WHEN 1 THEN (SELECT payload FROM item WHERE key = s.key)
        ELSE (
            SELECT payload FROM item
            WHERE request = s.request AND occurrence = s.occurrence AND key IS NULL
        )
    END),
    CASE WHEN s.shown = 1 AND s.payload IS NOT NULL THEN CASE s.updates
        WHEN 1 THEN (SELECT payload FROM item WHERE key = s.key)
        ELSE (
            SELECT payload FROM item
            WHERE request = s.request AND occurrence = s.occurrence AND key IS NULL
        )
    END END,
    coalesce((
        SELECT coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url
        FROM request AS r WHERE r.id = s.request AND r.kind = 0
    ), '')
FROM json_each(?) AS j CROSS JOIN stepped AS s WHERE s.id = j.value;

-- name: due_steps
-- Delayed steps whose time has come.
SELECT item, kind, suspect FROM step
WHERE state = 0 AND not_before > 0 AND not_before <= ? ORDER BY not_before LIMIT ?;

-- name: end_delay
-- They can run.
UPDATE step SET not_before = 0 WHERE item = ? AND kind = ?;

-- name: next_due
-- When the first delayed step is due.
SELECT coalesce(min(not_before), 0) FROM step WHERE state = 0 AND not_before > 0;

-- name: count_uses
-- Attempts that count for a rate limit now, and when the next of them does not any more.
SELECT count(*), coalesce(min(CASE WHEN until > 0 THEN until END), 0) FROM step_use
WHERE kind = ?;

-- name: drop_uses
-- Those that do not count any more.
DELETE FROM step_use WHERE kind = ? AND until > 0 AND until <= ?;

-- name: add_use
-- An attempt begins.
INSERT INTO step_use (kind, item, seconds, until) VALUES (?, ?, ?, 0);

-- name: end_use
-- It has ended.
UPDATE step_use SET until = ? + seconds WHERE kind = ? AND until = 0 AND item = ?;

-- name: orphaned_steps
-- The steps that the previous run held when it ended.
SELECT
    t.item, t.kind, t.state, t.run, t.not_before, t.attempts, t.crashes, t.suspect, t.error,
    t.error_message, t.version, t.inputs, t.gave
FROM step AS t WHERE t.state = 1 ORDER BY t.item, t.kind;

-- name: recover_step
-- running → pending.
UPDATE step SET
    state = 0, not_before = 0, attempts = ?, crashes = ?, suspect = ?, error = ?, error_message = ?
WHERE item = ? AND kind = ?;

-- name: shift_delays
-- The clock was set: steps wait as long as they were to wait.
UPDATE step SET not_before = max(not_before + :leap, 1) WHERE state = 0 AND not_before > 0;

-- name: shift_uses
-- And rate limits count as long as they were to count.
UPDATE step_use SET until = max(until + :leap, 1) WHERE until > 0;

-- name: bound_delays
-- What waits since a time that is yet to come was stored by a clock that was fast: it waits from now
-- on as long as it was to wait.
UPDATE step SET not_before = :now + (not_before - last_at), last_at = :now
WHERE state = 0 AND not_before > 0 AND last_at > :now;

-- name: bound_uses
-- And no attempt counts for a rate limit for longer than it would from now on.
UPDATE step_use SET until = :now + seconds WHERE until > :now + seconds;

-- name: steer_step
-- A command opens a step again, or gives it up. What it gave is not carried over any more, and a
-- crash does not condemn it any more.
UPDATE step SET
    state = ?, not_before = 0, attempts = 0, crashes = 0, suspect = 0, gave = NULL,
    error_message = CASE WHEN error = ? THEN NULL ELSE error_message END,
    error = coalesce(?, CASE WHEN error <> ? THEN error END)
WHERE item = ? AND kind = ?;

-- name: count_steered
-- The job's counter of open steps, and its status: with open steps it is not completed.
UPDATE job SET
    steps_open = steps_open + :opened, updated_at = :now,
    reason = CASE WHEN status = 'completed' AND :opened > 0 THEN 'retry' ELSE reason END,
    completed_at = CASE WHEN :opened > 0 THEN NULL ELSE completed_at END,
    status = CASE WHEN status = 'completed' AND :opened > 0 THEN 'paused' ELSE status END;
