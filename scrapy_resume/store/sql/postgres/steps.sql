-- Steps of items: what a batch does to them. How rows are named is said in commit.sql. (`id + 0`: an
-- index would be read in its order from end to end, since the job is taken for one of few rows.
-- `job + 0`: the key would be read so, instead of the index that has the other column, too.
-- `state + 0`: the index on running steps holds all that have run since the last vacuum.)
--
-- Whoever changes an item or its steps, or leases one of them, holds the item's row: statements
-- that do not lock it themselves come after one that does. The keys of items are locked before
-- the items.

-- name: find_kinds
-- The ids of steps by name.
SELECT name, id FROM scrapy_resume.step_kind WHERE job = %(job)s AND name = ANY(%(names)s);

-- name: lock_kinds
-- One transaction at a time adds steps to a job.
SELECT pg_advisory_xact_lock(hashtext('scrapy_resume step kinds'), %(job)s);

-- name: add_kinds
-- Steps that the job did not have.
INSERT INTO scrapy_resume.step_kind (job, id, name)
SELECT %(job)s, coalesce(k.last, 0) + n.place, n.name
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS n (name, place),
    (SELECT max(id) AS last FROM scrapy_resume.step_kind WHERE job = %(job)s) AS k
ON CONFLICT (job, name) DO NOTHING;

-- name: kinds
-- All steps that the job has had.
SELECT id, name FROM scrapy_resume.step_kind WHERE job = %(job)s;

-- name: tally
-- The steps by state, over all runs.
SELECT
    kind, sum(ready)::bigint, sum(delayed)::bigint, sum(suspect)::bigint, sum(waiting)::bigint,
    sum(running)::bigint, sum(done)::bigint, sum(failed)::bigint, sum(parked)::bigint,
    sum(skipped)::bigint
FROM scrapy_resume.step_tally WHERE job = %(job)s GROUP BY kind;

-- name: change_tally
-- By how much the run has changed them.
INSERT INTO scrapy_resume.step_tally (
    job, run, kind, ready, delayed, suspect, waiting, running, done, failed, parked, skipped
)
SELECT
    %(job)s, %(run)s, kind, ready, delayed, suspect, waiting, running, done, failed, parked, skipped
FROM json_to_recordset(%(rows)s::json) AS n (
    kind smallint, ready bigint, delayed bigint, suspect bigint, waiting bigint, running bigint,
    done bigint, failed bigint, parked bigint, skipped bigint
)
ORDER BY kind
ON CONFLICT (job, run, kind) DO UPDATE SET
    ready = step_tally.ready + excluded.ready, delayed = step_tally.delayed + excluded.delayed,
    suspect = step_tally.suspect + excluded.suspect,
    waiting = step_tally.waiting + excluded.waiting,
    running = step_tally.running + excluded.running, done = step_tally.done + excluded.done,
    failed = step_tally.failed + excluded.failed, parked = step_tally.parked + excluded.parked,
    skipped = step_tally.skipped + excluded.skipped;

-- name: change_days
-- Attempts that have ended on a day.
INSERT INTO scrapy_resume.step_day (
    job, run, day, kind, attempts, retries, done, failed, skipped
)
SELECT %(job)s, %(run)s, day, kind, attempts, retries, done, failed, skipped
FROM json_to_recordset(%(rows)s::json) AS n (
    day integer, kind smallint, attempts bigint, retries bigint, done bigint, failed bigint,
    skipped bigint
)
ORDER BY day, kind
ON CONFLICT (job, day, kind, run) DO UPDATE SET
    attempts = step_day.attempts + excluded.attempts, retries = step_day.retries + excluded.retries,
    done = step_day.done + excluded.done, failed = step_day.failed + excluded.failed,
    skipped = step_day.skipped + excluded.skipped;

-- name: last_id
-- The highest id of an item with steps.
SELECT coalesce(max(id), 0) FROM scrapy_resume.stepped WHERE job = %(job)s;

