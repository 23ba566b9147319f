-- The statements of a commit: the hot path. tests/contract/test_postgres_plans.py holds that
-- each of them finds its rows by an index.
--
-- Rows come as one JSON array (json_to_recordset): a statement is prepared once, whatever their
-- number, and what is dear about it is done by the server. Whoever takes locks on rows that
-- others may want does so in one order: own run, identities, slots, units' names, keys of items,
-- the job's row, the counts of units.
--
-- A job that has just begun is unknown to the server's statistics: it takes it for some rows, and
-- finds it best to read them all, though there may be millions by then. So rows are named in ways
-- that leave no choice: `id = ANY(…)` beside a join, LATERAL … OFFSET 0, and `run + 0` where the
-- index on leased rows, which holds all that were leased since the last vacuum, is not meant.

-- name: fence
-- Holds the run's own row to the end of the transaction: as long as it is running, nobody else
-- may take what it holds. With the server's clock and the counters of the whole job. A server that
-- has lost the run may have given its number to another one: ``own`` tells.
SELECT
    r.status, (r.worker, r.process) = (%(worker)s, %(process)s) AS own, r.commits, r.alone_id, extract(epoch FROM clock_timestamp())::double precision,
    t.pending, t.leased, t.done, t.failed, t.parked, t.ignored, t.delayed,
    t.items_stored, t.items_dropped, t.items_failed, t.superseded, t.next_id,
    (SELECT j.skips FROM scrapy_resume.job AS j WHERE j.id = r.job),
    t.steps_open, EXISTS (SELECT FROM scrapy_resume.step_kind AS k WHERE k.job = r.job)
FROM scrapy_resume.run AS r
JOIN scrapy_resume.totals AS t ON t.job = r.job
WHERE r.job = %(job)s AND r.number = %(run)s
FOR UPDATE OF r;

-- name: known
-- Those of these identities that the job knows.
SELECT identity, request, run FROM scrapy_resume.seen
WHERE job = %(job)s AND identity = ANY(%(identities)s);

-- name: pending_slots
-- The slots of those of these rows that are pending.
SELECT DISTINCT s.key
FROM scrapy_resume.frontier AS f JOIN scrapy_resume.slot AS s ON s.id = f.slot
WHERE f.job = %(job)s AND f.id = ANY(%(rows)s) AND f.run = 0;

-- name: claim_identities
-- Claims identities for rows of this transaction, unless they are taken by now. In order, so that two
-- transactions that claim the same ones do not deadlock.
INSERT INTO scrapy_resume.seen (job, identity, request, run)
SELECT %(job)s, c.identity, c.request, %(run)s
FROM unnest(%(identities)s::bytea[], %(requests)s::bigint[]) AS c (identity, request)
ORDER BY c.identity
ON CONFLICT DO NOTHING
RETURNING identity;

-- name: unclaim_identities
-- Releases claims that were not used.
DELETE FROM scrapy_resume.seen WHERE job = %(job)s AND identity = ANY(%(identities)s);

-- name: reclaim_identities
-- Assigns claims to other rows of the transaction.
UPDATE scrapy_resume.seen AS s SET request = c.request
FROM unnest(%(identities)s::bytea[], %(requests)s::bigint[]) AS c (identity, request)
WHERE s.job = %(job)s AND s.identity = c.identity AND s.identity = ANY(%(identities)s);

-- name: arrive_again
-- Rows of earlier runs arrived again in this run.
UPDATE scrapy_resume.seen SET run = %(run)s
WHERE job = %(job)s AND identity = ANY(%(identities)s);

-- name: given
-- Those of these keys by which a request of an earlier number gave items.
SELECT key FROM scrapy_resume.given WHERE job = %(job)s AND key = ANY(%(given_keys)s);

-- name: leased
-- The rows of a batch that this run has leased: a commit may change these.
SELECT f.id, f.kind, f.slot, f.suspect, f.not_before, r.items, r.unit, f.attempts, r.kept,
    r.round
FROM scrapy_resume.frontier AS f
CROSS JOIN LATERAL (
    SELECT items, unit, kept, round FROM scrapy_resume.request
    WHERE job = %(job)s AND id = f.id OFFSET 0
) AS r
WHERE f.job = %(job)s AND f.run + 0 = %(run)s AND f.id = ANY(%(ids)s);

-- name: admit
-- New rows, pending or leased.
WITH new AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
        id bigint, identity text, kind smallint, parent bigint, unit bigint, slot bigint,
        state smallint, priority bigint, start smallint, seq bigint, not_before double precision,
        depth integer, every_run smallint, url text, payload text, updated_at double precision,
        given_key text
    )
), kept AS (
    INSERT INTO scrapy_resume.request (
        job, id, identity, kind, parent, unit, slot, state, priority, start, seq, depth,
        every_run, url, payload, updated_at, given_key
    )
    SELECT
        %(job)s, id, decode(identity, 'base64'), kind, parent, unit, slot, 0, priority, start,
        seq, depth, every_run, url, payload, updated_at, decode(given_key, 'base64')
    FROM new
)
INSERT INTO scrapy_resume.frontier (
    job, id, slot, priority, start, seq, not_before, run, attempts, crashes, kind, every_run,
    suspect, updated_at
)
SELECT
    %(job)s, id, slot, priority, start, seq, not_before,
    CASE WHEN state = 1 THEN %(run)s ELSE 0 END, 0, 0, kind, every_run, 0, updated_at
