-- The schema of all jobs in a PostgreSQL database, version 6.
--
-- Times are seconds since the epoch, UTC, by the server's clock. States of a request: 0 open
-- (it is in the frontier: pending or leased), 2 done, 3 failed, 4 parked, 5 ignored. People
-- read the views at the end.
--
-- Open requests (frontier) are apart from what is kept (seen, request, item): a queue table full of
-- rows that have ended slows down. A request's row is written twice, when it arrives and when
-- it ends; the second time in place (no index has a column that changes then).

-- (Not IF NOT EXISTS, which needs the right to create schemas even if the schema exists.)
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'scrapy_resume') THEN
        CREATE SCHEMA scrapy_resume;
    END IF;
END
$$;

CREATE TABLE scrapy_resume.migration (
    version integer PRIMARY KEY,
    applied_at double precision NOT NULL
);

CREATE TABLE scrapy_resume.job (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    number integer NOT NULL,
    spider text NOT NULL,
    status text NOT NULL,
    reason text,
    next_run integer NOT NULL DEFAULT 1,
    next_id bigint NOT NULL DEFAULT 1,    -- of runs that have ended
    codec_version integer NOT NULL DEFAULT 1,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    completed_at double precision,
    arguments text NOT NULL,              -- JSON, as are the next two
    metadata text NOT NULL,
    input_hashes text NOT NULL,
    launch text,                          -- JSON: how its last crawl was started; NULL: unknown
    start_exhausted boolean NOT NULL DEFAULT false,
    start_run integer NOT NULL DEFAULT 0, -- the run that has start(); 0: nobody
    start_over boolean NOT NULL DEFAULT false, -- start() came to its end since the job was opened
    every_run boolean NOT NULL DEFAULT false,
    delta boolean NOT NULL DEFAULT false, -- what is in `given` is not fetched
    keeps_given boolean NOT NULL DEFAULT false, -- `given` has all that earlier numbers knew
    -- The counters of runs that have ended; those of live runs are in their rows, so that no
    -- two workers write to one row.
    pending bigint NOT NULL DEFAULT 0,
    delayed bigint NOT NULL DEFAULT 0,    -- a part of pending: not_before > 0
    leased bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    parked bigint NOT NULL DEFAULT 0,
    ignored bigint NOT NULL DEFAULT 0,
    items_stored bigint NOT NULL DEFAULT 0,
    items_dropped bigint NOT NULL DEFAULT 0,
    items_failed bigint NOT NULL DEFAULT 0,
    superseded bigint NOT NULL DEFAULT 0, -- items that were taken back
    expected_total double precision,      -- pages, as the spider says; NULL: it does not
    round integer NOT NULL DEFAULT 0,     -- of an extended job: how often start() was to be fetched
    round_from bigint NOT NULL DEFAULT 0, -- ids below it are of requests that earlier rounds added
    skips integer NOT NULL DEFAULT 0,     -- how often what is skipped has changed; 0: nothing ever was
    steps_open bigint NOT NULL DEFAULT 0, -- steps of items that have not ended
    uid text NOT NULL DEFAULT '',         -- random: followers know the job by it
    UNIQUE (name, number)
);

