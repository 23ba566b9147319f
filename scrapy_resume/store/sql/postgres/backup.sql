-- A job in a file: out of the database at one moment, and back into one, under ids that are free.

-- name: columns
-- The columns of a table, in order.
SELECT column_name FROM information_schema.columns
WHERE table_schema = 'scrapy_resume' AND table_name = %(name)s ORDER BY ordinal_position;

-- name: last_item
-- The highest id of an item: they keep theirs, feeds know how far they have come by it.
SELECT coalesce(max(id), 0) FROM scrapy_resume.item WHERE job = %(job)s;

-- name: stop_items
-- Locks the items: no other session can assign ids of items meanwhile.
LOCK TABLE scrapy_resume.item IN EXCLUSIVE MODE;

-- name: skip_items
-- New items get ids above those that are restored.
SELECT setval(
    pg_get_serial_sequence('scrapy_resume.item', 'id'),
    greatest(%(last)s::bigint, (SELECT last_value FROM scrapy_resume.item_id_seq))
);

-- name: put_job
-- The restored job; no row if there is one of its name and number.
INSERT INTO scrapy_resume.job (
    name, number, spider, status, reason, next_run, next_id, codec_version, created_at, updated_at,
    completed_at, arguments, metadata, input_hashes, launch, start_exhausted, start_run, start_over,
    every_run, delta, keeps_given, pending, delayed, leased, done, failed, parked, ignored,
    items_stored, items_dropped, items_failed, superseded, expected_total, round, round_from, skips,
    steps_open, uid
)
SELECT
    name, number, spider, status, reason, next_run, next_id, codec_version, created_at, updated_at,
    completed_at, arguments, metadata, input_hashes, launch, start_exhausted, start_run, start_over,
    every_run, delta, keeps_given, pending, delayed, leased, done, failed, parked, ignored,
    items_stored, items_dropped, items_failed, superseded, expected_total, round, round_from, skips,
    steps_open, uid
FROM restored_job
ON CONFLICT DO NOTHING
RETURNING id, name, number;

-- name: find_key
-- The key of the job.
SELECT name, number FROM restored_job;

-- name: put_slot
-- Slots without an owner, under new ids.
INSERT INTO scrapy_resume.slot (job, key) SELECT %(job)s, key FROM restored_slot;

-- name: put_unit
-- Under new ids.
INSERT INTO scrapy_resume.unit (job, name) SELECT %(job)s, name FROM restored_unit;

-- name: analyze
-- The joins that follow are of all rows.
ANALYZE restored_slot, restored_unit, restored_request, restored_frontier, restored_unit_count;

-- name: put_request
-- With the new ids of slots and units.
INSERT INTO scrapy_resume.request (
    id, parent, unit, slot, priority, seq, updated_at, tried_again_at, job, depth, attempts, crashes,
    items, items_failed, http_status, kind, state, start, every_run, identity, given_key, url,
    payload, error, error_message, kept, round, retry_rounds
)
SELECT
    r.id, r.parent, coalesce(-n.id, r.unit), s.id, r.priority, r.seq, r.updated_at, r.tried_again_at,
    %(job)s, r.depth, r.attempts, r.crashes, r.items, r.items_failed, r.http_status, r.kind, r.state,
    r.start, r.every_run, r.identity, r.given_key, r.url, r.payload, r.error, r.error_message,
    r.kept, r.round, r.retry_rounds
FROM restored_request AS r
JOIN restored_slot AS o ON o.id = r.slot
JOIN scrapy_resume.slot AS s ON s.job = %(job)s AND s.key = o.key
LEFT JOIN restored_unit AS u ON u.id = -r.unit
LEFT JOIN scrapy_resume.unit AS n ON n.job = %(job)s AND n.name = u.name;

-- name: put_frontier
-- With the new ids of slots.
INSERT INTO scrapy_resume.frontier (
    id, slot, priority, seq, not_before, updated_at, job, run, attempts, crashes, kind, start,
    every_run, suspect, retried
)
SELECT
    f.id, s.id, f.priority, f.seq, f.not_before, f.updated_at, %(job)s, f.run, f.attempts, f.crashes,
    f.kind, f.start, f.every_run, f.suspect, f.retried
FROM restored_frontier AS f
JOIN restored_slot AS o ON o.id = f.slot
JOIN scrapy_resume.slot AS s ON s.job = %(job)s AND s.key = o.key;

-- name: put_unit_count
-- With the new ids of units.
INSERT INTO scrapy_resume.unit_count (
    unit, open, done, failed, parked, ignored, items, items_failed, attempts, cursor, first_at,
    last_at, job, state, error, error_message, items_open
)
SELECT
    coalesce(-n.id, c.unit), c.open, c.done, c.failed, c.parked, c.ignored, c.items, c.items_failed,
    c.attempts, c.cursor, c.first_at, c.last_at, %(job)s, c.state, c.error, c.error_message,
    c.items_open
FROM restored_unit_count AS c
LEFT JOIN restored_unit AS u ON u.id = -c.unit
LEFT JOIN scrapy_resume.unit AS n ON n.job = %(job)s AND n.name = u.name;

-- name: put_event
-- Under new ids, in order.
INSERT INTO scrapy_resume.event (job, run, payload)
SELECT %(job)s, run, payload FROM restored_event ORDER BY id;

-- name: clear_processes
-- No process of the restored runs exists here.
UPDATE scrapy_resume.run SET process = '' WHERE job = %(job)s;