FROM new;

-- name: mark_retried
-- Retried rows have led to these new ones, in a run that fetches nothing else.
UPDATE scrapy_resume.frontier SET retried = 1 WHERE job = %(job)s AND id = ANY(%(ids)s);

-- name: earlier_round
-- Those of these requests that this round of an extended job has not added, nor been given before.
SELECT id, state, kind, slot, unit, items_failed FROM scrapy_resume.request
WHERE
    job = %(job)s AND id = ANY(%(ids)s) AND id < %(round_from)s AND round < %(round)s AND kind = 0
    AND every_run = 0 AND payload <> %(unrecorded)s AND state <> 4
    AND error IS DISTINCT FROM 'skipped'
ORDER BY id FOR UPDATE;

-- name: keep_round
-- start() has given these requests in this round.
UPDATE scrapy_resume.request SET round = %(round)s WHERE job = %(job)s AND id = ANY(%(ids)s);

-- name: fetch_again
-- done, failed or ignored → pending, as start() gives them now.
WITH given AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
        url text, payload text, slot bigint, priority bigint, start smallint, seq bigint, id bigint
    )
), calm AS (
    DELETE FROM scrapy_resume.trouble
    WHERE job = %(job)s AND state IN (3, 4, 5) AND id = ANY(%(ids)s)
), changed AS (
    UPDATE scrapy_resume.request AS r SET
        tried_again_at = coalesce(r.tried_again_at, CASE WHEN r.state = 3 THEN r.updated_at END),
        kept = CASE WHEN r.state = 2 THEN 1 ELSE r.kept END, state = 0, crashes = 0,
        http_status = NULL, error = NULL, error_message = NULL, items_failed = 0, url = g.url,
        payload = g.payload, slot = g.slot, priority = g.priority, start = g.start, seq = g.seq,
        updated_at = %(now)s
    FROM given AS g WHERE r.job = %(job)s AND r.id = g.id AND r.id = ANY(%(ids)s)
    RETURNING r.id, r.slot, r.priority, r.seq, r.attempts, r.kind, r.start, r.every_run
)
INSERT INTO scrapy_resume.frontier (
    job, id, slot, priority, seq, not_before, updated_at, run, attempts, crashes, kind, start,
    every_run, suspect
)
SELECT
    %(job)s, id, slot, priority, seq, 0, %(now)s, 0, attempts, 0, kind, start, every_run, 0
FROM changed;

-- name: add_tombstones
-- Rows that begin in their final state: tombstones of those that were not recorded while they
-- were open, and what a delta crawl skips.
WITH new AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
        id bigint, identity text, kind smallint, parent bigint, unit bigint, slot bigint,
        state smallint, priority bigint, start smallint, seq bigint, depth integer,
        every_run smallint, url text, payload text, updated_at double precision, given_key text,
        attempts integer, http_status integer, error text, error_message text,
        items_failed integer
    )
), troubled AS (
    INSERT INTO scrapy_resume.trouble (job, state, id)
    SELECT %(job)s, state, id FROM new
    WHERE (state IN (3, 4) OR error = 'skipped') AND kind = 0
)
INSERT INTO scrapy_resume.request (
    job, id, identity, kind, parent, unit, slot, state, priority, start, seq, depth, every_run,
    url, payload, updated_at, given_key, attempts, http_status, error, error_message, items_failed
)
SELECT
    %(job)s, id, decode(identity, 'base64'), kind, parent, unit, slot, state, priority, start,
    seq, depth, every_run, url, payload, updated_at, decode(given_key, 'base64'), attempts,
    http_status, error, error_message, items_failed
FROM new;

-- name: continue
-- Leased rows continue as other requests.
WITH changed AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
        id bigint, url text, payload text, slot bigint, priority bigint, start smallint,
        seq bigint, attempts integer, state smallint, not_before double precision,
        updated_at double precision, failed_at double precision
    )
), went_on AS (
    UPDATE scrapy_resume.request AS r SET
        url = c.url, payload = c.payload, slot = c.slot, priority = c.priority, start = c.start,
        seq = c.seq, tried_again_at = coalesce(r.tried_again_at, c.failed_at)
    FROM changed AS c WHERE r.job = %(job)s AND r.id = c.id AND r.id = ANY(%(ids)s)
)
UPDATE scrapy_resume.frontier AS f SET
    slot = c.slot, priority = c.priority, start = c.start, seq = c.seq, attempts = c.attempts,
    run = CASE WHEN c.state = 1 THEN f.run ELSE 0 END, not_before = c.not_before,
    updated_at = c.updated_at
FROM changed AS c
WHERE f.job = %(job)s AND f.run + 0 = %(run)s AND f.id = c.id AND f.id = ANY(%(ids)s);

