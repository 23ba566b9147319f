-- Progress and rates by named unit, the last finished page of a run, and the workers as a view.
ALTER TABLE scrapy_resume.run ADD COLUMN units bigint NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.run ADD COLUMN unit_pages bigint NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.run ADD COLUMN named_pages bigint NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.run ADD COLUMN cursor bigint;

-- A name of a unit has a negative number. Run 0 is commands: what follows counts on from there.
ALTER TABLE scrapy_resume.unit_tally ADD COLUMN named bigint NOT NULL DEFAULT 0;
INSERT INTO scrapy_resume.unit_tally (job, run, state, units, named)
SELECT job, 0, state, 0, count(*) FROM scrapy_resume.unit_count
WHERE unit < 0 AND state IS NOT NULL GROUP BY job, state
ON CONFLICT (job, run, state) DO UPDATE SET named = excluded.named;

CREATE VIEW scrapy_resume.workers AS
SELECT
    r.job AS job_id,
    j.name || '#' || j.number AS job,
    r.number AS run,
    r.worker,
    r.status,
    scrapy_resume.iso(r.started_at) AS started_at,
    scrapy_resume.iso(r.beat_at) AS heartbeat_at,
    round(greatest(extract(epoch FROM clock_timestamp()) - r.beat_at::numeric, 0), 1)
        AS silent_seconds,
    extract(epoch FROM clock_timestamp()) - r.beat_at > r.orphan_seconds AS stale,
    r.pages,
    r.items,
    r.units
FROM scrapy_resume.run AS r
JOIN scrapy_resume.job AS j ON j.id = r.job
WHERE r.ended_at IS NULL AND r.status = 'running';