-- A run of a worker. Its row is the fence: the run can commit as long as it is `running`.
CREATE TABLE scrapy_resume.run (
    job integer NOT NULL,
    number integer NOT NULL,
    worker text NOT NULL,                 -- host:pid
    process text NOT NULL,                -- shows on its own machine whether it still exists
    status text NOT NULL,
    reason text,
    started_at double precision NOT NULL,
    beat_at double precision NOT NULL,
    ended_at double precision,
    orphan_seconds double precision NOT NULL, -- without a heartbeat for so long, it is dead
    delay_seconds double precision NOT NULL,  -- the longest download delay that it keeps to
    commits bigint NOT NULL DEFAULT 0,
    next_id bigint NOT NULL,
    alone_id bigint NOT NULL DEFAULT 0,   -- the suspect that was leased to run alone
    sent bigint[] NOT NULL DEFAULT '{}',  -- rows that the engine held when this was written
    answered bigint[] NOT NULL DEFAULT '{}', -- those of them that the site had begun to answer
    starving boolean NOT NULL DEFAULT false, -- it looks for slots in vain
    leaving boolean NOT NULL DEFAULT false,  -- it found the job finished, and closes
    last boolean NOT NULL DEFAULT false,     -- the same, and it was the last one
    stop_asked boolean NOT NULL DEFAULT false, -- it is to stop gracefully
    retried boolean NOT NULL DEFAULT false,  -- requests were retried: hosts are asked again
    pages bigint NOT NULL DEFAULT 0,
    items bigint NOT NULL DEFAULT 0,
    stats text,                           -- JSON, written at close
    pending bigint NOT NULL DEFAULT 0,    -- by how much the run has changed the job's counters
    delayed bigint NOT NULL DEFAULT 0,
    leased bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    parked bigint NOT NULL DEFAULT 0,
    ignored bigint NOT NULL DEFAULT 0,
    items_stored bigint NOT NULL DEFAULT 0,
    items_dropped bigint NOT NULL DEFAULT 0,
    items_failed bigint NOT NULL DEFAULT 0,
    superseded bigint NOT NULL DEFAULT 0,
    custom text,                          -- JSON: custom metrics, written as they change
    units bigint NOT NULL DEFAULT 0,      -- named units that ended in it
    unit_pages bigint NOT NULL DEFAULT 0, -- requests of those units that have ended
    named_pages bigint NOT NULL DEFAULT 0, -- requests of any named unit that ended in it
    cursor bigint,                        -- the request that was done last in it
    steps_open bigint NOT NULL DEFAULT 0, -- one of the counters
    PRIMARY KEY (job, number)
) WITH (fillfactor = 40);

-- Download slots (mostly a host), and the run that owns each.
CREATE TABLE scrapy_resume.slot (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job integer NOT NULL,
    run integer NOT NULL DEFAULT 0,       -- 0: nobody's
    free_at double precision NOT NULL DEFAULT 0, -- nobody may take it before that time
    key text NOT NULL,
    UNIQUE (job, key)
) WITH (fillfactor = 80);
CREATE INDEX slot_owned ON scrapy_resume.slot (job, run) WHERE run > 0;

CREATE TABLE scrapy_resume.unit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job integer NOT NULL,
    name text NOT NULL,
    UNIQUE (job, name)
);

-- The requests of each unit by state; written by every commit.
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
    items_open bigint NOT NULL DEFAULT 0, -- items of which a step has not ended
    PRIMARY KEY (job, unit)
) WITH (fillfactor = 70);
CREATE INDEX unit_count_state ON scrapy_resume.unit_count (job, state, abs(unit));

-- How many units are in each state: what each run has changed; run 0 is commands.
CREATE TABLE scrapy_resume.unit_tally (
    job integer NOT NULL,
    run integer NOT NULL,
    state smallint NOT NULL,
    units bigint NOT NULL,
    named bigint NOT NULL DEFAULT 0,      -- those of them that have a name
    PRIMARY KEY (job, run, state)
);

-- Every identity of a request of the job, also those that it took on later.
CREATE TABLE scrapy_resume.seen (
    request bigint NOT NULL,
    job integer NOT NULL,
    run integer NOT NULL,                 -- the last one in which the row arrived
    identity bytea NOT NULL,              -- 20 bytes
    PRIMARY KEY (job, identity)
);

CREATE TABLE scrapy_resume.request (
    id bigint NOT NULL,                   -- chosen by the run
    parent bigint NOT NULL,               -- 0 start(), -1 nobody known
    unit bigint NOT NULL,                 -- id of the unit's root request, or minus unit.id
    slot bigint NOT NULL,
    priority bigint NOT NULL,
    seq bigint NOT NULL,
    updated_at double precision NOT NULL,
    tried_again_at double precision,      -- when an attempt failed for the first time, and another
                                          -- one was left; NULL: never
    job integer NOT NULL,
    depth integer NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,   -- deaths of the process while it was in flight
    items integer NOT NULL DEFAULT 0,
    items_failed integer NOT NULL DEFAULT 0, -- a pipeline raised
    http_status integer,
    kind smallint NOT NULL,               -- 0 request, 1 item that start() yielded
    state smallint NOT NULL,
    start smallint NOT NULL,              -- 1: after others of its priority
    every_run smallint NOT NULL,
    identity bytea NOT NULL,
    given_key bytea,                      -- among what gave items; NULL: the identity
    url text NOT NULL,
    payload text NOT NULL,                -- JSON: the rest of the request
    error text,
    error_message text,
    kept smallint NOT NULL DEFAULT 0,     -- 1: it is fetched again; its items stay until that is done
    round integer NOT NULL DEFAULT 0,     -- of an extended job: the last in which start() gave it
    retry_rounds integer NOT NULL DEFAULT 0, -- rounds of retry since it was done last
    PRIMARY KEY (job, id)
) WITH (fillfactor = 85);

