-- The schema of one job's file, version 6.
--
-- Times are seconds since the epoch, UTC. States of a request: 0 pending, 1 leased,
-- 2 done, 3 failed, 4 parked, 5 ignored. People read the views at the end.

PRAGMA application_id = 1397901901;      -- "SRJM": file(1) and the readers know the file by it
PRAGMA user_version = 6;                 -- the version of this schema

CREATE TABLE job (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    spider TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    epoch INTEGER NOT NULL,              -- fences: a run commits only under its own epoch
    commits INTEGER NOT NULL DEFAULT 0,  -- shows whether an unconfirmed commit was kept
    next_id INTEGER NOT NULL,
    next_item INTEGER NOT NULL DEFAULT 1, -- ids of items are never used twice
    codec_version INTEGER NOT NULL DEFAULT 1,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    completed_at REAL,
    arguments TEXT NOT NULL,             -- JSON, as are the next two
    metadata TEXT NOT NULL,
    input_hashes TEXT NOT NULL,
    launch TEXT,                         -- JSON: how its last crawl was started; NULL: unknown
    start_exhausted INTEGER NOT NULL DEFAULT 0,
    every_run INTEGER NOT NULL DEFAULT 0,
    alone_id INTEGER NOT NULL DEFAULT 0, -- the suspect that was leased to run alone
    delta INTEGER NOT NULL DEFAULT 0,    -- 1: what is in `given` is not fetched
    keeps_given INTEGER NOT NULL DEFAULT 0, -- 1: `given` has all that earlier numbers knew
    pending INTEGER NOT NULL DEFAULT 0,  -- kept up to date by every commit, as are the others
    delayed INTEGER NOT NULL DEFAULT 0,  -- a part of pending: not_before > 0
    leased INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    parked INTEGER NOT NULL DEFAULT 0,
    ignored INTEGER NOT NULL DEFAULT 0,
    items_stored INTEGER NOT NULL DEFAULT 0,
    items_dropped INTEGER NOT NULL DEFAULT 0,
    items_failed INTEGER NOT NULL DEFAULT 0,
    superseded INTEGER NOT NULL DEFAULT 0, -- items that were taken back
    expected_total REAL,                 -- pages, as the spider says; NULL: it does not
    round INTEGER NOT NULL DEFAULT 0,    -- of an extended job: how often start() was to be fetched
    round_from INTEGER NOT NULL DEFAULT 0, -- ids below it are of requests that earlier rounds added
    skips INTEGER NOT NULL DEFAULT 0,    -- how often what is skipped has changed; 0: nothing ever was
    steps_open INTEGER NOT NULL DEFAULT 0, -- steps of items that have not ended
    next_stepped INTEGER NOT NULL DEFAULT 1, -- ids of items with steps are never used twice
    uid TEXT NOT NULL DEFAULT ''         -- random: followers know the job by it
);

CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    worker TEXT NOT NULL,                -- host:pid
    status TEXT NOT NULL,
    reason TEXT,
    started_at REAL NOT NULL,
    beat_at REAL NOT NULL,
    ended_at REAL,
    pages INTEGER NOT NULL DEFAULT 0,
    items INTEGER NOT NULL DEFAULT 0,
    stats TEXT,                          -- JSON, written at close
    custom TEXT,                         -- JSON: custom metrics, written as they change
    units INTEGER NOT NULL DEFAULT 0,    -- named units that ended in it
    unit_pages INTEGER NOT NULL DEFAULT 0, -- requests of those units that have ended
    named_pages INTEGER NOT NULL DEFAULT 0, -- requests of any named unit that ended in it
    cursor INTEGER,                      -- the request that was done last in it
    silent_after REAL NOT NULL DEFAULT 30, -- without a heartbeat for so long, in seconds, it is stale
    first_item INTEGER NOT NULL DEFAULT 0 -- ids of items below it are of earlier runs
);

-- Download slots (mostly a host).
CREATE TABLE slot (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    pending INTEGER NOT NULL DEFAULT 0   -- rows of request_pending; kept by every commit
);
CREATE INDEX slot_open ON slot (key, pending) WHERE pending > 0;

