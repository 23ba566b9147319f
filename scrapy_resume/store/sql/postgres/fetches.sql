-- Downloads that steps want of the workers that own the slots.

-- name: want
-- Downloads that this run wants.
INSERT INTO scrapy_resume.step_fetch (job, run, id, slot, url, request)
SELECT %(job)s, %(run)s, id, slot, url, request
FROM json_to_recordset(%(rows)s::json) AS n (id bigint, slot bigint, url text, request text);

-- name: give_up
-- Downloads for which this run waits no more.
DELETE FROM scrapy_resume.step_fetch WHERE job = %(job)s AND run = %(run)s AND id = ANY(%(ids)s);

-- name: unowned
-- Slots of downloads that this run wants and nobody does, unless they belong to another run.
SELECT DISTINCT f.slot FROM scrapy_resume.step_fetch AS f
CROSS JOIN LATERAL (
    SELECT id FROM scrapy_resume.slot
    WHERE id = f.slot AND (run = 0 OR run = %(run)s) AND free_at <= %(now)s OFFSET 0
) AS s
WHERE f.job = %(job)s AND f.run = %(run)s AND f.doer = 0;

-- name: take
-- Takes the wanted downloads of the slots that this run owns, the first ones first.
UPDATE scrapy_resume.step_fetch AS f SET doer = %(run)s
FROM (
    SELECT w.run, w.id, s.key FROM scrapy_resume.step_fetch AS w
    JOIN scrapy_resume.slot AS s ON s.id = w.slot
    WHERE w.job = %(job)s AND w.doer = 0 AND s.run = %(run)s
    ORDER BY w.id LIMIT %(count)s
    FOR UPDATE OF w SKIP LOCKED
) AS wanted
WHERE f.job = %(job)s AND f.run = wanted.run AND f.id = wanted.id
RETURNING f.run, f.id, wanted.key, f.url, f.request;

-- name: end
-- Downloads that this run has done. Nobody may wait for one any more.
UPDATE scrapy_resume.step_fetch AS f SET result = n.result
FROM json_to_recordset(%(rows)s::json) AS n (run integer, id bigint, result text)
WHERE
    f.job = %(job)s AND f.run = n.run AND f.id = n.id AND f.doer = %(run)s
    AND f.run = ANY(%(runs)s) AND f.id = ANY(%(ids)s);

-- name: answers
-- What has become of the downloads that this run has wanted.
DELETE FROM scrapy_resume.step_fetch
WHERE job = %(job)s AND run = %(run)s AND result IS NOT NULL
RETURNING id, result;

-- name: forget
-- A run has ended: nobody waits for what it has wanted.
DELETE FROM scrapy_resume.step_fetch WHERE job = %(job)s AND run = %(run)s;

-- name: leave
-- A run has ended: others do what it has not done.
UPDATE scrapy_resume.step_fetch SET doer = 0
WHERE job = %(job)s AND doer = %(run)s AND result IS NULL;
