-- What a job has given, for those who follow it. Workers commit in any order, each its own changes in
-- the order of their ids, so a position has a mark for each run. One statement: what is asked for is
-- true at one moment.

-- name: uid
-- The job's own id.
SELECT uid FROM scrapy_resume.job WHERE id = %(job)s;

-- name: changes
-- For each run that has made commits since it was read to its end: items that became visible, and what
-- was taken back (without a payload), after its mark. `back`: a visible item has taken its place.
WITH since AS (
    SELECT s.run, s.item, s.number, s.commits FROM json_to_recordset(%(marks)s::json) AS s (
        run integer, item bigint, number bigint, commits bigint
    )
), runs AS MATERIALIZED (
    SELECT
        r.number AS run, r.started_at, r.commits, coalesce(s.item, 0) AS item,
        coalesce(s.number, 0) AS number
    FROM scrapy_resume.run AS r LEFT JOIN since AS s ON s.run = r.number
    WHERE r.job = %(job)s AND r.commits IS DISTINCT FROM s.commits
)
SELECT r.run, r.started_at, r.commits, c.number, c.id, c.request, c.occurrence, c.key, c.payload, c.back
FROM runs AS r LEFT JOIN LATERAL (
    (
        SELECT NULL::bigint AS number, i.id, i.request, i.occurrence, i.key, i.payload, false AS back
        FROM scrapy_resume.item AS i
        WHERE i.job = %(job)s AND i.run = r.run AND i.id > r.item ORDER BY i.id LIMIT %(count)s
    )
    UNION ALL
    (
        SELECT
            t.number, t.item, t.request, t.occurrence, t.key, NULL,
            CASE WHEN t.key IS NULL THEN EXISTS (
                SELECT FROM scrapy_resume.item AS i
                WHERE
                    i.job = %(job)s AND i.request = t.request AND i.occurrence = t.occurrence
                    AND i.key IS NULL
            ) ELSE EXISTS (
                SELECT FROM scrapy_resume.item AS i WHERE i.job = %(job)s AND i.key = t.key
            ) END
        FROM scrapy_resume.taken_back AS t
        WHERE t.job = %(job)s AND t.run = r.run AND t.number > r.number
        ORDER BY t.number LIMIT %(count)s
    )
) AS c ON true
ORDER BY r.run, c.number NULLS LAST, c.id;

-- name: chosen
-- Visible items by their ids.
SELECT id, request, occurrence, key, payload FROM scrapy_resume.item
WHERE job = %(job)s AND id = ANY(%(ids)s);

-- name: runs
-- The runs, and how many commits each has made.
SELECT number, started_at, commits FROM scrapy_resume.run WHERE job = %(job)s;