-- name: add_items
-- Items with steps.
INSERT INTO scrapy_resume.stepped (
    job, id, version, request, occurrence, key, updates, open, shown, payload
)
SELECT %(job)s, id, version, request, occurrence, key, updates, open, shown, payload
FROM json_to_recordset(%(rows)s::json) AS n (
    id bigint, version integer, request bigint, occurrence integer, key text, updates smallint,
    open integer, shown smallint, payload text
);

-- name: add_steps
-- Their steps.
INSERT INTO scrapy_resume.step (job, item, kind, state, error, error_message)
SELECT %(job)s, item, kind, state, error, error_message
FROM json_to_recordset(%(rows)s::json) AS n (
    item bigint, kind smallint, state smallint, error text, error_message text
);

-- name: lock_keys_of_requests
-- Locks the keys of the items that these requests have given, in order.
SELECT pg_advisory_xact_lock(%(job)s, k.kind)
FROM (
    SELECT DISTINCT hashtext(s.key) & 255 AS kind FROM scrapy_resume.stepped AS s
    WHERE s.job + 0 = %(job)s AND s.request = ANY(%(ids)s) AND s.updates = 1
    ORDER BY kind
) AS k;

-- name: items_of_requests
-- The items with steps that these requests have given.
SELECT id, version, request, occurrence, key, updates, open, shown
FROM scrapy_resume.stepped WHERE job + 0 = %(job)s AND request = ANY(%(ids)s)
ORDER BY id + 0 FOR UPDATE;

-- name: items_of_keys
-- Those with these keys of RESUME_ITEM_KEY.
SELECT id, version, request, occurrence, key, updates, open, shown
FROM scrapy_resume.stepped WHERE job + 0 = %(job)s AND key = ANY(%(keys)s) AND updates = 1
ORDER BY id + 0 FOR UPDATE;

-- name: lock_keys_of_items
-- Locks the keys of items, in order.
SELECT pg_advisory_xact_lock(%(job)s, k.kind)
FROM (
    SELECT DISTINCT hashtext(s.key) & 255 AS kind FROM scrapy_resume.stepped AS s
    WHERE s.job = %(job)s AND s.id = ANY(%(ids)s) AND s.updates = 1
    ORDER BY kind
) AS k;

-- name: items
-- Items with steps.
SELECT id, version, request, occurrence, key, updates, open, shown
FROM scrapy_resume.stepped WHERE job = %(job)s AND id = ANY(%(ids)s)
ORDER BY id + 0 FOR UPDATE;

-- name: steps_of
-- The steps of items.
SELECT
    item, kind, state, run, not_before, attempts, crashes, suspect, error, error_message, version,
    inputs, gave
FROM scrapy_resume.step WHERE job = %(job)s AND item = ANY(%(ids)s) ORDER BY item + 0, kind;

-- name: replace_items
-- The page was fetched again: new versions. Their steps are those that follow: what is not among
-- them ends, what the others were done with before is kept.
WITH new AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
        id bigint, version integer, request bigint, occurrence integer, key text,
        updates smallint, open integer, shown smallint, payload text
    )
)
UPDATE scrapy_resume.stepped AS s SET
    version = n.version, request = n.request, occurrence = n.occurrence, key = n.key,
    updates = n.updates, open = n.open, shown = n.shown, payload = n.payload
FROM new AS n WHERE s.job = %(job)s AND s.id = n.id AND s.id = ANY(%(ids)s);

-- name: drop_other_steps
-- Steps that the new versions do not have.
DELETE FROM scrapy_resume.step AS t
WHERE t.job = %(job)s AND t.item = ANY(%(ids)s) AND NOT EXISTS (
    SELECT FROM json_to_recordset(%(rows)s::json) AS n (item bigint, kind smallint)
    WHERE n.item = t.item AND n.kind = t.kind
);

