-- Creating the schema; creating, opening, recovering and closing a job.

-- name: lock_schema
-- One process at a time creates or migrates the schema.
SELECT pg_advisory_xact_lock(hashtext('scrapy_resume schema'));

-- name: has_schema
-- Whether the schema exists. (By the catalogue's tables: to_regclass answers from a cache that may be
-- outdated in a process that has waited for the lock.)
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_tables
    WHERE schemaname = 'scrapy_resume' AND tablename = 'migration'
);

-- name: schema_version
-- The version of the schema.
SELECT max(version) FROM scrapy_resume.migration;

-- name: record_version
-- Records the version of the schema.
INSERT INTO scrapy_resume.migration (version, applied_at)
VALUES (%(version)s, extract(epoch FROM clock_timestamp()));

-- name: workers
-- Some runs of any job that have sent a heartbeat lately.
SELECT worker FROM scrapy_resume.run
WHERE status = 'running' AND beat_at + orphan_seconds > extract(epoch FROM clock_timestamp())
ORDER BY beat_at DESC LIMIT 3;

-- name: pass_door
-- Held to the end of the transaction: one run at a time decides how to open a job of a name. Does not
-- wait: behind a pooler the waiting runs would occupy all sessions, and the run that holds the lock
-- would wait for one.
SELECT pg_try_advisory_xact_lock(hashtext('scrapy_resume door'), hashtext(%(name)s));

-- name: wait_at_most
-- Limits how long this transaction waits for a lock.
SELECT set_config('lock_timeout', %(timeout)s, true);

-- name: latest
-- The job of that name with the highest number.
SELECT name, number FROM scrapy_resume.job WHERE name = %(name)s ORDER BY number DESC LIMIT 1;

-- name: create_job
-- A new job.
INSERT INTO scrapy_resume.job (
    name, number, spider, status, created_at, updated_at, arguments, metadata, input_hashes,
    launch, uid
)
SELECT
    %(name)s, %(number)s, %(spider)s, 'initialized', t.now, t.now, %(arguments)s, %(metadata)s,
    %(input_hashes)s, %(launch)s, %(uid)s
FROM (SELECT extract(epoch FROM clock_timestamp()) AS now) AS t
ON CONFLICT DO NOTHING
RETURNING id;

-- name: earlier_jobs
-- Earlier numbers, the latest first, and whether they have the keys of all numbers before them.
SELECT id, keeps_given FROM scrapy_resume.job
WHERE name = %(name)s AND number < %(number)s ORDER BY number DESC;

-- name: keep_given
-- Whether the job skips the keys in `given`, and whether `given` has those of all earlier numbers.
WITH emptied AS (
    DELETE FROM scrapy_resume.given WHERE job = %(job)s
)
UPDATE scrapy_resume.job SET delta = %(delta)s, keeps_given = %(keeps)s WHERE id = %(job)s;

-- name: carry_given
-- Copies the keys of earlier numbers, and those (or else all identities) of their requests that are
-- done and gave items, all of which are complete.
INSERT INTO scrapy_resume.given (job, key)
SELECT %(job)s, key FROM (
    SELECT key FROM scrapy_resume.given WHERE job = ANY(%(earlier)s)
    UNION
    SELECT coalesce(r.given_key, s.identity)
    FROM scrapy_resume.request AS r
    JOIN scrapy_resume.seen AS s ON s.job = r.job AND s.request = r.id
    WHERE
        r.job = ANY(%(earlier)s)
        AND r.state = 2 AND r.items > 0 AND r.kind = 0 AND r.every_run = 0
        AND NOT EXISTS (
            SELECT FROM scrapy_resume.stepped AS e
            JOIN scrapy_resume.step AS t ON t.job = e.job AND t.item = e.id
            WHERE e.job + 0 = r.job AND e.request = r.id AND t.state NOT IN (2, 5)
        )
) AS earlier
ORDER BY key;

-- name: hold_job
-- Locks the job: one run at a time opens or leaves it.
SELECT
    id, status, next_run, start_exhausted, start_over, every_run, delta, created_at,
    extract(epoch FROM clock_timestamp())::double precision
