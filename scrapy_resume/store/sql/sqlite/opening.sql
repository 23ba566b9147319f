-- Creating, opening, recovering, closing and cancelling a job.

-- name: create_job
-- The one row of a new job's file.
INSERT INTO job (
    one, name, number, spider, status, epoch, next_id, created_at, updated_at,
    arguments, metadata, input_hashes, launch, uid
) VALUES (
    1, :name, :number, :spider, 'initialized', 0, 1, :now, :now,
    :arguments, :metadata, :input_hashes, :launch, lower(hex(randomblob(16)))
);

-- name: keeps_given
-- Whether a job has the keys of all earlier numbers.
SELECT keeps_given FROM job;

-- name: attach_earlier
-- Attaches an earlier number's file to the new one.
ATTACH ? AS earlier;

-- name: detach_earlier
-- Detaches it.
DETACH earlier;

-- name: earlier_has_steps
-- Whether the earlier number is of a version that knows steps.
SELECT count(*) FROM earlier.sqlite_master WHERE name = 'stepped';

-- name: earlier_partial
-- Requests of the earlier number that gave an item of which a step has not ended well.
SELECT DISTINCT s.request FROM earlier.step AS t CROSS JOIN earlier.stepped AS s
WHERE t.state NOT IN (2, 5) AND s.id = t.item;

-- name: carry_given
-- Copies the keys of an earlier number, and those (or else all identities) of its requests that are
-- done and gave items, in the order of the primary key.
INSERT INTO given (head, tail)
SELECT head, tail FROM (
    SELECT head, tail FROM earlier.given
    UNION ALL
    SELECT coalesce(given_head, identity_head), coalesce(given_tail, identity_tail)
    FROM earlier.request
    WHERE
        state = 2 AND items > 0 AND kind = 0 AND every_run = 0
        AND id NOT IN (SELECT value FROM json_each(:partial))
    UNION ALL
    SELECT a.identity_head, a.identity_tail
    FROM earlier.alias AS a CROSS JOIN earlier.request AS r
    WHERE
        r.id = a.request AND r.given_head IS NULL
        AND r.state = 2 AND r.items > 0 AND r.kind = 0 AND r.every_run = 0
        AND r.id NOT IN (SELECT value FROM json_each(:partial))
)
WHERE true ORDER BY head, tail
ON CONFLICT (head, tail) DO NOTHING;

-- name: keep_given
-- From here on the job has the keys of all earlier numbers.
UPDATE job SET delta = ?, keeps_given = 1;

-- name: ownership
-- The job's epoch and name, and its last run, if there was one.
SELECT j.epoch, j.status, j.name, j.number, r.number, r.epoch, r.status, r.worker, r.started_at
FROM job AS j
LEFT JOIN run AS r ON r.number = (SELECT max(number) FROM run);

-- name: take_over
-- A new epoch: from here on the previous run cannot commit.
UPDATE job SET epoch = :epoch, status = :status, updated_at = :now;

-- name: cancel_job
-- Cancels a job that has no owner.
UPDATE job SET
    epoch = :epoch, status = 'cancelled', reason = 'cancelled', completed_at = NULL,
    updated_at = :now;

-- name: orphaned_rows
-- The rows that the previous run held when it ended, through the index on leased rows.
SELECT id, kind, slot, suspect, not_before, crashes, unit FROM request
WHERE state = 1 ORDER BY id;

-- name: recover
-- leased → pending or parked, with the outcome of the recovery.
UPDATE request SET
    state = ?, attempts = attempts + ?, crashes = ?, suspect = ?, error = coalesce(?, error),
    error_message = coalesce(?, error_message), updated_at = ?
WHERE id = ?;

-- name: old_every_run
-- Pending requests of earlier runs that are fetched once in each run.
SELECT id, kind, slot, suspect, not_before, unit FROM request
WHERE every_run = 1 AND state = 0 AND run < ?;

-- name: supersede
-- pending → ignored: each run has its own requests of this kind.
UPDATE request SET
    state = 5, error = 'superseded', error_message = NULL, not_before = 0, suspect = 0,
    updated_at = ?
WHERE id = ?;

-- name: empty_spill
-- Provisional items end with the run.
DELETE FROM spill;

-- name: waiting_hosts
-- The records of hosts that wait.
SELECT key, record FROM host
WHERE json_extract(record, '$.open_until') > ? OR json_extract(record, '$.wait_until') > ?;