-- name: finish
-- Ends leased rows: they leave the frontier, and their requests get the outcome.
WITH ended AS (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
        state smallint, attempts integer, http_status integer, error text, error_message text,
        updated_at double precision, items integer, items_failed integer, id bigint
    )
), gone AS (
    DELETE FROM scrapy_resume.frontier AS f USING ended AS e
    WHERE f.job = %(job)s AND f.run + 0 = %(run)s AND f.id = e.id AND f.id = ANY(%(ids)s)
    RETURNING f.id
), troubled AS (
    INSERT INTO scrapy_resume.trouble (job, state, id)
    SELECT %(job)s, state, id FROM ended WHERE state IN (3, 4) OR error = 'skipped'
), outcome AS (
    UPDATE scrapy_resume.request AS r SET
        state = e.state, attempts = e.attempts, crashes = 0, http_status = e.http_status,
        error = e.error, error_message = e.error_message, updated_at = e.updated_at,
        items = r.items + e.items, items_failed = e.items_failed
    FROM ended AS e WHERE r.job = %(job)s AND r.id = e.id AND r.id = ANY(%(ids)s)
)
SELECT count(*) FROM gone;

-- name: change_items
-- Changes the number of items of rows that have ended: by key, an item may move to another row.
UPDATE scrapy_resume.request AS r SET items = r.items + c.change
FROM unnest(%(ids)s::bigint[], %(changes)s::integer[]) AS c (id, change)
WHERE r.job = %(job)s AND r.id = c.id AND r.id = ANY(%(ids)s);

-- name: end_keeping
-- The pages are gone, and their items with them: no later execution has to be done to replace them.
UPDATE scrapy_resume.request SET kept = 0 WHERE job = %(job)s AND id = ANY(%(ids)s);

-- name: release
-- leased → pending.
UPDATE scrapy_resume.frontier AS f SET
    run = 0, attempts = c.attempts, not_before = greatest(f.not_before, c.not_before),
    updated_at = %(now)s
FROM unnest(%(ids)s::bigint[], %(attempts)s::integer[], %(moments)s::double precision[])
AS c (id, attempts, not_before)
WHERE f.job = %(job)s AND f.run + 0 = %(run)s AND f.id = c.id AND f.id = ANY(%(ids)s);

-- name: add_spills
-- Provisional items, in order.
INSERT INTO scrapy_resume.spill (
    job, run, request, occurrence, key, payload, steps, stable_key
)
SELECT %(job)s, %(run)s, n.row, n.occurrence, n.key, n.payload, n.steps, n.stable_key
FROM ROWS FROM (json_to_recordset(%(rows)s::json) AS (
    "row" bigint, occurrence integer, key text, payload text, steps text, stable_key text
)) WITH ORDINALITY AS n ("row", occurrence, key, payload, steps, stable_key, place)
ORDER BY n.place;

-- name: spilled
-- A row's provisional items in order, portion after portion.
SELECT id, occurrence, payload, key, steps, stable_key FROM scrapy_resume.spill
WHERE job = %(job)s AND request = %(request)s AND id > %(after)s ORDER BY id LIMIT %(count)s;

-- name: drop_spills
-- Deletes the provisional items of rows that are finished, released or duplicates.
DELETE FROM scrapy_resume.spill WHERE job = %(job)s AND request = ANY(%(ids)s);

-- name: drop_items
-- Deletes the items of an earlier execution of the row, and notes it for followers.
WITH gone AS (
    DELETE FROM scrapy_resume.item WHERE job = %(job)s AND request = %(request)s
    RETURNING id, request, occurrence, key
)
INSERT INTO scrapy_resume.taken_back (job, run, number, item, request, occurrence, key)
SELECT
    %(job)s, %(run)s, coalesce(b.last, 0) + row_number() OVER (ORDER BY g.id), g.id, g.request,
    g.occurrence, g.key
FROM gone AS g, (
    SELECT max(number) AS last FROM scrapy_resume.taken_back
    WHERE job = %(job)s AND run = %(run)s
) AS b;

-- name: lock_item_keys
-- Locks item keys, in order: transactions that store items with the same keys wait for one another.
SELECT pg_advisory_xact_lock(%(job)s, kind)
FROM (
    SELECT DISTINCT hashtext(key) & 255 AS kind FROM unnest(%(keys)s::text[]) AS k (key)
    ORDER BY kind
) AS kinds;

-- name: item_owners
-- The rows of the items that have these keys.
SELECT key, request FROM scrapy_resume.item WHERE job = %(job)s AND key = ANY(%(keys)s);

-- name: store_items
-- Makes items visible, in order; one replaces an item with its key, and gets a new id all the same.
INSERT INTO scrapy_resume.item (job, run, request, occurrence, key, payload)
SELECT %(job)s, %(run)s, n.row, n.occurrence, n.key, n.payload
FROM ROWS FROM (json_to_recordset(%(rows)s::json) AS (
    "row" bigint, occurrence integer, key text, payload text
)) WITH ORDINALITY AS n ("row", occurrence, key, payload, place)
ORDER BY n.place
ON CONFLICT (job, key) WHERE key IS NOT NULL DO UPDATE SET
    id = DEFAULT, run = excluded.run, request = excluded.request,
    occurrence = excluded.occurrence, payload = excluded.payload;