-- name: replace_steps
-- Steps of new versions.
INSERT INTO scrapy_resume.step (job, item, kind, state, error, error_message)
SELECT %(job)s, item, kind, state, error, error_message
FROM json_to_recordset(%(rows)s::json) AS n (
    item bigint, kind smallint, state smallint, error text, error_message text
)
ORDER BY item, kind
ON CONFLICT (job, item, kind) DO UPDATE SET
    state = excluded.state, run = 0, not_before = 0, attempts = 0, crashes = 0, suspect = 0,
    error = excluded.error, error_message = excluded.error_message, first_at = NULL, last_at = NULL,
    version = CASE WHEN step.state = 2 THEN step.version END,
    inputs = CASE WHEN step.state = 2 THEN step.inputs END,
    gave = CASE WHEN step.state = 2 THEN step.gave END;

-- name: keep_items
-- What attempts have made of items.
UPDATE scrapy_resume.stepped AS s SET
    open = n.open, shown = n.shown, payload = CASE WHEN n.changed THEN n.payload ELSE s.payload END
FROM json_to_recordset(%(rows)s::json) AS n (
    id bigint, open integer, shown smallint, changed boolean, payload text
)
WHERE s.job = %(job)s AND s.id = n.id AND s.id = ANY(%(ids)s);

-- name: drop_items
-- Deletes items with their steps.
WITH gone AS (
    DELETE FROM scrapy_resume.step WHERE job = %(job)s AND item = ANY(%(ids)s)
)
DELETE FROM scrapy_resume.stepped WHERE job = %(job)s AND id = ANY(%(ids)s);

-- name: open_payload
-- An item as its steps left it.
SELECT payload FROM scrapy_resume.stepped WHERE job = %(job)s AND id = %(id)s;

-- name: drop_shown
-- Deletes the visible versions of items, and notes it for followers; how many of which request.
WITH gone AS (
    DELETE FROM scrapy_resume.item
    WHERE job = %(job)s AND id = ANY(ARRAY(
        SELECT v.id FROM json_to_recordset(%(rows)s::json) AS n (
            request bigint, occurrence integer, key text
        )
        CROSS JOIN LATERAL (
            SELECT i.id FROM scrapy_resume.item AS i
            WHERE
                i.job = %(job)s AND i.request = n.request AND i.occurrence = n.occurrence
                AND i.key IS NOT DISTINCT FROM n.key
            OFFSET 0
        ) AS v
    ))
    RETURNING id, request, occurrence, key
), noted AS (
    INSERT INTO scrapy_resume.taken_back (job, run, number, item, request, occurrence, key)
    SELECT
        %(job)s, %(run)s, coalesce(b.last, 0) + row_number() OVER (ORDER BY g.id), g.id, g.request,
        g.occurrence, g.key
    FROM gone AS g, (
        SELECT max(number) AS last FROM scrapy_resume.taken_back
        WHERE job = %(job)s AND run = %(run)s
    ) AS b
)
SELECT request, count(*) FROM gone GROUP BY request;

-- name: drop_visible
-- The same of the visible items of a request, but for those of which a new version is awaited: from
-- this execution, or from another request that has given an item of that key since.
WITH gone AS (
    DELETE FROM scrapy_resume.item AS i
    WHERE
        job = %(job)s AND request = %(request)s
        AND NOT (key IS NULL AND occurrence = ANY(%(occurrences)s))
        AND (key IS NULL OR key <> ALL(%(keys)s))
        AND NOT EXISTS (
            SELECT FROM scrapy_resume.stepped AS s
            WHERE
                s.job + 0 = %(job)s AND s.key = i.key AND s.updates = 1
                AND s.request <> %(request)s
            OFFSET 0
        )
    RETURNING id, request, occurrence, key
), noted AS (
    INSERT INTO scrapy_resume.taken_back (job, run, number, item, request, occurrence, key)
    SELECT
        %(job)s, %(run)s, coalesce(b.last, 0) + row_number() OVER (ORDER BY g.id), g.id, g.request,
        g.occurrence, g.key
    FROM gone AS g, (
        SELECT max(number) AS last FROM scrapy_resume.taken_back
        WHERE job = %(job)s AND run = %(run)s
    ) AS b
)
SELECT count(*) FROM gone;

