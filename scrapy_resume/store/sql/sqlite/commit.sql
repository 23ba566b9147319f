-- The statements of a commit: the hot path. tests/contract/test_sqlite_plans.py holds that each
-- of them finds its rows by an index.
--
-- Lists of ids and keys come as one JSON array: a statement is prepared once, whatever their
-- number. CROSS JOIN keeps SQLite from making the large table the outer loop.

-- name: job
-- The fence (epoch), the last commit that was kept, and the counters.
SELECT
    epoch, commits, next_item, (SELECT coalesce(max(id), 0) FROM payload),
    (SELECT coalesce(max(id), 0) FROM beginning), alone_id, pending, leased, done, failed, parked,
    ignored, delayed, items_stored, items_dropped, items_failed, superseded,
    skips, steps_open, next_stepped
FROM job;

-- name: known_requests
-- The identities of rows, by their first 8 bytes.
SELECT r.identity_head, r.identity_tail, r.id, r.run
FROM json_each(?) AS j CROSS JOIN request AS r
WHERE r.identity_head = j.value;

-- name: pending_slots
-- The slots of those of these rows that are pending.
SELECT s.key
FROM json_each(?) AS j CROSS JOIN request AS r CROSS JOIN slot AS s
WHERE r.id = j.value AND r.state = 0 AND s.id = r.slot;

-- name: known_aliases
-- The identities that rows have taken on later, by their first 8 bytes.
SELECT a.identity_head, a.identity_tail, a.request
FROM json_each(?) AS j CROSS JOIN alias AS a
WHERE a.identity_head = j.value;

-- name: given
-- The keys by which a request of an earlier number gave items, by their first 8 bytes.
SELECT g.head, g.tail
FROM json_each(?) AS j CROSS JOIN given AS g
WHERE g.head = j.value;

-- name: leased
-- The rows of a batch that are leased: a commit may change these.
SELECT r.id, r.kind, r.slot, r.suspect, r.not_before, r.items, r.unit, r.attempts, r.kept,
    r.round
FROM json_each(?) AS j CROSS JOIN request AS r
WHERE r.id = j.value AND r.state = 1;

-- name: add_payload
-- A payload that several requests share.
INSERT INTO payload (text) VALUES (?) RETURNING id;

-- name: add_beginning
-- A beginning that the URLs of several requests share.
INSERT INTO beginning (text) VALUES (?) RETURNING id;