FROM scrapy_resume.job WHERE name = %(name)s AND number = %(number)s
FOR UPDATE;

-- name: hold_open_job
-- Locks the job before a dead run is ended: an opening locks the two rows in this order too.
SELECT id FROM scrapy_resume.job WHERE id = %(job)s FOR UPDATE;

-- name: live_runs
-- Runs whose end was not recorded. While the server was down, none could send a heartbeat: silence
-- begins with its start, unless that is in the future, because the clock was set back since.
SELECT
    number, worker, process, beat_at, orphan_seconds, leaving, last,
    extract(epoch FROM clock_timestamp())::double precision
    - greatest(
        beat_at,
        CASE WHEN pg_postmaster_start_time() <= clock_timestamp()
            THEN extract(epoch FROM pg_postmaster_start_time()) END
    )
FROM scrapy_resume.run WHERE job = %(job)s AND status = 'running' ORDER BY number;

-- name: silent_runs
-- Runs that were silent for too long, unless another worker is ending them already.
SELECT number, worker FROM scrapy_resume.run
WHERE
    job = %(job)s AND number <> %(run)s AND status = 'running'
    AND greatest(
        beat_at,
        CASE WHEN pg_postmaster_start_time() <= clock_timestamp()
            THEN extract(epoch FROM pg_postmaster_start_time()) END
    ) + orphan_seconds
    < extract(epoch FROM clock_timestamp())
ORDER BY number
FOR UPDATE SKIP LOCKED;

-- name: hold_run
-- Locks a run to the end of the transaction; waits for a commit of it that is under way.
SELECT number FROM scrapy_resume.run
WHERE job = %(job)s AND number = %(run)s AND status = 'running'
FOR UPDATE;

-- name: longest_delay
-- The longest time, in seconds, for which a run has left its slots alone.
SELECT coalesce(max(delay_seconds), 0) FROM scrapy_resume.run WHERE job = %(job)s;

-- name: marks
-- The marks of a run as they were written last, and the suspect that ran alone then.
SELECT sent, answered, alone_id, delay_seconds FROM scrapy_resume.run
WHERE job = %(job)s AND number = %(run)s;

-- name: orphaned_rows
-- The rows that a run which has ended still holds.
SELECT f.id, f.kind, f.slot, f.suspect, f.not_before, f.crashes, r.unit
FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.request AS r ON r.job = f.job AND r.id = f.id
WHERE f.job = %(job)s AND f.run = %(run)s ORDER BY f.id;

-- name: recover
-- leased → pending, with the outcome of the recovery.
UPDATE scrapy_resume.frontier AS f SET
    run = 0, attempts = f.attempts + c.attempts, crashes = c.crashes, suspect = c.suspect,
    updated_at = %(now)s
FROM unnest(
    %(ids)s::bigint[], %(attempts)s::integer[], %(crashes)s::integer[], %(suspects)s::smallint[]
) AS c (id, attempts, crashes, suspect)
WHERE f.job = %(job)s AND f.run + 0 = %(run)s AND f.id = c.id AND f.id = ANY(%(ids)s);

-- name: park
-- leased → parked: the process died while the row ran alone.
WITH parked AS (
    DELETE FROM scrapy_resume.frontier
    WHERE job = %(job)s AND run + 0 = %(run)s AND id = %(id)s
    RETURNING id, attempts
), troubled AS (
    INSERT INTO scrapy_resume.trouble (job, state, id) SELECT %(job)s, 4, id FROM parked
)
UPDATE scrapy_resume.request AS r SET
    state = 4, attempts = p.attempts + %(attempts)s, crashes = %(crashes)s, error = %(error)s,
    error_message = %(error_message)s, updated_at = %(now)s
FROM parked AS p WHERE r.job = %(job)s AND r.id = p.id AND r.id = %(id)s;

-- name: empty_spill
-- Provisional items end with the run.
DELETE FROM scrapy_resume.spill WHERE job = %(job)s AND run = %(run)s;