CREATE TABLE unit (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- The requests of each unit by state; written by every commit.
CREATE TABLE unit_count (
    unit INTEGER PRIMARY KEY,            -- as in request
    state INTEGER,                       -- 0 in_progress, 1 failed, 2 partial, 3 parked, 4 pending,
                                         -- 5 completed; NULL: it has no requests
    open INTEGER NOT NULL,
    done INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    parked INTEGER NOT NULL,
    ignored INTEGER NOT NULL,
    items INTEGER NOT NULL,
    items_failed INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    first_at REAL,                       -- when the first, and the last, of them ended
    last_at REAL,
    cursor INTEGER,                      -- the request that was done last
    error TEXT,                          -- of the one that failed, or was parked, last
    error_message TEXT,
    items_open INTEGER NOT NULL DEFAULT 0 -- items of which a step has not ended
);
CREATE INDEX unit_count_state ON unit_count (state, abs(unit));

-- How many units are in each state.
CREATE TABLE unit_tally (
    state INTEGER PRIMARY KEY,
    units INTEGER NOT NULL,
    named INTEGER NOT NULL DEFAULT 0     -- those of them that have a name
);
INSERT INTO unit_tally (state, units) VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0);

CREATE TABLE request (
    id INTEGER PRIMARY KEY,              -- chosen by the run
    identity_head INTEGER NOT NULL,      -- the first 8 bytes of the identity, signed, big-endian
    identity_tail BLOB NOT NULL,         -- its other 12 bytes
    kind INTEGER NOT NULL,               -- 0 request, 1 item that start() yielded
    parent INTEGER NOT NULL,             -- 0 start(), -1 nobody known
    unit INTEGER NOT NULL,               -- id of the unit's root request, or minus unit.id
    slot INTEGER NOT NULL,
    state INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    start INTEGER NOT NULL,              -- 1: after others of its priority
    seq INTEGER NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    depth INTEGER NOT NULL,
    every_run INTEGER NOT NULL DEFAULT 0,
    run INTEGER NOT NULL,                -- the last run in which it arrived
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,  -- deaths of the process while it was in flight
    suspect INTEGER NOT NULL DEFAULT 0,  -- 1: too many of them, so it runs alone
    beginning INTEGER,                   -- what its URL begins with; NULL: `url` is the whole
    url TEXT NOT NULL,                   -- its rest, then
    payload TEXT NOT NULL,               -- JSON: the rest of the request; '' if it is shared
    http_status INTEGER,
    error TEXT,
    error_message TEXT,
    items INTEGER NOT NULL DEFAULT 0,
    items_failed INTEGER NOT NULL DEFAULT 0, -- a pipeline raised
    updated_at REAL NOT NULL,            -- of a row that has ended: in whole seconds
    tried_again_at REAL,                 -- when an attempt failed for the first time, and another
                                         -- one was left; NULL: never
    given_head INTEGER,                  -- its key among what gave items, as the identity is;
    given_tail BLOB,                     -- NULL: it is the identity
    shared INTEGER,                      -- the payload that it has in common with others
    kept INTEGER NOT NULL DEFAULT 0,     -- 1: it is fetched again; its items stay until that is done
    retried INTEGER NOT NULL DEFAULT 0,  -- 1: it was retried, or a retried one has led to it
    round INTEGER NOT NULL DEFAULT 0     -- of an extended job: the last in which start() gave it
);

-- Payloads that several requests share. Never changed: a request that changes gets its own payload.
CREATE TABLE payload (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL                   -- JSON, as in request
);

-- Beginnings that several URLs share: directories or origins. Never changed, either.
CREATE TABLE beginning (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL
);

CREATE INDEX request_identity ON request (identity_head);
CREATE INDEX request_pending ON request (slot, priority DESC, start, seq)
    WHERE state = 0 AND not_before = 0 AND suspect = 0;
CREATE INDEX request_retried ON request (slot, priority DESC, start, seq)
    WHERE retried = 1 AND state = 0 AND not_before = 0 AND suspect = 0;
