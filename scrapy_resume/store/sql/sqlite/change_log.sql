-- What a job has given, for those who follow it: its visible items and what was taken back, in the
-- order of their ids.

-- name: uid
-- The job's own id.
SELECT uid FROM job;

-- name: end_of_log
-- The last id that was used, and the run that goes on from there.
SELECT j.next_item - 1, r.number, r.started_at
FROM job AS j LEFT JOIN run AS r ON r.number = (SELECT max(number) FROM run);

-- name: next_run
-- Whether the job has that run, and the first id of the run after it (NULL: there is none).
SELECT min(n.first_item) FROM run AS r LEFT JOIN run AS n ON n.number = r.number + 1
WHERE r.number = :run AND r.started_at = :started_at
HAVING count(*) = 1;

-- name: changes
-- Items that became visible after an id, and those that were taken back and not replaced (without a
-- payload).
SELECT id, request, occurrence, key, payload FROM (
    SELECT id, request, occurrence, key, payload FROM item
    WHERE id > :after AND id <= :through ORDER BY id LIMIT :count
)
UNION ALL
SELECT id, request, occurrence, key, NULL FROM (
    SELECT t.id, t.request, t.occurrence, t.key FROM taken_back AS t
    WHERE
        t.id > :after AND t.id <= :through
        AND NOT EXISTS (
            SELECT 1 FROM item AS i
            WHERE
                t.key IS NULL AND i.key IS NULL
                AND i.request = t.request AND i.occurrence = t.occurrence
        )
        AND NOT EXISTS (SELECT 1 FROM item AS i WHERE t.key IS NOT NULL AND i.key = t.key)
    ORDER BY t.id LIMIT :count
)
ORDER BY id LIMIT :count;

-- name: chosen
-- Visible items by their ids.
SELECT i.id, i.request, i.occurrence, i.key, i.payload
FROM json_each(?) AS j CROSS JOIN item AS i WHERE i.id = j.value;
