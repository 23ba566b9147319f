-- Steps of items, and what was taken back.
ALTER TABLE scrapy_resume.job ADD COLUMN IF NOT EXISTS steps_open bigint NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.run ADD COLUMN IF NOT EXISTS steps_open bigint NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.unit_count ADD COLUMN IF NOT EXISTS items_open bigint NOT NULL DEFAULT 0;
ALTER TABLE scrapy_resume.spill ADD COLUMN IF NOT EXISTS steps text;
ALTER TABLE scrapy_resume.spill ADD COLUMN IF NOT EXISTS stable_key text;
DROP INDEX IF EXISTS scrapy_resume.item_request;
CREATE INDEX IF NOT EXISTS item_request ON scrapy_resume.item (job, request, occurrence);

CREATE TABLE IF NOT EXISTS scrapy_resume.step_kind (
    job integer NOT NULL,
    id smallint NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (job, id),
    UNIQUE (job, name)
);

-- Items that have steps. While one of them is open for the first time, no reader sees the item.
-- Whoever changes an item or its steps, or leases one of them, holds the item's row.
CREATE TABLE IF NOT EXISTS scrapy_resume.stepped (
    id bigint NOT NULL,                   -- never used twice
    request bigint NOT NULL,
    job integer NOT NULL,
    version integer NOT NULL,             -- grows when its page is fetched again
    occurrence integer NOT NULL,
    open integer NOT NULL,                -- its steps that have not ended
    updates smallint NOT NULL,            -- 1: the key is that of RESUME_ITEM_KEY, as in item
    shown smallint NOT NULL,              -- 1: this version, or for now an earlier one, is visible
    key text NOT NULL,                    -- what it is called over updates
    payload text,                         -- JSON; NULL: that of the visible item
    PRIMARY KEY (job, id)
) WITH (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000
);
-- (Asked for by `job + 0`, so that nothing else seems as good: see steps.sql.)
CREATE INDEX IF NOT EXISTS stepped_request ON scrapy_resume.stepped (request, (job + 0));
CREATE INDEX IF NOT EXISTS stepped_key ON scrapy_resume.stepped (key, (job + 0));

CREATE TABLE IF NOT EXISTS scrapy_resume.step (
    item bigint NOT NULL,                 -- as in stepped
    not_before double precision NOT NULL DEFAULT 0,
    first_at double precision,            -- when its first, and its last, attempt ended
    last_at double precision,
    job integer NOT NULL,
    run integer NOT NULL DEFAULT 0,       -- the last that has leased it
    attempts integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,   -- deaths of the process while it ran
    kind smallint NOT NULL,
    state smallint NOT NULL,              -- 0 pending, 1 running, 2 done, 3 failed, 4 parked,
                                          -- 5 skipped, 6 pending until other steps have ended
    suspect smallint NOT NULL DEFAULT 0,  -- 1: too many of them, so it runs alone
    error text,
    error_message text,
    version text,                         -- of its code, when it was done last, as are the next two
    inputs text,                          -- a digest of the fields that it needed
    gave text,                            -- JSON: names of the fields that it gave
    PRIMARY KEY (job, item, kind)
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000
);
CREATE INDEX IF NOT EXISTS step_ready ON scrapy_resume.step (job, kind, item)
    WHERE state = 0 AND not_before = 0 AND suspect = 0;
CREATE INDEX IF NOT EXISTS step_suspects ON scrapy_resume.step (job, item)
    WHERE state = 0 AND not_before = 0 AND suspect = 1;
CREATE INDEX IF NOT EXISTS step_delayed ON scrapy_resume.step (job, not_before)
    WHERE state = 0 AND not_before > 0;
CREATE INDEX IF NOT EXISTS step_running ON scrapy_resume.step (job, run) WHERE state = 1;
CREATE INDEX IF NOT EXISTS step_troubled ON scrapy_resume.step (job, kind, item) WHERE state IN (3, 4);

-- The steps of each kind by state: what each run has changed; run 0 is commands.
CREATE TABLE IF NOT EXISTS scrapy_resume.step_tally (
    job integer NOT NULL,
    run integer NOT NULL,
    kind smallint NOT NULL,
    ready bigint NOT NULL,
    delayed bigint NOT NULL,              -- pending until a time, suspects too
    suspect bigint NOT NULL,              -- pending, and run alone
    waiting bigint NOT NULL,
    running bigint NOT NULL,
    done bigint NOT NULL,
    failed bigint NOT NULL,
    parked bigint NOT NULL,
    skipped bigint NOT NULL,
    PRIMARY KEY (job, run, kind)
) WITH (fillfactor = 50);

-- Attempts by day.
CREATE TABLE IF NOT EXISTS scrapy_resume.step_day (
    job integer NOT NULL,
    day integer NOT NULL,                 -- since the epoch
    kind smallint NOT NULL,
    run integer NOT NULL,
    attempts bigint NOT NULL,
    retries bigint NOT NULL,              -- attempts that were not the first
    done bigint NOT NULL,                 -- how these ended, as are the next two
    failed bigint NOT NULL,               -- tried again or not
    skipped bigint NOT NULL,
    PRIMARY KEY (job, day, kind, run)
) WITH (fillfactor = 50);

-- Attempts of steps with a rate limit that still count for it.
CREATE TABLE IF NOT EXISTS scrapy_resume.step_use (
    item bigint NOT NULL,
    seconds double precision NOT NULL,
    until double precision NOT NULL,      -- 0: it has not ended
    job integer NOT NULL,
    kind smallint NOT NULL
);
CREATE INDEX IF NOT EXISTS step_use_until ON scrapy_resume.step_use (job, kind, until);

