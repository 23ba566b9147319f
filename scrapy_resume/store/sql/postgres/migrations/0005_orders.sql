-- What commands tell a live crawl, how a crawl was started, what earlier numbers of a job gave,
-- and when a request failed first.

ALTER TABLE scrapy_resume.job
    ADD COLUMN launch text,
    ADD COLUMN delta boolean NOT NULL DEFAULT false,
    ADD COLUMN keeps_given boolean NOT NULL DEFAULT false;
ALTER TABLE scrapy_resume.run
    ADD COLUMN last boolean NOT NULL DEFAULT false,
    ADD COLUMN stop_asked boolean NOT NULL DEFAULT false,
    ADD COLUMN retried boolean NOT NULL DEFAULT false;
ALTER TABLE scrapy_resume.request
    ADD COLUMN tried_again_at double precision,
    ADD COLUMN given_key bytea;
ALTER TABLE scrapy_resume.item ADD COLUMN run integer NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.item ALTER COLUMN run DROP DEFAULT;
DROP INDEX scrapy_resume.spill_run;
CREATE INDEX spill_run ON scrapy_resume.spill (run, job);

-- Keys of requests that gave items in earlier numbers of the job.
CREATE TABLE scrapy_resume.given (
    job integer NOT NULL,
    key bytea NOT NULL,                   -- 20 bytes
    PRIMARY KEY (job, key)
);

DROP VIEW scrapy_resume.requests;
CREATE VIEW scrapy_resume.requests AS
SELECT
    r.job AS job_id,
    j.name || '#' || j.number AS job,
    r.id,
    r.url,
    coalesce(r.payload::json ->> 'method', 'GET') AS method,
    CASE
        WHEN f.run = 0 THEN 'pending' WHEN f.run > 0 THEN 'leased' WHEN r.state = 2 THEN 'done'
        WHEN r.state = 3 THEN 'failed' WHEN r.state = 4 THEN 'parked' ELSE 'ignored'
    END AS state,
    r.priority,
    r.depth,
    coalesce(r.payload::json ->> 'callback', 'parse') AS callback,
    coalesce(f.attempts, r.attempts) AS attempts,
    coalesce(f.crashes, r.crashes) AS crashes,
    r.http_status,
    r.error,
    r.error_message,
    CASE WHEN f.not_before > 0 THEN scrapy_resume.iso(f.not_before) END AS not_before,
    scrapy_resume.iso(coalesce(f.updated_at, r.updated_at)) AS updated_at,
    scrapy_resume.iso(
        coalesce(r.tried_again_at, CASE WHEN r.state = 3 THEN r.updated_at END)
    ) AS first_failed_at,
    r.items,
    r.items_failed,
    coalesce(u.name, root.url) AS unit,
    nullif(r.parent, -1) AS parent,
    s.key AS slot,
    w.worker,
    CASE WHEN f.run > 0 THEN scrapy_resume.iso(f.updated_at) END AS leased_at
FROM scrapy_resume.request AS r
JOIN scrapy_resume.job AS j ON j.id = r.job
LEFT JOIN scrapy_resume.frontier AS f ON f.job = r.job AND f.id = r.id
LEFT JOIN scrapy_resume.run AS w ON w.job = f.job AND w.number = f.run
LEFT JOIN scrapy_resume.unit AS u ON u.id = -r.unit
LEFT JOIN scrapy_resume.request AS root ON root.job = r.job AND root.id = r.unit
LEFT JOIN scrapy_resume.slot AS s ON s.id = r.slot
WHERE r.kind = 0;