CREATE INDEX request_suspects ON request (not_before, id) WHERE state = 0 AND suspect = 1;
CREATE INDEX request_delayed ON request (not_before) WHERE state = 0 AND not_before > 0;
CREATE INDEX request_leased ON request (id) WHERE state = 1;
CREATE INDEX request_every_run ON request (run) WHERE every_run = 1 AND state = 0;
CREATE INDEX request_troubled ON request (state, id) WHERE state IN (3, 4);
CREATE INDEX request_skipped ON request (id) WHERE state = 5 AND error = 'skipped';

-- Identities that redirects and retries of a request have taken on.
CREATE TABLE alias (
    identity_head INTEGER NOT NULL,
    identity_tail BLOB NOT NULL,
    request INTEGER NOT NULL             -- the row that took it on
);
CREATE INDEX alias_identity ON alias (identity_head);

-- Keys of requests that gave items in earlier numbers of the job.
CREATE TABLE given (
    head INTEGER NOT NULL,
    tail BLOB NOT NULL,
    PRIMARY KEY (head, tail)
) WITHOUT ROWID;

-- What is skipped for good, of this number and of the next ones: by rule, or by the key by which
-- later numbers know a request. What RESUME_SKIP says is of this number.
CREATE TABLE skip_rule (
    origin INTEGER NOT NULL,             -- 0 a command, 1 RESUME_SKIP
    host TEXT NOT NULL,                  -- '': any, as are the next two
    url TEXT NOT NULL,                   -- a glob
    unit TEXT NOT NULL,                  -- a glob, or a name
    exact INTEGER NOT NULL,              -- 1: `unit` is a name
    PRIMARY KEY (origin, host, url, unit, exact)
) WITHOUT ROWID;

CREATE TABLE skip_key (
    head INTEGER NOT NULL,
    tail BLOB NOT NULL,
    allowed INTEGER NOT NULL,            -- 0: it is skipped; 1: it is not, whatever the rules say
    PRIMARY KEY (head, tail)
) WITHOUT ROWID;

-- The rounds of retry: each command, or run, that has failed and parked requests fetched again.
CREATE TABLE retry_round (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    requests INTEGER NOT NULL
);