-- Downloads that steps want of the workers that own their slots, until they are taken.
CREATE TABLE IF NOT EXISTS scrapy_resume.step_fetch (
    id bigint NOT NULL,                   -- chosen by the run
    slot bigint NOT NULL,
    job integer NOT NULL,
    run integer NOT NULL,                 -- that wants it
    doer integer NOT NULL DEFAULT 0,      -- the run that does it; 0: none yet
    url text NOT NULL,
    request text NOT NULL,                -- JSON
    result text,                          -- JSON; NULL: it has not ended
    PRIMARY KEY (job, run, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX IF NOT EXISTS step_fetch_wanted ON scrapy_resume.step_fetch (job, slot) WHERE doer = 0;
CREATE INDEX IF NOT EXISTS step_fetch_taken ON scrapy_resume.step_fetch (job, doer)
    WHERE doer > 0 AND result IS NULL;

-- What was taken back, by the run that did it: with `item`, it says what a job has given. An item
-- with a higher id takes the place of what was taken back.
CREATE TABLE IF NOT EXISTS scrapy_resume.taken_back (
    job integer NOT NULL,
    run integer NOT NULL,
    number bigint NOT NULL,               -- ascending
    item bigint NOT NULL,                 -- as in item, as are the next three
    request bigint NOT NULL,
    occurrence integer NOT NULL,
    key text,
    PRIMARY KEY (job, run, number)
);

CREATE OR REPLACE VIEW scrapy_resume.totals AS
SELECT
    j.id AS job,
    (j.pending + coalesce(sum(r.pending), 0))::bigint AS pending,
    (j.delayed + coalesce(sum(r.delayed), 0))::bigint AS delayed,
    (j.leased + coalesce(sum(r.leased), 0))::bigint AS leased,
    (j.done + coalesce(sum(r.done), 0))::bigint AS done,
    (j.failed + coalesce(sum(r.failed), 0))::bigint AS failed,
    (j.parked + coalesce(sum(r.parked), 0))::bigint AS parked,
    (j.ignored + coalesce(sum(r.ignored), 0))::bigint AS ignored,
    (j.items_stored + coalesce(sum(r.items_stored), 0))::bigint AS items_stored,
    (j.items_dropped + coalesce(sum(r.items_dropped), 0))::bigint AS items_dropped,
    (j.items_failed + coalesce(sum(r.items_failed), 0))::bigint AS items_failed,
    (j.superseded + coalesce(sum(r.superseded), 0))::bigint AS superseded,
    greatest(j.next_id, max(r.next_id)) AS next_id,
    greatest(j.updated_at, max(r.beat_at)) AS updated_at,
    count(r.number) AS runs,
    count(*) FILTER (WHERE r.status = 'running') AS workers,
    (j.steps_open + coalesce(sum(r.steps_open), 0))::bigint AS steps_open
FROM scrapy_resume.job AS j
LEFT JOIN scrapy_resume.run AS r ON r.job = j.id
GROUP BY j.id;

CREATE OR REPLACE VIEW scrapy_resume.steps AS
SELECT
    t.job AS job_id,
    j.name || '#' || j.number AS job,
    s.id AS item,
    s.key,
    coalesce(r.url, '') AS url,
    coalesce(u.name, root.url) AS unit,
    k.name AS step,
    CASE t.state
        WHEN 1 THEN 'running' WHEN 2 THEN 'done' WHEN 3 THEN 'failed' WHEN 4 THEN 'parked'
        WHEN 5 THEN 'skipped' ELSE 'pending'
    END AS state,
    t.attempts,
    t.crashes,
    t.error,
    t.error_message,
    CASE WHEN t.not_before > 0 THEN scrapy_resume.iso(t.not_before) END AS not_before,
    scrapy_resume.iso(t.first_at) AS first_at,
    scrapy_resume.iso(t.last_at) AS last_at,
    t.version
FROM scrapy_resume.step AS t
JOIN scrapy_resume.stepped AS s ON s.job = t.job AND s.id = t.item
JOIN scrapy_resume.step_kind AS k ON k.job = t.job AND k.id = t.kind
JOIN scrapy_resume.job AS j ON j.id = t.job
LEFT JOIN scrapy_resume.request AS r ON r.job = s.job AND r.id = s.request
LEFT JOIN scrapy_resume.unit AS u ON u.id = -r.unit
LEFT JOIN scrapy_resume.request AS root ON root.job = r.job AND root.id = r.unit;

CREATE OR REPLACE VIEW scrapy_resume.step_attempts AS
SELECT
    d.job AS job_id,
    j.name || '#' || j.number AS job,
    to_char(to_timestamp(d.day * 86400.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
    k.name AS step,
    sum(d.attempts)::bigint AS attempts,
    sum(d.retries)::bigint AS retries,
    sum(d.done)::bigint AS done,
    sum(d.failed)::bigint AS failed,
    sum(d.skipped)::bigint AS skipped,
    round(sum(d.done) / nullif(sum(d.done) + sum(d.failed), 0), 4)::double precision
        AS success_rate
FROM scrapy_resume.step_day AS d
JOIN scrapy_resume.step_kind AS k ON k.job = d.job AND k.id = d.kind
JOIN scrapy_resume.job AS j ON j.id = d.job
GROUP BY d.job, j.name, j.number, d.day, k.name;