-- name: end_attempts
-- Attempts have ended. What an earlier one gave is kept, if this one gave nothing.
UPDATE scrapy_resume.step AS t SET
    state = n.state, not_before = n.not_before, attempts = n.attempts, suspect = 0, crashes = 0,
    error = n.error, error_message = n.error_message,
    version = CASE WHEN n.gave IS NULL THEN t.version ELSE n.version END,
    inputs = CASE WHEN n.gave IS NULL THEN t.inputs ELSE n.inputs END,
    gave = coalesce(n.gave, t.gave), first_at = coalesce(t.first_at, %(now)s), last_at = %(now)s
FROM json_to_recordset(%(rows)s::json) AS n (
    state smallint, not_before double precision, attempts integer, error text,
    error_message text, item bigint, kind smallint, version text, inputs text, gave text
)
WHERE t.job = %(job)s AND t.item = n.item AND t.kind = n.kind AND t.item = ANY(%(ids)s);

-- name: change_steps
-- What steps waited for has come, or will not come.
UPDATE scrapy_resume.step AS t SET
    state = n.state, not_before = 0, attempts = 0, crashes = 0, suspect = 0, error = n.error,
    error_message = n.error_message, last_at = %(now)s
FROM json_to_recordset(%(rows)s::json) AS n (
    item bigint, kind smallint, state smallint, error text, error_message text
)
WHERE t.job = %(job)s AND t.item = n.item AND t.kind = n.kind AND t.item = ANY(%(ids)s);

-- name: release_steps
-- running → pending; nothing was tried.
UPDATE scrapy_resume.step AS t SET state = 0, attempts = n.attempts, not_before = n.not_before
FROM json_to_recordset(%(rows)s::json) AS n (
    attempts integer, not_before double precision, item bigint, kind smallint
)
WHERE t.job = %(job)s AND t.item = n.item AND t.kind = n.kind AND t.item = ANY(%(ids)s);

-- name: hold_ready
-- Holds the items of the first steps of a kind that can run, but for items of which another run
-- runs a step. More are looked at than are wanted: other workers may hold the first ones.
WITH ready AS MATERIALIZED (
    SELECT t.item FROM scrapy_resume.step AS t
    WHERE
        t.job = %(job)s AND t.kind = %(kind)s AND t.state = 0 AND t.not_before = 0
        AND t.suspect = 0 AND NOT EXISTS (
            SELECT FROM scrapy_resume.step AS o
            WHERE
                o.job = %(job)s AND o.item = t.item AND o.state + 0 = 1 AND o.run <> %(run)s
            OFFSET 0
    )
    ORDER BY t.item LIMIT %(looked_at)s
)
SELECT id FROM scrapy_resume.stepped
WHERE job = %(job)s AND id = ANY(ARRAY(SELECT item FROM ready))
ORDER BY id + 0 LIMIT %(count)s
FOR UPDATE SKIP LOCKED;

-- name: hold_suspects
-- The same for suspects, of any kind.
WITH suspects AS MATERIALIZED (
    SELECT t.item FROM scrapy_resume.step AS t
    WHERE
        t.job = %(job)s AND t.state = 0 AND t.not_before = 0 AND t.suspect = 1
        AND NOT EXISTS (
            SELECT FROM scrapy_resume.step AS o
            WHERE
                o.job = %(job)s AND o.item = t.item AND o.state + 0 = 1 AND o.run <> %(run)s
            OFFSET 0
    )
    ORDER BY t.item LIMIT %(looked_at)s
)
SELECT id FROM scrapy_resume.stepped
WHERE job = %(job)s AND id = ANY(ARRAY(SELECT item FROM suspects))
ORDER BY id + 0 LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: take_steps
-- pending → running, as things stand now that the items are held.
UPDATE scrapy_resume.step AS t SET state = 1, run = %(run)s
WHERE
    t.job = %(job)s AND t.item = ANY(%(ids)s) AND t.kind = %(kind)s AND t.state = 0
    AND t.not_before = 0 AND t.suspect = 0 AND NOT EXISTS (
        SELECT FROM scrapy_resume.step AS o
        WHERE o.job = %(job)s AND o.item = t.item AND o.state + 0 = 1 AND o.run <> %(run)s
        OFFSET 0
    )