-- The rounds of a request since it was done last. Not in its row, which would be longer by a byte for
-- each URL that is known. (In PostgreSQL a column costs nothing beside its row's alignment.)
CREATE TABLE retry_count (
    request INTEGER PRIMARY KEY,
    rounds INTEGER NOT NULL
);

CREATE TABLE item (
    id INTEGER PRIMARY KEY,              -- in the order in which they became visible
    request INTEGER NOT NULL,
    occurrence INTEGER NOT NULL,
    key TEXT,
    payload TEXT NOT NULL                -- JSON
);
CREATE INDEX item_request ON item (request, occurrence);
CREATE UNIQUE INDEX item_key ON item (key) WHERE key IS NOT NULL;

-- Provisional items of requests that are still open: no reader sees them.
CREATE TABLE spill (
    id INTEGER PRIMARY KEY,
    request INTEGER NOT NULL,
    occurrence INTEGER NOT NULL,
    key TEXT,
    payload TEXT NOT NULL,
    steps TEXT,                          -- JSON: its steps, if it has any
    stable_key TEXT
);
CREATE INDEX spill_request ON spill (request);

CREATE TABLE step_kind (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- Items that have steps. While one of them is open for the first time, no reader sees the item.
CREATE TABLE stepped (
    id INTEGER PRIMARY KEY,              -- never used twice
    version INTEGER NOT NULL,            -- grows when its page is fetched again
    request INTEGER NOT NULL,
    occurrence INTEGER NOT NULL,
    key TEXT NOT NULL,                   -- what it is called over updates
    updates INTEGER NOT NULL,            -- 1: the key is that of RESUME_ITEM_KEY, as in item
    open INTEGER NOT NULL,               -- its steps that have not ended
    shown INTEGER NOT NULL,              -- 1: this version, or for now an earlier one, is visible
    payload TEXT                         -- JSON; NULL: that of the visible item
);
CREATE INDEX stepped_request ON stepped (request);
CREATE INDEX stepped_key ON stepped (key);

CREATE TABLE step (
    item INTEGER NOT NULL,               -- as in stepped
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,              -- 0 pending, 1 running, 2 done, 3 failed, 4 parked, 5 skipped,
                                         -- 6 pending until other steps of the item have ended
    run INTEGER NOT NULL DEFAULT 0,      -- the last that has leased it
    not_before REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,  -- deaths of the process while it ran
    suspect INTEGER NOT NULL DEFAULT 0,  -- 1: too many of them, so it runs alone
    error TEXT,
    error_message TEXT,
    first_at REAL,                       -- when its first, and its last, attempt ended
    last_at REAL,
    version TEXT,                        -- of its code, when it was done last, as are the next two
    inputs TEXT,                         -- a digest of the fields that it needed
    gave TEXT,                           -- JSON: names of the fields that it gave
    PRIMARY KEY (item, kind)
) WITHOUT ROWID;
CREATE INDEX step_ready ON step (kind, item) WHERE state = 0 AND not_before = 0 AND suspect = 0;
CREATE INDEX step_suspects ON step (not_before, item) WHERE state = 0 AND suspect = 1;
CREATE INDEX step_delayed ON step (not_before) WHERE state = 0 AND not_before > 0;
CREATE INDEX step_running ON step (item) WHERE state = 1;
CREATE INDEX step_troubled ON step (kind, item) WHERE state IN (3, 4);

-- The steps of each kind by state; written by every commit that changes them.
CREATE TABLE step_tally (
    kind INTEGER PRIMARY KEY,
    ready INTEGER NOT NULL DEFAULT 0,
    delayed INTEGER NOT NULL DEFAULT 0,  -- pending until a time, suspects too
    suspect INTEGER NOT NULL DEFAULT 0,  -- pending, and run alone
    waiting INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    parked INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0
);

-- Attempts by day.
CREATE TABLE step_day (
    day INTEGER NOT NULL,                -- since the epoch
    kind INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    retries INTEGER NOT NULL,            -- attempts that were not the first
    done INTEGER NOT NULL,               -- how these ended, as are the next two
    failed INTEGER NOT NULL,             -- tried again or not
    skipped INTEGER NOT NULL,
    PRIMARY KEY (day, kind)
) WITHOUT ROWID;

-- Attempts of steps with a rate limit that still count for it.
CREATE TABLE step_use (
    kind INTEGER NOT NULL,
    item INTEGER NOT NULL,
    seconds REAL NOT NULL,
    until REAL NOT NULL                  -- 0: it has not ended
);
CREATE INDEX step_use_until ON step_use (kind, until);

-- What was taken back: with `item`, by the ids of both in order, it says what a job has given.
CREATE TABLE taken_back (
    id INTEGER PRIMARY KEY,              -- from the ids of items
    request INTEGER NOT NULL,
    occurrence INTEGER NOT NULL,
    key TEXT
);

-- Not in the job's row, which every commit writes.
CREATE TABLE spider_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    payload TEXT NOT NULL
);

CREATE TABLE cookies (
    jar TEXT PRIMARY KEY,
    payload TEXT NOT NULL
) WITHOUT ROWID;

-- Files of feeds, and how far they have come.
CREATE TABLE feed (
    name TEXT NOT NULL,                  -- the URI, its parameters unfilled
    batch INTEGER NOT NULL,              -- the file among the feed's, from 1
    settled INTEGER NOT NULL,            -- 1: delivered, and not opened again
    record TEXT NOT NULL,                -- JSON
    PRIMARY KEY (name, batch)
) WITHOUT ROWID;
CREATE INDEX feed_unsettled ON feed (name, batch) WHERE settled = 0;

-- Hosts that do not answer, or that have asked for a pause.
CREATE TABLE host (
    key TEXT PRIMARY KEY,
    record TEXT NOT NULL                 -- JSON
) WITHOUT ROWID;

-- Orders of commands to the live owner: all that other processes write while there is one. Rows of
-- another epoch are void; the next opening deletes them.
CREATE TABLE control (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch INTEGER NOT NULL,
    verb TEXT NOT NULL,                  -- stop, retry, park
    body TEXT NOT NULL,                  -- JSON
    created_at REAL NOT NULL,
    answer TEXT                          -- JSON; NULL: not taken up yet
);

-- The counts of each minute by run, for rates and plots: one row for each minute in which a run did
-- something.
CREATE TABLE minute (
    minute INTEGER NOT NULL,             -- since the epoch
    run INTEGER NOT NULL,
    pages INTEGER NOT NULL,              -- responses
    items INTEGER NOT NULL,
    done INTEGER NOT NULL,               -- requests that ended so; one that is retried ends again
    failed INTEGER NOT NULL,
    ignored INTEGER NOT NULL,
    open INTEGER NOT NULL,               -- of the job, at the end of the minute
    attempts INTEGER NOT NULL DEFAULT 0, -- of requests that ended, or are tried again
    PRIMARY KEY (minute, run)
) WITHOUT ROWID;

-- Events that were not delivered yet; kept only if somebody listens.
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    payload TEXT NOT NULL                -- JSON
);