-- name: free_slots
-- Frees the slots of a run that has ended; no run may claim them before its delay is over.
UPDATE scrapy_resume.slot SET run = 0, free_at = %(free_at)s WHERE job = %(job)s AND run = %(run)s;

-- name: free_start
-- Frees start() for another run, unless it is exhausted.
UPDATE scrapy_resume.job SET start_run = 0
WHERE id = %(job)s AND start_run = %(run)s AND NOT start_over;

-- name: old_every_run
-- Pending requests that are fetched once in each run.
SELECT f.id, f.kind, f.slot, f.suspect, f.not_before, r.unit
FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.request AS r ON r.job = f.job AND r.id = f.id
WHERE f.job = %(job)s AND f.every_run = 1 AND f.run = 0;

-- name: supersede
-- pending → ignored: each run has its own requests of this kind.
WITH gone AS (
    DELETE FROM scrapy_resume.frontier WHERE job = %(job)s AND id = ANY(%(ids)s)
    RETURNING id, attempts, crashes
)
UPDATE scrapy_resume.request AS r SET
    state = 5, attempts = g.attempts, crashes = g.crashes, error = 'superseded',
    error_message = NULL, updated_at = %(now)s
FROM gone AS g WHERE r.job = %(job)s AND r.id = g.id AND r.id = ANY(%(ids)s);

-- name: waiting_hosts
-- The records of hosts that wait.
SELECT key, record FROM scrapy_resume.host
WHERE
    job = %(job)s
    AND greatest(
        (record::json ->> 'open_until')::double precision,
        (record::json ->> 'wait_until')::double precision
    ) > %(after)s
ORDER BY key;

-- name: bound_delays
-- No row waits beyond a time, unless its host does (of any host, where one queue has the rows of
-- all): the clock may have been wrong when the delay was stored.
UPDATE scrapy_resume.frontier SET not_before = %(bound)s
WHERE job = %(job)s AND id IN (
    SELECT f.id FROM scrapy_resume.frontier AS f
    WHERE
        f.job = %(job)s AND f.run = 0 AND f.not_before > 0 AND f.not_before > %(bound)s
        AND NOT EXISTS (
            SELECT FROM scrapy_resume.slot AS s
            JOIN scrapy_resume.host AS h ON h.job = f.job AND (h.key = s.key OR s.key = '')
            WHERE
                s.id = f.slot
                AND greatest(
                    (h.record::json ->> 'open_until')::double precision,
                    (h.record::json ->> 'wait_until')::double precision
                ) >= f.not_before - 1
        )
    ORDER BY f.id
    FOR UPDATE SKIP LOCKED
);

-- name: end_run
-- How a run ended, by itself or by its death.
UPDATE scrapy_resume.run SET
    status = %(status)s, reason = %(reason)s, ended_at = coalesce(%(ended_at)s, beat_at),
    stats = %(stats)s, starving = false, sent = '{}', answered = '{}'
WHERE job = %(job)s AND number = %(run)s;

-- name: change_counters
-- By how much a recovery has changed the job's counters.
UPDATE scrapy_resume.run SET
    pending = pending + %(pending)s, leased = leased + %(leased)s, parked = parked + %(parked)s,
    ignored = ignored + %(ignored)s, delayed = delayed + %(delayed)s,
    steps_open = steps_open + %(steps_open)s
WHERE job = %(job)s AND number = %(run)s;