-- name: start_items
-- How many items start() has given, in all runs. Reads all rows of the job.
SELECT count(*) FROM scrapy_resume.request
WHERE job = %(job)s AND kind = 1 AND parent = 0;

-- name: starts_not_met
-- The first requests that start() yielded in earlier runs, and has not yielded in this one. Through
-- the key: such rows are the first of a job, mostly.
SELECT r.url, r.payload FROM scrapy_resume.request AS r
WHERE
    r.job = %(job)s AND r.kind = 0 AND r.parent = 0 AND r.every_run = 0
    AND r.payload <> %(unrecorded)s
    AND EXISTS (
        SELECT 1 FROM scrapy_resume.seen AS s
        WHERE s.job = r.job AND s.identity = r.identity AND s.run < %(run)s
    )
ORDER BY r.id LIMIT %(count)s;

-- name: items_after
-- Items in order, for feeds.
SELECT id, payload FROM scrapy_resume.item
WHERE job = %(job)s AND id > %(after)s AND id <= %(through)s ORDER BY id LIMIT %(count)s;

-- name: items_of_run
-- Items of one run in order, for its part of a feed: their ids ascend from commit to commit.
SELECT id, payload FROM scrapy_resume.item
WHERE job = %(job)s AND run = %(of)s AND id > %(after)s ORDER BY id LIMIT %(count)s;

-- name: last_item
-- The highest id that an item of the job has.
SELECT coalesce(max(id), 0) FROM scrapy_resume.item WHERE job = %(job)s;

-- name: find_slots
-- The ids of download slots.
SELECT key, id FROM scrapy_resume.slot WHERE job = %(job)s AND key = ANY(%(names)s);

-- name: add_slots
-- Download slots that the job did not have, in order.
INSERT INTO scrapy_resume.slot (job, key)
SELECT %(job)s, name FROM unnest(%(names)s::text[]) AS n (name) ORDER BY name
ON CONFLICT DO NOTHING;

-- name: find_units
-- The ids of named units.
SELECT name, id FROM scrapy_resume.unit WHERE job = %(job)s AND name = ANY(%(names)s);

-- name: add_units
-- Named units that the job did not have, in order.
INSERT INTO scrapy_resume.unit (job, name)
SELECT %(job)s, name FROM unnest(%(names)s::text[]) AS n (name) ORDER BY name
ON CONFLICT DO NOTHING;

-- name: units_of
-- The units of requests.
SELECT id, unit FROM scrapy_resume.request
WHERE job = %(job)s AND id = ANY(%(ids)s) AND kind = 0;

-- name: hold_units
-- The counts of units, as they were before the transaction, in order.
SELECT
    unit, state, open, done, failed, parked, ignored, items, items_failed, attempts,
    first_at, last_at, cursor, error, error_message, items_open
FROM scrapy_resume.unit_count WHERE job = %(job)s AND unit = ANY(%(ids)s)
ORDER BY unit FOR UPDATE;

-- name: keep_units
-- The counts of units, as the transaction leaves them.
INSERT INTO scrapy_resume.unit_count (
    job, unit, state, open, done, failed, parked, ignored, items, items_failed, attempts,
    first_at, last_at, cursor, error, error_message, items_open
)
SELECT
    %(job)s, unit, state, open, done, failed, parked, ignored, items, items_failed, attempts,
    first_at, last_at, cursor, error, error_message, items_open
FROM json_to_recordset(%(rows)s::json) AS n (
    unit bigint, state smallint, open bigint, done bigint, failed bigint, parked bigint,
    ignored bigint, items bigint, items_failed bigint, attempts bigint,
    first_at double precision, last_at double precision, cursor bigint, error text,
    error_message text, items_open bigint
)
ON CONFLICT (job, unit) DO UPDATE SET
    state = excluded.state, open = excluded.open, done = excluded.done, failed = excluded.failed,
    parked = excluded.parked, ignored = excluded.ignored, items = excluded.items,
    items_failed = excluded.items_failed, attempts = excluded.attempts,
    first_at = excluded.first_at, last_at = excluded.last_at, cursor = excluded.cursor,
    error = excluded.error, error_message = excluded.error_message,
    items_open = excluded.items_open;

-- name: change_unit_tally
-- By how much the run has changed the number of units, and of named ones among them, in a state.
INSERT INTO scrapy_resume.unit_tally (job, run, state, units, named)
SELECT %(job)s, %(run)s, c.state, c.units, c.named
FROM unnest(%(states)s::smallint[], %(units)s::bigint[], %(named)s::bigint[])
    AS c (state, units, named)
ORDER BY c.state
ON CONFLICT (job, run, state) DO UPDATE SET
    units = unit_tally.units + excluded.units, named = unit_tally.named + excluded.named;

