-- Units with their counts: what there is so far is counted once. Workers of the version before
-- must have ended: they would not count. The locks keep out what they still have under way.
LOCK TABLE scrapy_resume.request, scrapy_resume.frontier IN SHARE MODE;

-- What has become of the requests of each unit; kept by every commit.
CREATE TABLE scrapy_resume.unit_count (
    unit bigint NOT NULL,                 -- as in request
    open bigint NOT NULL,
    done bigint NOT NULL,
    failed bigint NOT NULL,
    parked bigint NOT NULL,
    ignored bigint NOT NULL,
    items bigint NOT NULL,
    items_failed bigint NOT NULL,
    attempts bigint NOT NULL,
    cursor bigint,                        -- the request that was done last
    first_at double precision,            -- when the first, and the last, of them ended
    last_at double precision,
    job integer NOT NULL,
    state smallint,                       -- 0 in_progress, 1 failed, 2 partial, 3 parked,
                                          -- 4 pending, 5 completed; NULL: it has no requests
    error text,                           -- of the one that failed, or was parked, last
    error_message text,
    PRIMARY KEY (job, unit)
) WITH (fillfactor = 70);
CREATE INDEX unit_count_state ON scrapy_resume.unit_count (job, state, abs(unit));

-- How many units are in each state: what each run has changed; run 0 is commands.
CREATE TABLE scrapy_resume.unit_tally (
    job integer NOT NULL,
    run integer NOT NULL,
    state smallint NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (job, run, state)
);

INSERT INTO scrapy_resume.unit_count (
    job, unit, open, done, failed, parked, ignored, items, items_failed, attempts, first_at,
    last_at
)
SELECT
    r.job, r.unit, count(f.id), count(*) FILTER (WHERE r.state = 2),
    count(*) FILTER (WHERE r.state = 3), count(*) FILTER (WHERE r.state = 4),
    count(*) FILTER (WHERE r.state = 5), sum(r.items), sum(r.items_failed),
    sum(coalesce(f.attempts, r.attempts)), min(r.updated_at) FILTER (WHERE r.state > 1),
    max(r.updated_at) FILTER (WHERE r.state > 1)
FROM scrapy_resume.request AS r
LEFT JOIN scrapy_resume.frontier AS f ON f.job = r.job AND f.id = r.id
WHERE r.kind = 0 GROUP BY r.job, r.unit;

-- The request that was done last, and the one that failed, or was parked, last.
UPDATE scrapy_resume.unit_count AS c SET cursor = t.id
FROM (
    SELECT DISTINCT ON (job, unit) job, unit, id FROM scrapy_resume.request
    WHERE kind = 0 AND state = 2 ORDER BY job, unit, updated_at DESC, id DESC
) AS t
WHERE c.job = t.job AND c.unit = t.unit;

UPDATE scrapy_resume.unit_count AS c SET error = t.error, error_message = t.error_message
FROM (
    SELECT DISTINCT ON (job, unit) job, unit, error, error_message FROM scrapy_resume.request
    WHERE kind = 0 AND state IN (3, 4) ORDER BY job, unit, updated_at DESC, id DESC
) AS t
WHERE c.job = t.job AND c.unit = t.unit;

UPDATE scrapy_resume.unit_count SET state = CASE
    WHEN open > 0 AND done + failed + ignored > 0 THEN 0
    WHEN open > 0 THEN 4
    WHEN done > 0 AND (failed > 0 OR parked > 0 OR items_failed > 0) THEN 2
    WHEN failed > 0 THEN 1
    WHEN parked > 0 THEN 3
    ELSE 5
END;

INSERT INTO scrapy_resume.unit_tally (job, run, state, units)
SELECT job, 0, state, count(*) FROM scrapy_resume.unit_count GROUP BY job, state;

CREATE VIEW scrapy_resume.units AS
SELECT
    c.job AS job_id,
    j.name || '#' || j.number AS job,
    c.unit AS id,
    coalesce(n.name, root.url) AS unit,
    CASE c.state
        WHEN 0 THEN 'in_progress' WHEN 1 THEN 'failed' WHEN 2 THEN 'partial'
        WHEN 3 THEN 'parked' WHEN 4 THEN 'pending' ELSE 'completed'
    END AS state,
    c.open,
    c.done,
    c.failed,
    c.parked,
    c.ignored,
    c.items,
    c.items_failed,
    c.attempts,
    c.error,
    c.error_message,
    scrapy_resume.iso(c.first_at) AS first_at,
    scrapy_resume.iso(c.last_at) AS last_at,
    last.url AS cursor
FROM scrapy_resume.unit_count AS c
JOIN scrapy_resume.job AS j ON j.id = c.job
LEFT JOIN scrapy_resume.unit AS n ON n.id = -c.unit
LEFT JOIN scrapy_resume.request AS root ON root.job = c.job AND root.id = c.unit
LEFT JOIN scrapy_resume.request AS last ON last.job = c.job AND last.id = c.cursor
WHERE c.state IS NOT NULL;
