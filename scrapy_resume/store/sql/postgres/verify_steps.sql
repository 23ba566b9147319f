-- What holds of the steps of items of every job, in a database that has tables of them, as in
-- verify.sql.

-- name: steps_counted
-- The job counts its open steps, over all runs.
SELECT '', c.steps_open, t.there
FROM scrapy_resume.totals AS c, (
    SELECT count(*) AS there FROM scrapy_resume.step
    WHERE job = %(job)s AND state IN (0, 1, 6)
) AS t
WHERE c.job = %(job)s AND c.steps_open <> t.there;

-- name: step_tallies
-- The tally of a step counts what there is.
SELECT k.name, coalesce(c.counts, '0,0,0,0,0,0,0,0,0'), coalesce(t.counts, '0,0,0,0,0,0,0,0,0')
FROM scrapy_resume.step_kind AS k
LEFT JOIN (
    SELECT kind, concat_ws(',',
        sum(ready), sum(delayed), sum(suspect), sum(waiting), sum(running), sum(done),
        sum(failed), sum(parked), sum(skipped)
    ) AS counts
    FROM scrapy_resume.step_tally WHERE job = %(job)s GROUP BY kind
) AS c ON c.kind = k.id
LEFT JOIN (
    SELECT kind, concat_ws(',',
        count(*) FILTER (WHERE state = 0 AND not_before = 0 AND suspect = 0),
        count(*) FILTER (WHERE state = 0 AND not_before > 0),
        count(*) FILTER (WHERE state = 0 AND not_before = 0 AND suspect = 1),
        count(*) FILTER (WHERE state = 6),
        count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 2),
        count(*) FILTER (WHERE state = 3), count(*) FILTER (WHERE state = 4),
        count(*) FILTER (WHERE state = 5)
    ) AS counts
    FROM scrapy_resume.step WHERE job = %(job)s GROUP BY kind
) AS t ON t.kind = k.id
WHERE k.job = %(job)s AND coalesce(c.counts, '0,0,0,0,0,0,0,0,0') <> coalesce(t.counts, '0,0,0,0,0,0,0,0,0');

-- name: steps_open
-- An item has as many open steps as it says.
SELECT s.key, s.open, coalesce(t.rows, 0)
FROM scrapy_resume.stepped AS s
LEFT JOIN (
    SELECT item, count(*) AS rows FROM scrapy_resume.step
    WHERE job = %(job)s AND state IN (0, 1, 6) GROUP BY item
) AS t ON t.item = s.id
WHERE s.job = %(job)s AND s.open <> coalesce(t.rows, 0) LIMIT 20;

-- name: steps_lost
-- A step is of an item.
SELECT t.item, 1, 0 FROM scrapy_resume.step AS t
WHERE t.job = %(job)s AND NOT EXISTS (
    SELECT FROM scrapy_resume.stepped AS s WHERE s.job = t.job AND s.id = t.item
) LIMIT 20;

-- name: steps_missing
-- An item that is kept for its steps has some.
SELECT s.key, 1, 0 FROM scrapy_resume.stepped AS s
WHERE s.job = %(job)s AND NOT EXISTS (
    SELECT FROM scrapy_resume.step AS t WHERE t.job = s.job AND t.item = s.id
) LIMIT 20;

-- name: steps_held
-- A step that is running was leased by a live run.
SELECT t.item, 0, 1 FROM scrapy_resume.step AS t
WHERE t.job = %(job)s AND t.state = 1 AND NOT EXISTS (
    SELECT FROM scrapy_resume.run AS w
    WHERE w.job = t.job AND w.number = t.run AND w.status = 'running'
) LIMIT 20;

-- name: steps_left
-- No step is open of a completed job.
SELECT t.item, 0, 1 FROM scrapy_resume.step AS t
JOIN scrapy_resume.job AS j ON j.id = t.job
WHERE t.job = %(job)s AND t.state IN (0, 1, 6) AND j.status = 'completed' LIMIT 20;

-- name: shown
-- An item of which a version is visible is among the visible ones.
SELECT s.key, 1, 0 FROM scrapy_resume.stepped AS s
WHERE s.job = %(job)s AND s.shown = 1 AND NOT EXISTS (
    SELECT FROM scrapy_resume.item AS i
    WHERE i.job = s.job AND i.request = s.request AND i.occurrence = s.occurrence
) AND NOT EXISTS (
    SELECT FROM scrapy_resume.item AS i WHERE s.updates = 1 AND i.job = s.job AND i.key = s.key
) LIMIT 20;

-- name: invisible
-- An item whose steps have all ended is visible.
SELECT s.key, 1, 0 FROM scrapy_resume.stepped AS s
WHERE s.job = %(job)s AND s.open = 0 AND s.shown = 0 LIMIT 20;

-- name: items_open
-- Units count the items of which a step is open.
SELECT '', c.counted, t.there
FROM (
    SELECT coalesce(sum(items_open), 0) AS counted FROM scrapy_resume.unit_count
    WHERE job = %(job)s
) AS c, (
    SELECT count(*) AS there FROM scrapy_resume.stepped AS s
    JOIN scrapy_resume.request AS r ON r.job = s.job AND r.id = s.request
    WHERE s.job = %(job)s AND s.open > 0 AND r.kind = 0
) AS t
WHERE c.counted <> t.there;