-- name: count_units
-- Named units that the commit has ended, and requests of such units.
UPDATE scrapy_resume.run SET
    units = units + %(units)s, unit_pages = unit_pages + %(unit_pages)s,
    named_pages = named_pages + %(named_pages)s
WHERE job = %(job)s AND number = %(run)s;

-- name: named_tally
-- How many named units are in each state.
SELECT state, sum(named)::bigint FROM scrapy_resume.unit_tally
WHERE job = %(job)s GROUP BY state;

-- name: unit_names
-- The names of named units.
SELECT id, name FROM scrapy_resume.unit WHERE id = ANY(%(ids)s);

-- name: describe_requests
-- Requests as people see them.
SELECT
    v.id, v.url, v.method, v.state, v.priority, v.depth, v.callback, v.attempts, v.crashes,
    v.http_status, v.error, v.error_message, v.not_before, v.updated_at, v.items,
    v.items_failed, v.unit, v.worker, v.leased_at
FROM scrapy_resume.requests AS v WHERE v.job_id = %(job)s AND v.id = ANY(%(ids)s);

-- name: describe_units
-- Units as people see them.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM scrapy_resume.units AS v WHERE v.job_id = %(job)s AND v.id = ANY(%(ids)s);

-- name: add_event
-- Events that were not delivered.
INSERT INTO scrapy_resume.event (job, run, payload) VALUES (%(job)s, %(run)s, %(payload)s)
RETURNING id;

-- name: delete_events
-- Deletes events that were delivered.
DELETE FROM scrapy_resume.event WHERE job = %(job)s AND id = ANY(%(ids)s);

-- name: adopt_events
-- Takes over the events that runs which have ended did not deliver.
UPDATE scrapy_resume.event SET run = %(run)s
WHERE job = %(job)s AND run NOT IN (
    SELECT number FROM scrapy_resume.run WHERE job = %(job)s AND status = 'running'
)
RETURNING id, payload;

-- name: keep_custom
-- The run's custom metrics so far.
UPDATE scrapy_resume.run SET custom = %(custom)s WHERE job = %(job)s AND number = %(run)s;

-- name: keep_expected
-- How many pages the spider expects.
UPDATE scrapy_resume.job SET expected_total = %(expected_total)s WHERE id = %(job)s;

-- name: metadata
-- The metadata of the job, which another worker may change as well.
SELECT metadata FROM scrapy_resume.job WHERE id = %(job)s FOR UPDATE;

-- name: keep_metadata
-- What the spider has made of it.
UPDATE scrapy_resume.job SET metadata = %(metadata)s WHERE id = %(job)s;

-- name: claim_slots
-- Claims those of these slots that are free; and those that the run owns without knowing it, because
-- the answer to its claim was lost.
UPDATE scrapy_resume.slot SET run = %(run)s
WHERE id IN (
    SELECT id FROM scrapy_resume.slot
    WHERE id = ANY(%(slots)s) AND (run = %(run)s OR (run = 0 AND free_at <= %(now)s))
    FOR UPDATE SKIP LOCKED
)
RETURNING id, key;

-- name: find_open_slots
-- Free slots with rows to lease: the index is walked from slot to slot,
-- beginning anywhere, so that workers do not meet at the first. Each is looked up by its id: the
-- hosts that are finished are free as well, and a join with all of them takes seconds.
WITH RECURSIVE open_slot (slot) AS (
    (
        SELECT slot FROM scrapy_resume.frontier
        WHERE
            job = %(job)s AND run = 0 AND not_before = 0 /* if retried: AND retried = 1 */
            /* if refused: AND id <> ALL(%(refused)s::bigint[]) */ AND suspect = 0
            AND slot >= %(first)s
        ORDER BY slot LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT f.slot FROM scrapy_resume.frontier AS f
        WHERE
            f.job = %(job)s AND f.run = 0 AND f.not_before = 0 /* if retried: AND f.retried = 1 */
            /* if refused: AND f.id <> ALL(%(refused)s::bigint[]) */ AND f.suspect = 0
            AND f.slot > o.slot
        ORDER BY f.slot LIMIT 1
    )
    FROM open_slot AS o WHERE o.slot IS NOT NULL
)
SELECT s.id FROM open_slot AS o
CROSS JOIN LATERAL (
    SELECT id FROM scrapy_resume.slot
    WHERE
        id = o.slot AND (%(any_owner)s OR (run = 0 AND free_at <= %(now)s))
        AND id <> ALL(%(passed_over)s::bigint[])
    OFFSET 0
) AS s
LIMIT %(count)s;

-- name: slot_range
-- Where the walk may begin.
SELECT min(id), max(id) FROM scrapy_resume.slot WHERE job = %(job)s;

-- name: slots_of_others
-- Some slots with rows to lease that belong to other runs, for the log.
SELECT s.key FROM scrapy_resume.slot AS s
WHERE s.job = %(job)s AND s.run > 0 AND s.run <> %(run)s
LIMIT 5;

