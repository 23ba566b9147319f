-- Items by the states of their steps, in pages: the item that was found last first. Each statement
-- finds its rows by a key, and reads no more than it is told.

-- name: other_pending
-- How many pending steps of a name could not be leased now.
SELECT coalesce(sum(t.delayed + t.suspect + t.waiting), 0)
FROM step_kind AS k CROSS JOIN step_tally AS t WHERE k.name = :step AND t.kind = k.id;

-- name: floor_of_troubled
-- The last item of those whose failed or parked steps are looked at; none, if there are not so many.
SELECT item FROM step
WHERE kind = (SELECT id FROM step_kind WHERE name = :step) AND state IN (3, 4) AND item < :before
ORDER BY item DESC LIMIT 1 OFFSET :bound;

-- name: floor_of_all
-- The same of all items with steps.
SELECT id FROM stepped WHERE id < :before ORDER BY id DESC LIMIT 1 OFFSET :bound;

-- name: troubled
-- Items with a failed or parked step of that name.
SELECT item AS id FROM step
WHERE kind = (SELECT id FROM step_kind WHERE name = :step) AND state IN (3, 4)
    AND state IN (SELECT value FROM json_each(:states)) AND item < :before AND item >= :floor
ORDER BY item DESC LIMIT :count;

-- name: running
-- Items of which a step of that name runs.
SELECT item AS id FROM step
WHERE state = 1 AND kind = (SELECT id FROM step_kind WHERE name = :step)
    AND item < :before AND item >= :floor
ORDER BY item DESC LIMIT :count;

-- name: ready
-- Items of which a step of that name could be leased now.
SELECT item AS id FROM step
WHERE kind = (SELECT id FROM step_kind WHERE name = :step)
    AND state = 0 AND not_before = 0 AND suspect = 0 AND item < :before AND item >= :floor
ORDER BY item DESC LIMIT :count;

-- name: of_request
-- The items with steps that a request has given.
SELECT id FROM stepped WHERE request = :request ORDER BY id LIMIT :count;