RETURNING t.item, t.kind, t.attempts, t.crashes, t.version, t.inputs, t.gave, t.error, t.error_message;

-- name: take_suspect
-- The same for the suspect.
UPDATE scrapy_resume.step AS t SET state = 1, run = %(run)s
WHERE t.job = %(job)s AND t.item = %(id)s AND t.kind = (
    SELECT s.kind FROM scrapy_resume.step AS s
    WHERE
        s.job = %(job)s AND s.item = %(id)s AND s.state = 0 AND s.not_before = 0
        AND s.suspect = 1 AND NOT EXISTS (
            SELECT FROM scrapy_resume.step AS o
            WHERE
                o.job = %(job)s AND o.item = s.item AND o.state + 0 = 1 AND o.run <> %(run)s
            OFFSET 0
    )
    ORDER BY s.kind LIMIT 1
)
RETURNING t.item, t.kind, t.attempts, t.crashes, t.version, t.inputs, t.gave, t.error, t.error_message;

-- name: leased_items
-- What steps need to know of their items.
SELECT
    s.id, s.version, s.key, s.shown, coalesce(s.payload, v.payload),
    CASE WHEN s.shown = 1 AND s.payload IS NOT NULL THEN v.payload END,
    coalesce((
        SELECT r.url FROM scrapy_resume.request AS r
        WHERE r.job = %(job)s AND r.id = s.request AND r.kind = 0
    ), '')
FROM unnest(%(ids)s::bigint[]) AS n (id)
CROSS JOIN LATERAL (
    SELECT * FROM scrapy_resume.stepped WHERE job = %(job)s AND id = n.id OFFSET 0
) AS s
LEFT JOIN LATERAL (
    SELECT i.payload FROM scrapy_resume.item AS i
    WHERE s.updates = 1 AND s.shown = 1 AND i.job = %(job)s AND i.key = s.key
    UNION ALL
    SELECT i.payload FROM scrapy_resume.item AS i
    WHERE
        s.updates = 0 AND s.shown = 1 AND i.job = %(job)s AND i.request = s.request
        AND i.occurrence = s.occurrence AND i.key IS NULL
    LIMIT 1
) AS v ON true;

-- name: due_steps
-- Delayed steps whose time has come, and whose items nobody else holds.
SELECT t.item, t.kind, t.suspect
FROM (
    SELECT d.item, d.kind FROM scrapy_resume.step AS d
    WHERE
        d.job = %(job)s AND d.state = 0 AND d.not_before > 0 AND d.not_before <= %(now)s
    ORDER BY d.not_before LIMIT %(count)s
    OFFSET 0
) AS due
JOIN scrapy_resume.step AS t ON t.job = %(job)s AND t.item = due.item AND t.kind = due.kind
JOIN scrapy_resume.stepped AS s ON s.job = %(job)s AND s.id = due.item
WHERE t.state = 0 AND t.not_before > 0 AND t.not_before <= %(now)s
FOR UPDATE OF t, s SKIP LOCKED;

-- name: end_delays
-- They can run.
UPDATE scrapy_resume.step AS t SET not_before = 0
FROM unnest(%(ids)s::bigint[], %(kinds)s::smallint[]) AS n (item, kind)
WHERE t.job = %(job)s AND t.item = n.item AND t.kind = n.kind AND t.item = ANY(%(ids)s);

-- name: next_due
-- When the first delayed step is due.
SELECT coalesce((
    SELECT not_before FROM scrapy_resume.step
    WHERE job = %(job)s AND state = 0 AND not_before > 0 ORDER BY not_before LIMIT 1
), 0);

-- name: hold_limits
-- One transaction at a time leases steps that have a limit. Does not wait.
SELECT pg_try_advisory_xact_lock(hashtext('scrapy_resume step ' || %(job)s::text), %(kind)s);

-- name: drop_uses
-- Attempts that do not count for a rate limit any more.
DELETE FROM scrapy_resume.step_use
WHERE job = %(job)s AND kind = %(kind)s AND until > 0 AND until <= %(now)s;