-- name: give_slots
-- Gives slots away; no run may claim them before the delay is over.
UPDATE scrapy_resume.slot AS s SET run = 0, free_at = %(now)s + g.seconds
FROM unnest(%(keys)s::text[], %(seconds)s::double precision[]) AS g (key, seconds)
WHERE s.job = %(job)s AND s.key = g.key AND s.run = %(run)s
RETURNING s.id;

-- name: lease_requests
-- Leases the first rows of each slot, in order.
WITH wish AS (
    SELECT * FROM unnest(%(slots)s::bigint[], %(counts)s::integer[])
    WITH ORDINALITY AS w (slot, count, place)
), chosen AS MATERIALIZED (
    SELECT w.place, c.id
    FROM wish AS w
    CROSS JOIN LATERAL (
        SELECT f.id FROM scrapy_resume.frontier AS f
        WHERE
            f.job = %(job)s AND f.slot = w.slot AND f.run = 0 AND f.not_before = 0 /* if retried: AND f.retried = 1 */
            /* if refused: AND f.id <> ALL(%(refused)s::bigint[]) */ AND f.suspect = 0
        ORDER BY f.priority DESC, f.start, f.seq LIMIT w.count
        FOR UPDATE SKIP LOCKED
    ) AS c
), taken AS (
    UPDATE scrapy_resume.frontier AS f SET run = %(run)s, updated_at = %(now)s
    WHERE f.job = %(job)s AND f.id = ANY(ARRAY(SELECT id FROM chosen))
    RETURNING f.id, f.slot, f.priority, f.start, f.seq, f.attempts, f.crashes
)
SELECT
    t.id, r.identity, r.parent, r.url, r.payload, t.priority, t.start, t.seq, r.unit,
    (SELECT name FROM scrapy_resume.unit WHERE id = -r.unit), t.attempts, t.crashes, r.items,
    r.every_run, t.slot
FROM taken AS t
JOIN chosen AS c ON c.id = t.id
CROSS JOIN LATERAL (
    SELECT * FROM scrapy_resume.request WHERE job = %(job)s AND id = t.id OFFSET 0
) AS r
ORDER BY c.place, t.priority DESC, t.start, t.seq;

-- name: lease_suspect
-- Leases the suspect that was found first, of a slot that this run owns or may claim.
WITH chosen AS MATERIALIZED (
    SELECT f.id, f.slot FROM scrapy_resume.frontier AS f
    JOIN scrapy_resume.slot AS s ON s.id = f.slot
    WHERE
        f.job = %(job)s AND f.run = 0 /* if retried: AND f.retried = 1 */
        /* if refused: AND f.id <> ALL(%(refused)s::bigint[]) */ AND f.suspect = 1 AND f.not_before = 0
        AND (%(any_owner)s OR s.run = %(run)s OR (s.run = 0 AND s.free_at <= %(now)s))
    ORDER BY f.id LIMIT 1
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE scrapy_resume.slot AS s SET run = %(run)s FROM chosen AS c
    WHERE s.id = c.slot AND s.run = 0 AND NOT %(any_owner)s
    RETURNING s.id
), taken AS (
    UPDATE scrapy_resume.frontier AS f SET run = %(run)s, updated_at = %(now)s
    WHERE f.job = %(job)s AND f.id = ANY(ARRAY(SELECT id FROM chosen))
    RETURNING f.id, f.slot, f.priority, f.start, f.seq, f.attempts, f.crashes
)
SELECT
    t.id, r.identity, r.parent, r.url, r.payload, t.priority, t.start, t.seq, r.unit,
    (SELECT name FROM scrapy_resume.unit WHERE id = -r.unit), t.attempts, t.crashes, r.items,
    r.every_run, s.key, (SELECT id FROM claimed)
FROM taken AS t
CROSS JOIN LATERAL (
    SELECT * FROM scrapy_resume.request WHERE job = %(job)s AND id = t.id OFFSET 0
) AS r
JOIN scrapy_resume.slot AS s ON s.id = t.slot;

-- name: count_suspects
-- How many suspects this run can lease now.
SELECT count(*) FROM scrapy_resume.frontier AS f
JOIN scrapy_resume.slot AS s ON s.id = f.slot
WHERE
    f.job = %(job)s AND f.run = 0 /* if retried: AND f.retried = 1 */
    /* if refused: AND f.id <> ALL(%(refused)s::bigint[]) */ AND f.suspect = 1 AND f.not_before = 0
    AND (%(any_owner)s OR s.run = %(run)s OR (s.run = 0 AND s.free_at <= %(now)s));

-- name: pending
-- How many rows can be leased from slots by this run, counted no further than a thousand.
SELECT
    s.key,
    CASE
        WHEN %(any_owner)s OR s.run = %(run)s OR (s.run = 0 AND s.free_at <= %(now)s) THEN (
            SELECT count(*) FROM (
                SELECT 1 FROM scrapy_resume.frontier AS f
                WHERE
                    f.job = %(job)s AND f.slot = s.id AND f.run = 0 AND f.not_before = 0
                    /* if retried: AND f.retried = 1 */
                    /* if refused: AND f.id <> ALL(%(refused)s::bigint[]) */ AND f.suspect = 0
                LIMIT 1000
            ) AS counted
        )
        ELSE 0
    END