-- name: fold_run
-- Adds the counters of a run that has ended to the job's.
WITH folded AS (
    UPDATE scrapy_resume.run AS r SET
        pending = 0, leased = 0, done = 0, failed = 0, parked = 0, ignored = 0, delayed = 0,
        items_stored = 0, items_dropped = 0, items_failed = 0, superseded = 0, steps_open = 0
    FROM (
        SELECT * FROM scrapy_resume.run WHERE job = %(job)s AND number = %(run)s FOR UPDATE
    ) AS was
    WHERE r.job = was.job AND r.number = was.number
    RETURNING
        was.pending, was.leased, was.done, was.failed, was.parked, was.ignored, was.delayed,
        was.items_stored, was.items_dropped, was.items_failed, was.superseded, was.next_id,
        was.steps_open
)
UPDATE scrapy_resume.job AS j SET
    pending = j.pending + f.pending, leased = j.leased + f.leased, done = j.done + f.done,
    failed = j.failed + f.failed, parked = j.parked + f.parked, ignored = j.ignored + f.ignored,
    delayed = j.delayed + f.delayed, items_stored = j.items_stored + f.items_stored,
    items_dropped = j.items_dropped + f.items_dropped,
    items_failed = j.items_failed + f.items_failed, superseded = j.superseded + f.superseded,
    next_id = greatest(j.next_id, f.next_id), steps_open = j.steps_open + f.steps_open
FROM folded AS f WHERE j.id = %(job)s;

-- name: counters
-- The counters of the whole job.
SELECT
    pending, leased, done, failed, parked, ignored, delayed, items_stored, items_dropped,
    items_failed, steps_open, superseded, next_id
FROM scrapy_resume.totals WHERE job = %(job)s;

-- name: begin_run
-- Each opening begins a new run.
INSERT INTO scrapy_resume.run (
    job, number, worker, process, status, started_at, beat_at, orphan_seconds, delay_seconds,
    next_id
) VALUES (
    %(job)s, %(run)s, %(worker)s, %(process)s, 'running', %(now)s, %(now)s, %(orphan_seconds)s,
    %(delay_seconds)s, %(next_id)s
);

-- name: begin_round
-- What start() yields is to be fetched again, unless the last round of that is not completed.
UPDATE scrapy_resume.job SET round = round + 1, round_from = %(first_id)s, start_exhausted = false
WHERE id = %(job)s AND (round = 0 OR status = 'completed');

-- name: round
-- The round of an extended job.
SELECT round, round_from FROM scrapy_resume.job WHERE id = %(job)s;

-- name: open_job
-- The job is open: the run may work from here on.
UPDATE scrapy_resume.job SET
    status = 'running', reason = NULL, completed_at = NULL, updated_at = %(now)s,
    next_run = %(run)s + 1, metadata = coalesce(%(metadata)s, metadata),
    launch = coalesce(%(launch)s, launch),
    start_run = %(start_run)s, start_over = %(start_over)s
WHERE id = %(job)s;

-- name: last_status
-- How the last run ended.
SELECT status FROM scrapy_resume.run WHERE job = %(job)s AND number < %(run)s
ORDER BY number DESC LIMIT 1;

-- name: start_run
-- The run that has start().
SELECT start_run FROM scrapy_resume.job WHERE id = %(job)s;

-- name: ready_suspects
-- How many suspects are pending.
SELECT count(*) FROM scrapy_resume.frontier
WHERE job = %(job)s AND run = 0 /* if retried: AND retried = 1 */ AND suspect = 1 AND not_before = 0;

-- name: earlier_runs
-- What each run has done so far, and when it was under way.
SELECT
    pages, items, units, unit_pages, named_pages, started_at, coalesce(ended_at, beat_at) AS ended_at
FROM scrapy_resume.run WHERE job = %(job)s AND number <> %(run)s;

-- name: adopt_state
-- The `spider.state` of the last run that has ended, for the run that opens the job now.
UPDATE scrapy_resume.spider_state SET run = %(run)s
WHERE job = %(job)s AND run = (
    SELECT s.run FROM scrapy_resume.spider_state AS s
    JOIN scrapy_resume.run AS w ON w.job = s.job AND w.number = s.run
    WHERE s.job = %(job)s AND w.status <> 'running'
    ORDER BY w.ended_at DESC, s.run DESC LIMIT 1
)
RETURNING payload;

-- name: adopt_cookies
-- The jars of the last run that has ended and had some.
UPDATE scrapy_resume.cookies SET run = %(run)s
WHERE job = %(job)s AND run = (
    SELECT c.run FROM scrapy_resume.cookies AS c
    JOIN scrapy_resume.run AS w ON w.job = c.job AND w.number = c.run
    WHERE c.job = %(job)s AND w.status <> 'running'
    ORDER BY w.ended_at DESC, c.run DESC LIMIT 1
)
RETURNING jar, payload;

