-- Requests that are executed again keep the items of an execution that was done.
--
-- Of those that wait for their next execution, version 1 does not tell how the last one ended: what
-- they hold stays until the next one is done.
ALTER TABLE scrapy_resume.request ADD COLUMN kept smallint NOT NULL DEFAULT 0;
UPDATE scrapy_resume.request AS r SET kept = 1
FROM scrapy_resume.frontier AS f WHERE f.job = r.job AND f.id = r.id AND r.items > 0;

-- Requests that were retried, and those that they have led to, are told from others that wait.
ALTER TABLE scrapy_resume.frontier ADD COLUMN retried smallint NOT NULL DEFAULT 0;
CREATE INDEX frontier_retried ON scrapy_resume.frontier (job, slot, priority DESC, start, seq)
    WHERE retried = 1 AND run = 0 AND not_before = 0 AND suspect = 0;

-- Jobs that are extended: round after round, what start() yields is fetched again.
ALTER TABLE scrapy_resume.job ADD COLUMN round integer NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.job ADD COLUMN round_from bigint NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.request ADD COLUMN round integer NOT NULL DEFAULT 0;
