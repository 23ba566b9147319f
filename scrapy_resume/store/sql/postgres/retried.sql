-- The statements by which a run leases that fetches nothing but retried requests, and what these lead
-- to: under the names, and in place, of those of commit.sql and opening.sql.

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
            f.job = %(job)s AND f.slot = w.slot AND f.run = 0 AND f.not_before = 0
            AND f.retried = 1 AND f.suspect = 0
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
        f.job = %(job)s AND f.run = 0 AND f.retried = 1 AND f.suspect = 1 AND f.not_before = 0
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
    f.job = %(job)s AND f.run = 0 AND f.retried = 1 AND f.suspect = 1 AND f.not_before = 0
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
                    AND f.retried = 1 AND f.suspect = 0
                LIMIT 1000
            ) AS counted
        )
        ELSE 0
    END
FROM scrapy_resume.slot AS s WHERE s.id = ANY(%(slots)s);

-- name: find_open_slots
-- Free slots with rows to lease: the index is walked from slot to slot,
-- beginning anywhere, so that workers do not meet at the first. Each is looked up by its id: the
-- hosts that are finished are free as well, and a join with all of them takes seconds.
WITH RECURSIVE open_slot (slot) AS (
    (
        SELECT slot FROM scrapy_resume.frontier
        WHERE job = %(job)s AND run = 0 AND not_before = 0 AND retried = 1 AND suspect = 0 AND slot >= %(first)s
        ORDER BY slot LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT f.slot FROM scrapy_resume.frontier AS f
        WHERE
            f.job = %(job)s AND f.run = 0 AND f.not_before = 0 AND f.retried = 1 AND f.suspect = 0
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

-- name: others_at_work
-- Whether any of these rows is open, and whether some of them has not to wait; as in commit.sql.
-- start() brings nothing.
WITH RECURSIVE open_slot (slot) AS (
    (
        SELECT f.slot FROM scrapy_resume.frontier AS f
        WHERE f.job = %(job)s AND f.run = 0 AND f.not_before = 0 AND f.retried = 1 AND f.suspect = 0
        ORDER BY f.slot LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT f.slot FROM scrapy_resume.frontier AS f
        WHERE
            f.job = %(job)s AND f.run = 0 AND f.not_before = 0 AND f.retried = 1 AND f.suspect = 0
            AND f.slot > o.slot
        ORDER BY f.slot LIMIT 1
    )
    FROM open_slot AS o WHERE o.slot IS NOT NULL
)
SELECT
    false,
    (
        SELECT f.id FROM scrapy_resume.frontier AS f WHERE f.job = j.id AND f.retried = 1 ORDER BY f.id LIMIT 1
    ) IS NOT NULL,
    (
        SELECT f.run FROM scrapy_resume.frontier AS f
        WHERE f.job = j.id AND f.run > 0 AND f.retried = 1 ORDER BY f.run LIMIT 1
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
        WHERE f.job = j.id AND f.run = 0 AND f.not_before = 0 AND f.retried = 1 AND f.suspect = 1
        ORDER BY f.id LIMIT 1
    ) IS NOT NULL
FROM scrapy_resume.job AS j WHERE j.id = %(job)s;

-- name: next_due
-- When the first delayed row is due.
SELECT not_before FROM scrapy_resume.frontier
WHERE job = %(job)s AND run = 0 AND not_before > 0 AND retried = 1 ORDER BY not_before LIMIT 1;

-- name: count_delayed
-- How many rows wait for their time.
SELECT count(*) FROM scrapy_resume.frontier
WHERE job = %(job)s AND run = 0 AND not_before > 0 AND retried = 1;

-- name: ready_suspects
-- How many suspects are pending.
SELECT count(*) FROM scrapy_resume.frontier
WHERE job = %(job)s AND run = 0 AND retried = 1 AND suspect = 1 AND not_before = 0;