CREATE TABLE migration (
    version INTEGER PRIMARY KEY,
    applied_at REAL NOT NULL
);

CREATE VIEW requests AS
SELECT
    r.id,
    coalesce(b.text, '') || r.url AS url,
    coalesce(json_extract(coalesce(p.text, r.payload), '$.method'), 'GET') AS method,
    CASE r.state
        WHEN 0 THEN 'pending' WHEN 1 THEN 'leased' WHEN 2 THEN 'done'
        WHEN 3 THEN 'failed' WHEN 4 THEN 'parked' ELSE 'ignored'
    END AS state,
    r.priority,
    r.depth,
    coalesce(json_extract(coalesce(p.text, r.payload), '$.callback'), 'parse') AS callback,
    r.attempts,
    r.crashes,
    r.http_status,
    r.error,
    r.error_message,
    CASE WHEN r.not_before > 0
        THEN strftime('%Y-%m-%dT%H:%M:%SZ', r.not_before, 'unixepoch') END AS not_before,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.updated_at, 'unixepoch') AS updated_at,
    strftime(
        '%Y-%m-%dT%H:%M:%SZ',
        coalesce(r.tried_again_at, CASE WHEN r.state = 3 THEN r.updated_at END), 'unixepoch'
    ) AS first_failed_at,
    r.items,
    r.items_failed,
    coalesce(u.name, coalesce(rb.text, '') || root.url) AS unit,
    nullif(r.parent, -1) AS parent,
    s.key AS slot,
    CASE WHEN r.state = 1
        THEN (SELECT worker FROM run ORDER BY number DESC LIMIT 1) END AS worker,
    CASE WHEN r.state = 1
        THEN strftime('%Y-%m-%dT%H:%M:%SZ', r.updated_at, 'unixepoch') END AS leased_at
FROM request AS r
LEFT JOIN unit AS u ON u.id = -r.unit
LEFT JOIN request AS root ON root.id = r.unit
LEFT JOIN slot AS s ON s.id = r.slot
LEFT JOIN payload AS p ON p.id = r.shared
LEFT JOIN beginning AS b ON b.id = r.beginning
LEFT JOIN beginning AS rb ON rb.id = root.beginning
WHERE r.kind = 0;

CREATE VIEW units AS
SELECT
    c.unit AS id,
    coalesce(n.name, coalesce(rb.text, '') || root.url) AS unit,
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
    strftime('%Y-%m-%dT%H:%M:%SZ', c.first_at, 'unixepoch') AS first_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', c.last_at, 'unixepoch') AS last_at,
    coalesce(lb.text, '') || last.url AS cursor
FROM unit_count AS c
LEFT JOIN unit AS n ON n.id = -c.unit
LEFT JOIN request AS root ON root.id = c.unit
LEFT JOIN request AS last ON last.id = c.cursor
LEFT JOIN beginning AS rb ON rb.id = root.beginning
LEFT JOIN beginning AS lb ON lb.id = last.beginning
WHERE c.state IS NOT NULL;

CREATE VIEW items AS
SELECT
    i.id,
    i.payload AS item,
    coalesce(b.text, '') || r.url AS url,
    coalesce(u.name, coalesce(rb.text, '') || root.url) AS unit,
    i.key,
    i.occurrence,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.updated_at, 'unixepoch') AS stored_at
FROM item AS i
LEFT JOIN request AS r ON r.id = i.request
LEFT JOIN unit AS u ON u.id = -r.unit
LEFT JOIN request AS root ON root.id = r.unit
LEFT JOIN beginning AS b ON b.id = r.beginning
LEFT JOIN beginning AS rb ON rb.id = root.beginning;