-- Keys of requests that gave items in earlier numbers of the job.
CREATE TABLE scrapy_resume.given (
    job integer NOT NULL,
    key bytea NOT NULL,                   -- 20 bytes
    PRIMARY KEY (job, key)
);

-- What is skipped for good, of this number and of the next ones: by rule, or by the key by which
-- later numbers know a request. What RESUME_SKIP says is of this number.
CREATE TABLE scrapy_resume.skip_rule (
    job integer NOT NULL,
    origin smallint NOT NULL,             -- 0 a command, 1 RESUME_SKIP
    host text NOT NULL,                   -- '': any, as are the next two
    url text NOT NULL,                    -- a glob
    unit text NOT NULL,                   -- a glob, or a name
    exact smallint NOT NULL,              -- 1: `unit` is a name
    PRIMARY KEY (job, origin, host, url, unit, exact)
);

CREATE TABLE scrapy_resume.skip_key (
    job integer NOT NULL,
    key bytea NOT NULL,                   -- 20 bytes
    allowed smallint NOT NULL,            -- 0: it is skipped; 1: it is not, whatever the rules say
    PRIMARY KEY (job, key)
);

-- The rounds of retry: each command, or run, that has failed and parked requests fetched again.
CREATE TABLE scrapy_resume.retry_round (
    job integer NOT NULL,
    number integer NOT NULL,              -- from 1
    at double precision NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (job, number)
);

-- Requests that have failed, are parked or were skipped for good (state 5): found without an index
-- on their state.
CREATE TABLE scrapy_resume.trouble (
    job integer NOT NULL,
    state smallint NOT NULL,
    id bigint NOT NULL,
    PRIMARY KEY (job, state, id)
);