-- name: share_cookies
-- The cookies of live workers, for a worker that joins while no run has ended.
INSERT INTO scrapy_resume.cookies (job, run, jar, payload, updated_at)
SELECT DISTINCT ON (jar) job, %(run)s, jar, payload, updated_at FROM scrapy_resume.cookies
WHERE job = %(job)s ORDER BY jar, updated_at DESC
RETURNING jar, payload;

-- name: events
-- Events that were not delivered.
SELECT id, payload FROM scrapy_resume.event WHERE job = %(job)s ORDER BY id;

-- name: feeds
-- Files of feeds that a run may continue.
SELECT name, batch, record, settled FROM scrapy_resume.feed
WHERE job = %(job)s AND NOT settled ORDER BY name, batch;

-- name: set_clock_back
-- After the server's clock was set back: times that were written before must not lie in the future.
-- (A run whose row is locked is sending a heartbeat.)
UPDATE scrapy_resume.run SET beat_at = %(now)s
WHERE (job, number) IN (
    SELECT job, number FROM scrapy_resume.run
    WHERE job = %(job)s AND status = 'running' AND beat_at > %(now)s
    FOR UPDATE SKIP LOCKED
);

-- name: shift_minutes
-- After the server's clock was set: the minutes of a run that goes on, by the clock as it is now; out
-- of the way of those that are not shifted yet.
UPDATE scrapy_resume.minute SET minute = -(minute + %(minutes)s)
WHERE
    job = %(job)s AND run = %(run)s
    AND minute >= (
        SELECT floor(least(started_at, beat_at) / 60) FROM scrapy_resume.run
        WHERE job = %(job)s AND number = %(run)s
    );

-- name: settle_minutes
-- They are shifted.
UPDATE scrapy_resume.minute SET minute = -minute
WHERE job = %(job)s AND minute < 0 AND run = %(run)s;

-- name: shift_run
-- The same for the start of the run.
UPDATE scrapy_resume.run SET started_at = started_at + %(leap)s
WHERE job = %(job)s AND number = %(run)s;

-- name: free_slots_earlier
-- After the server's clock was set back: no free slot has to wait for longer than a delay.
UPDATE scrapy_resume.slot SET free_at = %(free_at)s
WHERE id IN (
    SELECT id FROM scrapy_resume.slot
    WHERE job = %(job)s AND run = 0 AND free_at > %(free_at)s
    FOR UPDATE SKIP LOCKED
);

-- name: feeds_left
-- Files of feeds that runs which have ended did not deliver.
SELECT name, batch, record, settled FROM scrapy_resume.feed
WHERE job = %(job)s AND NOT settled ORDER BY name, batch;

-- name: be_last
-- The run found the job finished and no other run on it: it delivers the feeds.
UPDATE scrapy_resume.run SET last = true WHERE job = %(job)s AND number = %(run)s;

-- name: leave
-- The run found the job finished and is about to close: it does not count as working any more.
UPDATE scrapy_resume.run SET leaving = true WHERE job = %(job)s AND number = %(run)s;

-- name: is_open
-- Whether anything of the job is open.
SELECT (
    SELECT id FROM scrapy_resume.frontier WHERE job = %(job)s ORDER BY id LIMIT 1
) IS NOT NULL
OR (SELECT steps_open FROM scrapy_resume.totals WHERE job = %(job)s) > 0;

-- name: end_job
-- The status of the job when its last run closes.
UPDATE scrapy_resume.job SET
    status = %(status)s, reason = %(reason)s, updated_at = %(now)s, start_run = 0,
    completed_at = CASE WHEN %(status)s = 'completed' THEN %(now)s END
WHERE id = %(job)s;

-- name: times
-- When the job was completed, and when anything was changed in it.
SELECT completed_at, updated_at FROM scrapy_resume.job WHERE id = %(job)s;