CREATE VIEW steps AS
SELECT
    s.id AS item,
    s.key,
    coalesce(b.text, '') || r.url AS url,
    coalesce(u.name, coalesce(rb.text, '') || root.url) AS unit,
    k.name AS step,
    CASE t.state
        WHEN 1 THEN 'running' WHEN 2 THEN 'done' WHEN 3 THEN 'failed' WHEN 4 THEN 'parked'
        WHEN 5 THEN 'skipped' ELSE 'pending'
    END AS state,
    t.attempts,
    t.crashes,
    t.error,
    t.error_message,
    CASE WHEN t.not_before > 0
        THEN strftime('%Y-%m-%dT%H:%M:%SZ', t.not_before, 'unixepoch') END AS not_before,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.first_at, 'unixepoch') AS first_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', t.last_at, 'unixepoch') AS last_at,
    t.version
FROM step AS t
CROSS JOIN stepped AS s ON s.id = t.item
CROSS JOIN step_kind AS k ON k.id = t.kind
LEFT JOIN request AS r ON r.id = s.request
LEFT JOIN unit AS u ON u.id = -r.unit
LEFT JOIN request AS root ON root.id = r.unit
LEFT JOIN beginning AS b ON b.id = r.beginning
LEFT JOIN beginning AS rb ON rb.id = root.beginning;

CREATE VIEW step_attempts AS
SELECT
    strftime('%Y-%m-%d', d.day * 86400, 'unixepoch') AS day,
    k.name AS step,
    d.attempts,
    d.retries,
    d.done,
    d.failed,
    d.skipped,
    round(1.0 * d.done / nullif(d.done + d.failed, 0), 4) AS success_rate
FROM step_day AS d CROSS JOIN step_kind AS k ON k.id = d.kind
ORDER BY d.day, k.name;

CREATE VIEW feeds AS
SELECT
    name AS feed,
    batch,
    coalesce(json_extract(record, '$.path'), json_extract(record, '$.uri')) AS uri,
    json_extract(record, '$.phase') AS phase,
    json_extract(record, '$.count') AS items
FROM feed;

CREATE VIEW history AS
SELECT
    strftime('%Y-%m-%d', day * 86400, 'unixepoch') AS day,
    sum(attempts) AS attempts,
    sum(rounds) AS rounds,
    sum(retried) AS retried,
    sum(done) AS done,
    sum(failed) AS failed,
    round(1.0 * sum(done) / nullif(sum(done) + sum(failed), 0), 4) AS success_rate
FROM (
    SELECT
        minute / 1440 AS day, attempts, 0 AS rounds, 0 AS retried, done, failed
    FROM minute
    UNION ALL
    SELECT CAST(at / 86400 AS INTEGER), 0, 1, requests, 0, 0 FROM retry_round
)
GROUP BY day ORDER BY day;

CREATE VIEW progress AS
SELECT
    j.name || '#' || j.number AS job,
    j.spider,
    j.status,
    j.reason,
    j.pending,
    j.delayed,
    j.leased,
    j.done,
    j.failed,
    j.parked,
    j.ignored,
    j.pending + j.leased + j.done + j.failed + j.parked + j.ignored AS total,
    j.items_stored AS items,
    (SELECT count(*) FROM run) AS runs,
    strftime('%Y-%m-%dT%H:%M:%SZ', j.created_at, 'unixepoch') AS created_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', j.updated_at, 'unixepoch') AS updated_at
FROM job AS j;

-- Runs that have not ended. Whether the process of one is alive is not known here: readers ask for
-- its lock.
CREATE VIEW workers AS
SELECT
    number AS run,
    worker,
    status,
    strftime('%Y-%m-%dT%H:%M:%SZ', started_at, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', beat_at, 'unixepoch') AS heartbeat_at,
    round(max((julianday('now') - 2440587.5) * 86400.0 - beat_at, 0.0), 1) AS silent_seconds,
    (julianday('now') - 2440587.5) * 86400.0 - beat_at > silent_after AS stale,
    pages,
    items,
    units
FROM run
WHERE ended_at IS NULL AND status = 'running';
