-- What is skipped for good, of this number and of the next ones.
ALTER TABLE scrapy_resume.job ADD COLUMN IF NOT EXISTS skips integer NOT NULL DEFAULT 0;
CREATE TABLE IF NOT EXISTS scrapy_resume.skip_rule (
    job integer NOT NULL,
    origin smallint NOT NULL,             -- 0 a command, 1 RESUME_SKIP
    host text NOT NULL,                   -- '': any, as are the next two
    url text NOT NULL,                    -- a glob
    unit text NOT NULL,                   -- a glob, or a name
    exact smallint NOT NULL,              -- 1: `unit` is a name
    PRIMARY KEY (job, origin, host, url, unit, exact)
);
CREATE TABLE IF NOT EXISTS scrapy_resume.skip_key (
    job integer NOT NULL,
    key bytea NOT NULL,                   -- 20 bytes
    allowed smallint NOT NULL,            -- 0: it is skipped; 1: it is not, whatever the rules say
    PRIMARY KEY (job, key)
);

-- Retries have a history. What was retried before is not known.
ALTER TABLE scrapy_resume.request ADD COLUMN IF NOT EXISTS retry_rounds integer NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.minute ADD COLUMN IF NOT EXISTS attempts bigint NOT NULL DEFAULT 0;
CREATE TABLE IF NOT EXISTS scrapy_resume.retry_round (
    job integer NOT NULL,
    number integer NOT NULL,              -- from 1
    at double precision NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (job, number)
);

CREATE OR REPLACE VIEW scrapy_resume.history AS
SELECT
    h.job AS job_id,
    j.name || '#' || j.number AS job,
    to_char(to_timestamp(h.day * 86400.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
    sum(h.attempts)::bigint AS attempts,
    sum(h.rounds)::bigint AS rounds,
    sum(h.retried)::bigint AS retried,
    sum(h.done)::bigint AS done,
    sum(h.failed)::bigint AS failed,
    round(sum(h.done) / nullif(sum(h.done) + sum(h.failed), 0), 4)::double precision
        AS success_rate
FROM (
    SELECT job, minute / 1440 AS day, attempts, 0 AS rounds, 0 AS retried, done, failed
    FROM scrapy_resume.minute
    UNION ALL
    SELECT job, floor(at / 86400)::integer, 0, 1, requests, 0, 0 FROM scrapy_resume.retry_round
) AS h
JOIN scrapy_resume.job AS j ON j.id = h.job
GROUP BY h.job, j.name, j.number, h.day;