FROM scrapy_resume.slot AS s WHERE s.id = ANY(%(slots)s);

-- name: due_requests
-- Delayed rows whose time has come, those that waited longest first.
SELECT id, kind, slot, suspect, not_before FROM scrapy_resume.frontier
WHERE job = %(job)s AND run = 0 AND not_before > 0 AND not_before <= %(now)s
ORDER BY not_before LIMIT %(count)s
FOR UPDATE SKIP LOCKED;

-- name: next_due
-- When the first delayed row is due.
SELECT not_before FROM scrapy_resume.frontier
WHERE job = %(job)s AND run = 0 AND not_before > 0 /* if retried: AND retried = 1 */
ORDER BY not_before LIMIT 1;

-- name: end_delays
-- Makes delayed rows leasable.
UPDATE scrapy_resume.frontier SET not_before = 0 WHERE job = %(job)s AND id = ANY(%(ids)s);

-- name: others_at_work
-- Whether start() may still bring something, whether anything of the job is open, and whether
-- some of that has not to wait, for itself or for its host: one snapshot. (The run that has
-- start() and asks has seen its end: it raised. EXISTS would read a table that has just been
-- emptied from end to end. The slots are walked one by one, no further than needed. To a run that
-- fetches only what was retried, start() brings nothing.)
WITH RECURSIVE open_slot (slot) AS (
    (
        SELECT f.slot FROM scrapy_resume.frontier AS f
        WHERE
            f.job = %(job)s AND f.run = 0 AND f.not_before = 0 /* if retried: AND f.retried = 1 */
            AND f.suspect = 0
        ORDER BY f.slot LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT f.slot FROM scrapy_resume.frontier AS f
        WHERE
            f.job = %(job)s AND f.run = 0 AND f.not_before = 0 /* if retried: AND f.retried = 1 */
            AND f.suspect = 0 AND f.slot > o.slot
        ORDER BY f.slot LIMIT 1
    )
    FROM open_slot AS o WHERE o.slot IS NOT NULL
)
SELECT
    /* if retried: false AND */ NOT j.start_over AND j.start_run <> %(run)s,
    (
        SELECT f.id FROM scrapy_resume.frontier AS f
        WHERE f.job = j.id /* if retried: AND f.retried = 1 */ ORDER BY f.id LIMIT 1
    ) IS NOT NULL
    OR (SELECT t.steps_open FROM scrapy_resume.totals AS t WHERE t.job = %(job)s) > 0,
    (
        SELECT f.run FROM scrapy_resume.frontier AS f
        WHERE f.job = j.id AND f.run > 0 /* if retried: AND f.retried = 1 */ ORDER BY f.run LIMIT 1
    ) IS NOT NULL
    OR (
        SELECT o.slot FROM open_slot AS o
        WHERE o.slot IS NOT NULL AND NOT EXISTS (
            SELECT FROM scrapy_resume.host AS h
            WHERE
                h.job = %(job)s
                AND h.key = (SELECT s.key FROM scrapy_resume.slot AS s WHERE s.id = o.slot)
                AND greatest(
                    (h.record::json ->> 'open_until')::double precision,
                    (h.record::json ->> 'wait_until')::double precision
                ) > %(now)s
        )
        LIMIT 1
    ) IS NOT NULL
    OR (
        SELECT f.id FROM scrapy_resume.frontier AS f
        WHERE
            f.job = j.id AND f.run = 0 AND f.not_before = 0 /* if retried: AND f.retried = 1 */
            AND f.suspect = 1
        ORDER BY f.id LIMIT 1
    ) IS NOT NULL
    OR (
        SELECT sum(t.ready + t.suspect + t.running) FROM scrapy_resume.step_tally AS t
        WHERE t.job = %(job)s
    ) > 0
FROM scrapy_resume.job AS j WHERE j.id = %(job)s;

-- name: take_start
-- Assigns start() to this run, if no run has it; and its state.
WITH taken AS (
    UPDATE scrapy_resume.job SET start_run = %(run)s
    WHERE id = %(job)s AND start_run = 0 AND NOT start_over
    RETURNING id
)
SELECT EXISTS (SELECT FROM taken), start_over FROM scrapy_resume.job WHERE id = %(job)s;

-- name: fair_share
-- How many slots each worker would have if all had the same number; 0 unless another worker looks for
-- slots and finds none.
WITH workers AS (
    SELECT count(*) AS count, bool_or(starving AND number <> %(run)s) AS starving
    FROM scrapy_resume.run WHERE job = %(job)s AND status = 'running'
)
SELECT CASE WHEN w.starving THEN (
    SELECT ceil(count(*)::numeric / w.count)::integer
    FROM scrapy_resume.slot AS s WHERE s.job = %(job)s AND s.run > 0
) ELSE 0 END
FROM workers AS w;

-- name: other_workers
-- How many other runs are at work, and whether one of them looks for requests in vain.
SELECT count(*), coalesce(bool_or(starving), false) FROM scrapy_resume.run
WHERE job = %(job)s AND status = 'running' AND number <> %(run)s;