-- name: admit
-- A new row, pending or leased.
INSERT INTO request (
    id, identity_head, identity_tail, kind, parent, unit, slot, state, priority, start, seq,
    not_before, depth, every_run, run, beginning, url, payload, updated_at, given_head, given_tail,
    shared
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: mark_retried
-- Retried rows have led to these new ones, in a run that fetches nothing else.
UPDATE request SET retried = 1 WHERE id = ?;

-- name: earlier_round
-- Those of these requests that this round of an extended job has not added, nor been given before.
SELECT r.id, r.state, r.kind, r.slot, r.unit, r.items_failed
FROM json_each(:ids) AS j CROSS JOIN request AS r
WHERE
    r.id = j.value AND r.id < :round_from AND r.round < :round AND r.kind = 0 AND r.every_run = 0
    AND r.payload <> :unrecorded AND r.state <> 4 AND r.error IS NOT 'skipped';

-- name: keep_round
-- start() has given this request in this round.
UPDATE request SET round = ? WHERE id = ?;

-- name: fetch_again
-- done, failed or ignored → pending, as start() gives it now.
UPDATE request SET
    tried_again_at = coalesce(tried_again_at, CASE WHEN state = 3 THEN updated_at END),
    kept = max(kept, state = 2), retried = 0, state = 0, not_before = 0, crashes = 0, suspect = 0,
    http_status = NULL, error = NULL, error_message = NULL, items_failed = 0, beginning = NULL,
    url = ?, payload = ?, shared = NULL, slot = ?, priority = ?, start = ?, seq = ?, updated_at = ?
WHERE id = ?;

-- name: add_tombstones
-- A row that begins in its final state: the tombstone of one that was not recorded while it was
-- open, or what a delta crawl skips.
INSERT INTO request (
    id, identity_head, identity_tail, kind, parent, unit, slot, state, priority, start, seq,
    not_before, depth, every_run, run, beginning, url, payload, updated_at, given_head, given_tail,
    attempts, http_status, error, error_message, items_failed
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: arrive_again
-- A row of an earlier run arrived again in this run.
UPDATE request SET run = ? WHERE id = ?;

-- name: add_alias
-- A row takes on another identity.
INSERT INTO alias (identity_head, identity_tail, request) VALUES (?, ?, ?);

-- name: continue
-- A leased row continues as another request.
UPDATE request SET
    beginning = NULL, url = ?, payload = ?, shared = NULL, slot = ?, priority = ?, start = ?,
    seq = ?, attempts = ?, state = ?, not_before = ?, updated_at = ?,
    tried_again_at = coalesce(tried_again_at, ?)
WHERE id = ?;

-- name: finish
-- Ends a leased row, which is no suspect any more. Its time is kept in whole seconds, in 4
-- bytes in place of the 8 of an open row: state and status take 3 of these, and no page is split.
UPDATE request SET
    state = ?, attempts = ?, http_status = ?, error = ?, error_message = ?,
    updated_at = CAST(? AS INTEGER), items = items + ?, items_failed = ?, not_before = 0,
    crashes = 0, suspect = 0
WHERE id = ?;

-- name: change_items
-- Changes the number of items of a row: by key, an item may move to another row.
UPDATE request SET items = items + ? WHERE id = ?;

-- name: end_keeping
-- The page is gone, and its items with it: no later execution has to be done to replace them.
UPDATE request SET kept = 0 WHERE id = ?;

-- name: release
-- leased → pending.
UPDATE request SET state = 0, attempts = ?, not_before = max(not_before, ?), updated_at = ? WHERE id = ?;

-- name: add_spill
-- A provisional item.
INSERT INTO spill (request, occurrence, key, payload, steps, stable_key)
VALUES (?, ?, ?, ?, ?, ?);

-- name: spilled
-- A row's provisional items, in order.
SELECT occurrence, payload, key, steps, stable_key FROM spill WHERE request = ? ORDER BY id;

-- name: drop_spills
-- Deletes the provisional items of a row that is finished, released or a duplicate.
DELETE FROM spill WHERE request = ?;

-- name: drop_items
-- Deletes the items of an earlier execution of the row.
DELETE FROM item WHERE request = ? RETURNING request, occurrence, key;

-- name: item_owners
-- The rows of the items that have these keys.
SELECT i.key, i.request
FROM json_each(?) AS j CROSS JOIN item AS i
WHERE i.key = j.value;

-- name: store_item
-- Makes an item visible; it replaces an item with its key, and gets a new id all the same.
INSERT INTO item (id, request, occurrence, key, payload) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key) WHERE key IS NOT NULL DO UPDATE SET
    id = excluded.id, request = excluded.request, occurrence = excluded.occurrence, payload = excluded.payload;

-- name: due_requests
-- Delayed rows whose time has come, those that waited longest first.
SELECT id, kind, slot, suspect, not_before FROM request
WHERE state = 0 AND not_before > 0 AND not_before <= ?
ORDER BY not_before LIMIT ?;

-- name: next_due
-- When the first delayed row is due.
SELECT not_before FROM request
WHERE state = 0 AND not_before > 0 /* if retried: AND retried = 1 */
ORDER BY not_before LIMIT 1;

-- name: end_delay
-- Makes a delayed row leasable.
UPDATE request SET not_before = 0 WHERE id = ?;

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
WHERE r.slot = ? AND r.state = 0 AND r.not_before = 0 /* if retried: AND r.retried = 1 */ AND r.suspect = 0
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
WHERE r.state = 0 /* if retried: AND r.retried = 1 */ AND r.suspect = 1 AND r.not_before = 0
ORDER BY r.id LIMIT 1;

-- name: take
-- pending → leased.
UPDATE request SET state = 1, updated_at = ? WHERE id = ?;

-- name: count_suspects
-- How many suspects can be leased now.
SELECT count(*) FROM request
WHERE state = 0 /* if retried: AND retried = 1 */ AND suspect = 1 AND not_before = 0;

-- name: find_slots
-- The ids of download slots.
SELECT s.key, s.id FROM json_each(?) AS j CROSS JOIN slot AS s WHERE s.key = j.value;

-- name: add_slot
-- A download slot that the job did not have.
INSERT INTO slot (key) VALUES (?) RETURNING id;

-- name: find_units
-- The ids of named units.
SELECT u.name, u.id FROM json_each(?) AS j CROSS JOIN unit AS u WHERE u.name = j.value;

-- name: add_unit
-- A named unit that the job did not have.
INSERT INTO unit (name) VALUES (?) RETURNING id;

-- name: units_of
-- The units of requests.
SELECT r.id, r.unit FROM json_each(?) AS j CROSS JOIN request AS r
WHERE r.id = j.value AND r.kind = 0;

-- name: hold_units
-- The counts of units, as they were before the transaction.
SELECT
    u.unit, u.state, u.open, u.done, u.failed, u.parked, u.ignored, u.items, u.items_failed,
    u.attempts, u.first_at, u.last_at, u.cursor, u.error, u.error_message, u.items_open
FROM json_each(?) AS j CROSS JOIN unit_count AS u WHERE u.unit = j.value;

-- name: keep_unit
-- The counts of a unit, as the transaction leaves them.
INSERT INTO unit_count (
    unit, state, open, done, failed, parked, ignored, items, items_failed, attempts, first_at,
    last_at, cursor, error, error_message, items_open
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (unit) DO UPDATE SET
    state = excluded.state, open = excluded.open, done = excluded.done, failed = excluded.failed,
    parked = excluded.parked, ignored = excluded.ignored, items = excluded.items,
    items_failed = excluded.items_failed, attempts = excluded.attempts,
    first_at = excluded.first_at, last_at = excluded.last_at, cursor = excluded.cursor,
    error = excluded.error, error_message = excluded.error_message,
    items_open = excluded.items_open;

-- name: change_unit_tally
-- How many units, and named ones among them, are in a state.
UPDATE unit_tally SET units = units + ?, named = named + ? WHERE state = ?;

-- name: describe_requests
-- Requests as people see them.
SELECT
    v.id, v.url, v.method, v.state, v.priority, v.depth, v.callback, v.attempts, v.crashes,
    v.http_status, v.error, v.error_message, v.not_before, v.updated_at, v.items,
    v.items_failed, v.unit, v.worker, v.leased_at
FROM json_each(?) AS j CROSS JOIN requests AS v WHERE v.id = j.value;

-- name: describe_units
-- Units as people see them.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM json_each(?) AS j CROSS JOIN units AS v WHERE v.id = j.value;

-- name: add_event
-- Events that were not delivered.
INSERT INTO event (payload) VALUES (?) RETURNING id;

-- name: delete_event
-- Deletes events that were delivered.
DELETE FROM event WHERE id = ?;

-- name: keep_custom
-- The run's custom metrics so far.
UPDATE run SET custom = ? WHERE number = ?;

-- name: keep_expected
-- How many pages the spider expects.
UPDATE job SET expected_total = ?;

-- name: metadata
-- The metadata of the job.
SELECT metadata FROM job;

-- name: keep_metadata
-- What the spider has made of it.
UPDATE job SET metadata = ?;

-- name: change_slot
-- By how much a commit has changed the pending rows of a slot.
UPDATE slot SET pending = pending + ? WHERE id = ? RETURNING key, pending;

-- name: slot_pending
-- The pending rows of a slot that a commit asked about.
SELECT key, pending FROM slot WHERE id = ?;

-- name: keep_spider_state
-- `spider.state`, as the codec wrote it.
INSERT INTO spider_state (one, payload) VALUES (1, ?)
ON CONFLICT (one) DO UPDATE SET payload = excluded.payload;

-- name: keep_cookies
-- One cookie jar.
INSERT INTO cookies (jar, payload) VALUES (?, ?)
ON CONFLICT (jar) DO UPDATE SET payload = excluded.payload;

-- name: keep_feed
-- How far one file of a feed has come.
INSERT INTO feed (name, batch, settled, record) VALUES (?, ?, ?, ?)
ON CONFLICT (name, batch) DO UPDATE SET settled = excluded.settled, record = excluded.record;

-- name: keep_host
-- The record of a host.
INSERT INTO host (key, record) VALUES (?, ?)
ON CONFLICT (key) DO UPDATE SET record = excluded.record;

-- name: items_after
-- Items in order, for feeds.
SELECT id, payload FROM item WHERE id > ? AND id <= ? ORDER BY id LIMIT ?;

-- name: start_items
-- How many items start() has given, in all runs. Reads the whole table.
SELECT count(*) FROM request WHERE kind = 1 AND parent = 0;

-- name: starts_not_met
-- The first requests that start() yielded in earlier runs, and has not yielded in this one. Through
-- the key: such rows are the first of a job, mostly.
SELECT
    coalesce((SELECT text FROM beginning WHERE id = r.beginning), '') || r.url,
    coalesce((SELECT text FROM payload WHERE id = r.shared), r.payload)
FROM request AS r
WHERE
    r.id > 0 AND r.kind = 0 AND r.parent = 0 AND r.every_run = 0 AND r.run < :run
    AND r.payload <> :unrecorded
ORDER BY r.id LIMIT :count;

-- name: keep_minute
-- What the commit adds to its minute, if it adds anything; comes before the run's own row, which
-- has the pages so far.
INSERT INTO minute (minute, run, pages, items, done, failed, ignored, open, attempts)
SELECT
    :minute, number, max(:pages - pages, 0), :items, :done, :failed, :ignored, :open, :count
FROM run
WHERE
    number = :run AND (:pages > pages OR :items + :done + :failed + :ignored + :count > 0)
ON CONFLICT (minute, run) DO UPDATE SET
    pages = pages + excluded.pages, items = items + excluded.items, done = done + excluded.done,
    failed = failed + excluded.failed, ignored = ignored + excluded.ignored, open = excluded.open,
    attempts = attempts + excluded.attempts;

-- name: beat_run
-- A commit is a heartbeat too.
UPDATE run SET beat_at = ?, pages = ?, items = items + ?, cursor = coalesce(?, cursor)
WHERE number = ?;

-- name: count_units
-- Named units that the commit has ended, and requests of such units.
UPDATE run SET
    units = units + ?, unit_pages = unit_pages + ?, named_pages = named_pages + ?
WHERE number = (SELECT max(number) FROM run);

-- name: named_tally
-- How many named units are in each state.
SELECT state, named FROM unit_tally;

-- name: unit_names
-- The names of named units.
SELECT u.id, u.name FROM json_each(?) AS j CROSS JOIN unit AS u WHERE u.id = j.value;

-- name: keep_job
-- The counters, as the commit leaves them.
UPDATE job SET
    commits = commits + 1, next_id = max(next_id, :next_id), next_item = :next_item,
    alone_id = :alone_id, updated_at = :now,
    start_exhausted = start_exhausted OR :start_exhausted, every_run = every_run OR :every_run,
    pending = :pending, leased = :leased, done = :done, failed = :failed, parked = :parked,
    ignored = :ignored, delayed = :delayed, items_stored = :items_stored,
    items_dropped = :items_dropped, items_failed = :items_failed, superseded = :superseded,
    steps_open = :steps_open, next_stepped = :next_stepped;