-- name: bound_delays
-- No row waits beyond a time, unless its host does (of any host, where one queue has the rows of
-- all): the clock may have been wrong when the delay was stored.
UPDATE request SET not_before = :bound
WHERE
    state = 0 AND not_before > 0 AND not_before > :bound
    AND not_before - 1 > (
        SELECT coalesce(max(max(
            coalesce(json_extract(h.record, '$.open_until'), 0),
            coalesce(json_extract(h.record, '$.wait_until'), 0)
        )), 0)
        FROM slot AS s CROSS JOIN host AS h
        WHERE s.id = request.slot AND h.key = s.key
    )
    AND (
        slot <> coalesce((SELECT id FROM slot WHERE key = ''), 0)
        OR not_before - 1 > (
            SELECT coalesce(max(max(
                coalesce(json_extract(record, '$.open_until'), 0),
                coalesce(json_extract(record, '$.wait_until'), 0)
            )), 0)
            FROM host
        )
    );

-- name: shift_run
-- After the clock was set: the times of the run that goes on, by the clock as it is now.
UPDATE run SET started_at = started_at + :leap, beat_at = beat_at + :leap WHERE number = :run;

-- name: shift_delays
-- The same for delayed rows: they wait as long as they were to wait.
UPDATE request SET not_before = max(not_before + :leap, 1) WHERE state = 0 AND not_before > 0;

-- name: shift_minutes
-- The same for the minutes of the run, out of the way of those that are not shifted yet.
UPDATE minute SET minute = -(minute + :minutes)
WHERE
    run = :run
    AND minute >= (
        SELECT CAST(min(started_at, beat_at) / 60 AS INTEGER) FROM run WHERE number = :run
    );

-- name: settle_minutes
-- They are shifted.
UPDATE minute SET minute = -minute WHERE minute < 0 AND run = :run;

-- name: end_run
-- How a run ended, by itself or by its death.
UPDATE run SET
    status = :status, reason = :reason, ended_at = coalesce(:ended_at, beat_at), stats = :stats
WHERE number = :number;

-- name: begin_run
-- Each opening begins a new run.
INSERT INTO run (number, epoch, worker, status, started_at, beat_at, silent_after, first_item)
VALUES (
    :number, :epoch, :worker, 'running', :now, :now, :silent_after, (SELECT next_item FROM job)
);

-- name: begin_round
-- What start() yields is to be fetched again, unless the last round of that is not completed.
UPDATE job SET round = round + 1, round_from = next_id, start_exhausted = 0
WHERE round = 0 OR status = 'completed';

-- name: start_job
-- The job is open: the run may work from here on.
UPDATE job SET
    status = 'running', reason = NULL, completed_at = NULL, updated_at = :now,
    metadata = coalesce(:metadata, metadata), launch = coalesce(:launch, launch);

-- name: keep_recovered
-- The counters, as the recovery leaves them.
UPDATE job SET
    commits = commits + 1, alone_id = 0, pending = :pending, leased = :leased, done = :done,
    failed = :failed, parked = :parked, ignored = :ignored, delayed = :delayed,
    steps_open = :steps_open;

-- name: change_slot
-- By how much a recovery has changed the pending rows of a slot.
UPDATE slot SET pending = pending + ? WHERE id = ?;

-- name: events
-- Events that were not delivered.
SELECT id, payload FROM event ORDER BY id;

-- name: feeds
-- Files of feeds that a run may continue.
SELECT name, batch, record, settled FROM feed WHERE settled = 0 ORDER BY name, batch;

-- name: session
-- The job, for the run that opens it.
SELECT
    next_id, start_exhausted, every_run, (SELECT payload FROM spider_state),
    created_at,
    (SELECT count(*) FROM request WHERE state = 0 AND suspect = 1 AND not_before = 0), delta,
    round, round_from, uid
FROM job;

-- name: earlier_runs
-- What each run has done so far, and when it was under way.
SELECT
    pages, items, units, unit_pages, named_pages, started_at, coalesce(ended_at, beat_at) AS ended_at
FROM run WHERE number < :run;

-- name: open_slots
-- Slots with rows that can be leased.
SELECT key, pending FROM slot WHERE pending > 0;

-- name: hosts
-- The records of hosts.
SELECT key, record FROM host;

-- name: cookies
-- All cookie jars.
SELECT jar, payload FROM cookies;

-- name: end_job
-- The status of the job when a run closes.
UPDATE job SET
    status = :status, reason = :reason, updated_at = :now,
    completed_at = CASE :status WHEN 'completed' THEN :now END;

-- name: drop_orders
-- Deletes the orders that the previous owner did not execute.
DELETE FROM control;

-- name: end_recovered
-- The status of the job after a recovery that began no run.
UPDATE job SET
    epoch = :epoch, status = 'paused', reason = 'recovered', completed_at = NULL, updated_at = :now;