-- name: count_uses
-- Those that do, and when the next of them does not any more.
SELECT count(*), coalesce(min(until) FILTER (WHERE until > 0), 0) FROM scrapy_resume.step_use
WHERE job = %(job)s AND kind = %(kind)s;

-- name: add_uses
-- Attempts begin.
INSERT INTO scrapy_resume.step_use (job, kind, item, seconds, until)
SELECT %(job)s, %(kind)s, n.item, %(seconds)s, 0 FROM unnest(%(ids)s::bigint[]) AS n (item);

-- name: end_uses
-- They have ended.
UPDATE scrapy_resume.step_use AS u SET until = %(now)s + u.seconds
FROM unnest(%(ids)s::bigint[], %(kinds)s::smallint[]) AS n (item, kind)
WHERE u.job = %(job)s AND u.kind = n.kind AND u.item = n.item AND u.until = 0;

-- name: bound_uses
-- After the server's clock was set back: none counts for longer than it would from now on.
UPDATE scrapy_resume.step_use SET until = %(now)s + seconds
WHERE job = %(job)s AND until > %(now)s + seconds;

-- name: bound_delays
-- What waits since a time that is yet to come waits from now on as long as it was to wait.
UPDATE scrapy_resume.step SET not_before = %(now)s + (not_before - last_at), last_at = %(now)s
WHERE job = %(job)s AND state = 0 AND not_before > 0 AND last_at > %(now)s + 1;

-- name: hold_orphaned
-- Holds the items of which the run that has ended runs a step.
SELECT id FROM scrapy_resume.stepped
WHERE job = %(job)s AND id = ANY(ARRAY(
    SELECT item FROM scrapy_resume.step WHERE job = %(job)s AND run = %(run)s AND state = 1
))
ORDER BY id + 0 FOR UPDATE;

-- name: orphaned_steps
-- These steps.
SELECT
    item, kind, state, run, not_before, attempts, crashes, suspect, error, error_message, version,
    inputs, gave
FROM scrapy_resume.step
WHERE job = %(job)s AND run = %(run)s AND state = 1 ORDER BY item, kind;

-- name: recover_steps
-- running → pending.
UPDATE scrapy_resume.step AS t SET
    state = 0, not_before = 0, attempts = n.attempts, crashes = n.crashes, suspect = n.suspect,
    error = n.error, error_message = n.error_message
FROM json_to_recordset(%(rows)s::json) AS n (
    attempts integer, crashes integer, suspect smallint, error text, error_message text,
    item bigint, kind smallint
)
WHERE t.job = %(job)s AND t.item = n.item AND t.kind = n.kind AND t.item = ANY(%(ids)s);

-- name: lock_all_keys
-- Locks the keys of all items of the job, in order: a command changes items in portions.
SELECT pg_advisory_xact_lock(%(job)s, k.kind) FROM generate_series(0, 255) AS k (kind);

-- name: steer_steps
-- A command opens steps again, or gives them up. What they gave is not carried over any more, and a
-- crash does not condemn them any more.
UPDATE scrapy_resume.step AS t SET
    state = n.state, not_before = 0, attempts = 0, crashes = 0, suspect = 0, gave = NULL,
    error_message = CASE WHEN t.error = %(crash)s THEN NULL ELSE t.error_message END,
    error = coalesce(n.error, CASE WHEN t.error <> %(crash)s THEN t.error END)
FROM json_to_recordset(%(rows)s::json) AS n (
    state smallint, error text, item bigint, kind smallint
)
WHERE t.job = %(job)s AND t.item = n.item AND t.kind = n.kind AND t.item = ANY(%(ids)s);

-- name: count_steered
-- The job's counter of open steps, and its status: with open steps it is not completed.
UPDATE scrapy_resume.job SET
    steps_open = steps_open + %(opened)s, updated_at = %(now)s,
    reason = CASE WHEN status = 'completed' AND %(opened)s > 0 THEN 'retry' ELSE reason END,
    completed_at = CASE WHEN %(opened)s > 0 THEN NULL ELSE completed_at END,
    status = CASE WHEN status = 'completed' AND %(opened)s > 0 THEN 'paused' ELSE status END
WHERE id = %(job)s;
