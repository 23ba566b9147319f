-- Items by the states of their steps, in pages: the item that was found last first. Each statement
-- finds its rows by a key, and reads no more than it is told.

-- name: other_pending
-- How many pending steps of a name could not be leased now.
SELECT coalesce(sum(t.delayed + t.suspect + t.waiting), 0)::bigint
FROM scrapy_resume.step_kind AS k
JOIN scrapy_resume.step_tally AS t ON t.job = k.job AND t.kind = k.id
WHERE k.job = %(job)s AND k.name = %(step)s;

-- name: floor_of_troubled
-- The last item of those whose failed or parked steps are looked at; none, if there are not so many.
SELECT item FROM scrapy_resume.step
WHERE job = %(job)s AND state IN (3, 4) AND item < %(before)s AND kind = (
    SELECT id FROM scrapy_resume.step_kind WHERE job = %(job)s AND name = %(step)s
)
ORDER BY item DESC LIMIT 1 OFFSET %(bound)s;

-- name: floor_of_all
-- The same of all items with steps.
SELECT id FROM scrapy_resume.stepped
WHERE job = %(job)s AND id < %(before)s ORDER BY id DESC LIMIT 1 OFFSET %(bound)s;

-- name: troubled
-- Items with a failed or parked step of that name.
SELECT item AS id FROM scrapy_resume.step
WHERE job = %(job)s AND state IN (3, 4) AND state = ANY(%(states)s)
    AND item < %(before)s AND item >= %(floor)s AND kind = (
        SELECT id FROM scrapy_resume.step_kind WHERE job = %(job)s AND name = %(step)s
    )
ORDER BY item DESC LIMIT %(count)s;

-- name: running
-- Items of which a step of that name runs.
SELECT item AS id FROM scrapy_resume.step
WHERE job = %(job)s AND state = 1 AND item < %(before)s AND item >= %(floor)s AND kind = (
    SELECT id FROM scrapy_resume.step_kind WHERE job = %(job)s AND name = %(step)s
)
ORDER BY item DESC LIMIT %(count)s;

-- name: ready
-- Items of which a step of that name could be leased now.
SELECT item AS id FROM scrapy_resume.step
WHERE job = %(job)s AND state = 0 AND not_before = 0 AND suspect = 0
    AND item < %(before)s AND item >= %(floor)s AND kind = (
        SELECT id FROM scrapy_resume.step_kind WHERE job = %(job)s AND name = %(step)s
    )
ORDER BY item DESC LIMIT %(count)s;

-- name: of_request
-- The items with steps that a request has given. (By `job + 0`: see stepped_request.)
SELECT id FROM scrapy_resume.stepped
WHERE request = %(request)s AND job + 0 = %(job)s ORDER BY id LIMIT %(count)s;