-- Requests that are open, and nothing else: small and hot.
CREATE TABLE scrapy_resume.frontier (
    id bigint NOT NULL,
    slot bigint NOT NULL,
    priority bigint NOT NULL,
    seq bigint NOT NULL,
    not_before double precision NOT NULL,
    updated_at double precision NOT NULL,
    job integer NOT NULL,
    run integer NOT NULL,                 -- who has leased it; 0: it is pending
    attempts integer NOT NULL,
    crashes integer NOT NULL,
    kind smallint NOT NULL,
    start smallint NOT NULL,
    every_run smallint NOT NULL,
    suspect smallint NOT NULL,            -- 1: too many crashes, so it runs alone
    retried smallint NOT NULL DEFAULT 0,  -- 1: it was retried, or a retried one has led to it
    PRIMARY KEY (job, id)
) WITH (
    fillfactor = 70,
    -- Dead rows slow a queue down: they are vacuumed as soon as there are some thousand.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX frontier_pending ON scrapy_resume.frontier (job, slot, priority DESC, start, seq)
    WHERE run = 0 AND not_before = 0 AND suspect = 0;
CREATE INDEX frontier_retried ON scrapy_resume.frontier (job, slot, priority DESC, start, seq)
    WHERE retried = 1 AND run = 0 AND not_before = 0 AND suspect = 0;
CREATE INDEX frontier_suspects ON scrapy_resume.frontier (job, id) WHERE run = 0 AND suspect = 1;
CREATE INDEX frontier_delayed ON scrapy_resume.frontier (job, not_before)
    WHERE run = 0 AND not_before > 0;
CREATE INDEX frontier_leased ON scrapy_resume.frontier (job, run) WHERE run > 0;
CREATE INDEX frontier_every_run ON scrapy_resume.frontier (job) WHERE every_run = 1 AND run = 0;

CREATE TABLE scrapy_resume.item (
    id bigint GENERATED ALWAYS AS IDENTITY,
    request bigint NOT NULL,
    job integer NOT NULL,
    run integer NOT NULL,                 -- that stored it
    occurrence integer NOT NULL,
    key text,
    payload text NOT NULL,                -- JSON
    PRIMARY KEY (job, id)
);
CREATE INDEX item_request ON scrapy_resume.item (job, request, occurrence);
CREATE UNIQUE INDEX item_key ON scrapy_resume.item (job, key) WHERE key IS NOT NULL;

-- Provisional items of requests that are still open: no reader sees them.
CREATE TABLE scrapy_resume.spill (
    id bigint GENERATED ALWAYS AS IDENTITY,
    request bigint NOT NULL,
    job integer NOT NULL,
    run integer NOT NULL,
    occurrence integer NOT NULL,
    key text,
    payload text NOT NULL,
    steps text,                           -- JSON: its steps, if it has any
    stable_key text,
    PRIMARY KEY (job, request, id)
);
CREATE INDEX spill_run ON scrapy_resume.spill (run, job); -- so that nobody reads it by the job

CREATE TABLE scrapy_resume.step_kind (
    job integer NOT NULL,
    id smallint NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (job, id),
    UNIQUE (job, name)
);

-- Items that have steps. While one of them is open for the first time, no reader sees the item.
-- Whoever changes an item or its steps, or leases one of them, holds the item's row.
CREATE TABLE scrapy_resume.stepped (
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
CREATE INDEX stepped_request ON scrapy_resume.stepped (request, (job + 0));
CREATE INDEX stepped_key ON scrapy_resume.stepped (key, (job + 0));

CREATE TABLE scrapy_resume.step (
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
CREATE INDEX step_ready ON scrapy_resume.step (job, kind, item)
    WHERE state = 0 AND not_before = 0 AND suspect = 0;
CREATE INDEX step_suspects ON scrapy_resume.step (job, item)
    WHERE state = 0 AND not_before = 0 AND suspect = 1;
CREATE INDEX step_delayed ON scrapy_resume.step (job, not_before)
    WHERE state = 0 AND not_before > 0;
CREATE INDEX step_running ON scrapy_resume.step (job, run) WHERE state = 1;
CREATE INDEX step_troubled ON scrapy_resume.step (job, kind, item) WHERE state IN (3, 4);

-- The steps of each kind by state: what each run has changed; run 0 is commands.
CREATE TABLE scrapy_resume.step_tally (
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
CREATE TABLE scrapy_resume.step_day (
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
CREATE TABLE scrapy_resume.step_use (
    item bigint NOT NULL,
    seconds double precision NOT NULL,
    until double precision NOT NULL,      -- 0: it has not ended
    job integer NOT NULL,
    kind smallint NOT NULL
);
CREATE INDEX step_use_until ON scrapy_resume.step_use (job, kind, until);

-- Downloads that steps want of the workers that own their slots, until they are taken.
CREATE TABLE scrapy_resume.step_fetch (
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
CREATE INDEX step_fetch_wanted ON scrapy_resume.step_fetch (job, slot) WHERE doer = 0;
CREATE INDEX step_fetch_taken ON scrapy_resume.step_fetch (job, doer)
    WHERE doer > 0 AND result IS NULL;

-- What was taken back, by the run that did it: with `item`, it says what a job has given. An item
-- with a higher id takes the place of what was taken back.
CREATE TABLE scrapy_resume.taken_back (
    job integer NOT NULL,
    run integer NOT NULL,
    number bigint NOT NULL,               -- ascending
    item bigint NOT NULL,                 -- as in item, as are the next three
    request bigint NOT NULL,
    occurrence integer NOT NULL,
    key text,
    PRIMARY KEY (job, run, number)
);

-- By run: each worker has a `spider.state` and cookies of its own. Those of a run that has ended
-- are adopted by the next run that opens the job.
CREATE TABLE scrapy_resume.spider_state (
    job integer NOT NULL,
    run integer NOT NULL,
    payload text,
    PRIMARY KEY (job, run)
) WITH (fillfactor = 50);

CREATE TABLE scrapy_resume.cookies (
    job integer NOT NULL,
    run integer NOT NULL,
    jar text NOT NULL,
    updated_at double precision NOT NULL,
    payload text NOT NULL,
    PRIMARY KEY (job, run, jar)
);

-- Hosts that do not answer, or that have asked for a pause.
CREATE TABLE scrapy_resume.host (
    job integer NOT NULL,
    key text NOT NULL,
    run integer NOT NULL,                 -- that wrote it last
    changed_at double precision NOT NULL,
    record text NOT NULL,                 -- JSON
    PRIMARY KEY (job, key)
);

-- Files of feeds, and how far they have come.
CREATE TABLE scrapy_resume.feed (
    job integer NOT NULL,
    name text NOT NULL,                   -- the URI, its parameters unfilled
    batch integer NOT NULL,               -- the file among the feed's, from 1
    settled boolean NOT NULL,             -- delivered, and not opened again
    record text NOT NULL,                 -- JSON
    PRIMARY KEY (job, name, batch)
);

-- The counts of each minute by run, for rates and plots: one row for each minute in which a run did
-- something.
CREATE TABLE scrapy_resume.minute (
    job integer NOT NULL,
    minute integer NOT NULL,              -- since the epoch
    run integer NOT NULL,
    pages bigint NOT NULL,                -- responses
    items bigint NOT NULL,
    done bigint NOT NULL,                 -- requests that ended so; one that is retried ends again
    failed bigint NOT NULL,
    ignored bigint NOT NULL,
    open bigint NOT NULL,                 -- of the job, at the end of the minute
    attempts bigint NOT NULL DEFAULT 0,   -- of requests that ended, or are tried again
    PRIMARY KEY (job, minute, run)
) WITH (fillfactor = 70);

-- Events that were not delivered yet; kept only if somebody listens.
CREATE TABLE scrapy_resume.event (
    id bigint GENERATED ALWAYS AS IDENTITY,
    job integer NOT NULL,
    run integer NOT NULL,                 -- that is to deliver it
    payload text NOT NULL,                -- JSON
    PRIMARY KEY (job, id)
);

CREATE FUNCTION scrapy_resume.iso(seconds double precision) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_char(to_timestamp(seconds) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');

-- The counters of each job: those of runs that have ended, and what live ones have changed.
CREATE VIEW scrapy_resume.totals AS
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

CREATE VIEW scrapy_resume.progress AS
SELECT
    j.name || '#' || j.number AS job,
    j.spider,
    j.status,
    j.reason,
    t.pending,
    t.delayed,
    t.leased,
    t.done,
    t.failed,
    t.parked,
    t.ignored,
    t.pending + t.leased + t.done + t.failed + t.parked + t.ignored AS total,
    t.items_stored AS items,
    t.runs,
    t.workers,
    scrapy_resume.iso(j.created_at) AS created_at,
    scrapy_resume.iso(t.updated_at) AS updated_at
FROM scrapy_resume.job AS j
JOIN scrapy_resume.totals AS t ON t.job = j.id;

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

CREATE VIEW scrapy_resume.items AS
SELECT
    i.job AS job_id,
    j.name || '#' || j.number AS job,
    i.id,
    i.payload AS item,
    r.url,
    coalesce(u.name, root.url) AS unit,
    i.key,
    i.occurrence,
    scrapy_resume.iso(r.updated_at) AS stored_at
FROM scrapy_resume.item AS i
JOIN scrapy_resume.job AS j ON j.id = i.job
LEFT JOIN scrapy_resume.request AS r ON r.job = i.job AND r.id = i.request
LEFT JOIN scrapy_resume.unit AS u ON u.id = -r.unit
LEFT JOIN scrapy_resume.request AS root ON root.job = r.job AND root.id = r.unit;

CREATE VIEW scrapy_resume.feeds AS
SELECT
    f.job AS job_id,
    j.name || '#' || j.number AS job,
    f.name AS feed,
    f.batch,
    coalesce(f.record::json ->> 'path', f.record::json ->> 'uri') AS uri,
    f.record::json ->> 'phase' AS phase,
    (f.record::json ->> 'count')::bigint AS items
FROM scrapy_resume.feed AS f
JOIN scrapy_resume.job AS j ON j.id = f.job;

-- Runs that have not ended.
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

CREATE VIEW scrapy_resume.history AS
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

CREATE VIEW scrapy_resume.steps AS
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

CREATE VIEW scrapy_resume.step_attempts AS
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