-- name: keep_hosts
-- The records of hosts, in order.
INSERT INTO scrapy_resume.host (job, key, run, changed_at, record)
SELECT %(job)s, h.key, %(run)s, extract(epoch FROM clock_timestamp()), h.record
FROM unnest(%(keys)s::text[], %(records)s::text[]) AS h (key, record) ORDER BY h.key
ON CONFLICT (job, key) DO UPDATE SET
    run = excluded.run, changed_at = excluded.changed_at, record = excluded.record;

-- name: hosts_of_slots
-- The records of the hosts of slots that this run has just claimed.
SELECT key, record FROM scrapy_resume.host WHERE job = %(job)s AND key = ANY(%(keys)s);

-- name: hosts_since
-- The records that others have written, where all runs fetch from the same hosts.
SELECT key, record FROM scrapy_resume.host
WHERE job = %(job)s AND run <> %(run)s AND changed_at > %(since)s;

-- name: keep_spider_state
-- The worker's `spider.state`, as the codec wrote it.
INSERT INTO scrapy_resume.spider_state (job, run, payload) VALUES (%(job)s, %(run)s, %(payload)s)
ON CONFLICT (job, run) DO UPDATE SET payload = excluded.payload;

-- name: keep_cookies
-- One cookie jar of the worker.
INSERT INTO scrapy_resume.cookies (job, run, jar, payload, updated_at)
VALUES (%(job)s, %(run)s, %(jar)s, %(payload)s, extract(epoch FROM clock_timestamp()))
ON CONFLICT (job, run, jar) DO UPDATE SET
    payload = excluded.payload, updated_at = excluded.updated_at;

-- name: keep_feed
-- How far one file of a feed has come.
INSERT INTO scrapy_resume.feed (job, name, batch, settled, record)
VALUES (%(job)s, %(name)s, %(batch)s, %(settled)s, %(record)s)
ON CONFLICT (job, name, batch) DO UPDATE SET
    settled = excluded.settled, record = excluded.record;

-- name: keep_minute
-- What the commit adds to its minute, if it adds anything; comes before the run's own row, which
-- has the pages so far.
INSERT INTO scrapy_resume.minute AS m (
    job, minute, run, pages, items, done, failed, ignored, open, attempts
)
SELECT
    job, %(minute)s, number, greatest(%(pages)s - pages, 0), %(items)s, %(done)s, %(failed)s,
    %(ignored)s, %(open)s, %(count)s
FROM scrapy_resume.run
WHERE
    job = %(job)s AND number = %(run)s
    AND (%(pages)s > pages OR %(items)s + %(done)s + %(failed)s + %(ignored)s + %(count)s > 0)
ON CONFLICT (job, minute, run) DO UPDATE SET
    pages = m.pages + excluded.pages, items = m.items + excluded.items,
    done = m.done + excluded.done, failed = m.failed + excluded.failed,
    ignored = m.ignored + excluded.ignored, open = excluded.open,
    attempts = m.attempts + excluded.attempts;

-- name: keep_run
-- The run's counters, as the commit leaves them; a heartbeat.
UPDATE scrapy_resume.run SET
    commits = commits + 1, beat_at = %(now)s, next_id = %(next_id)s, alone_id = %(alone_id)s,
    sent = %(sent)s, answered = %(answered)s, starving = %(starving)s, pages = %(pages)s,
    items = items + %(items)s, pending = pending + %(pending)s, leased = leased + %(leased)s,
    done = done + %(done)s, failed = failed + %(failed)s, parked = parked + %(parked)s,
    ignored = ignored + %(ignored)s, delayed = delayed + %(delayed)s,
    items_stored = items_stored + %(items_stored)s,
    items_dropped = items_dropped + %(items_dropped)s,
    items_failed = items_failed + %(items_failed)s, superseded = superseded + %(superseded)s,
    steps_open = steps_open + %(steps_open)s,
    cursor = coalesce(%(cursor)s, cursor)
WHERE job = %(job)s AND number = %(run)s;

-- name: note_every_run
-- The job has requests that are fetched in every run.
UPDATE scrapy_resume.job SET every_run = true WHERE id = %(job)s AND NOT every_run;

-- name: note_start
-- start() is exhausted.
UPDATE scrapy_resume.job SET start_exhausted = true, start_over = true
WHERE id = %(job)s AND NOT start_over;

-- name: beat
-- A heartbeat between commits; skipped while a commit is under way, which is one itself.
UPDATE scrapy_resume.run SET beat_at = extract(epoch FROM clock_timestamp())
WHERE (job, number) IN (
    SELECT job, number FROM scrapy_resume.run
    WHERE job = %(job)s AND number = %(run)s AND status = 'running'
    FOR UPDATE SKIP LOCKED
);

-- name: note_marks
-- The marks, between commits.
UPDATE scrapy_resume.run SET sent = %(sent)s, answered = %(answered)s
WHERE job = %(job)s AND number = %(run)s AND status = 'running';
