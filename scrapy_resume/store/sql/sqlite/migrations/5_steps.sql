-- Steps of items, and what was taken back.
ALTER TABLE job ADD COLUMN steps_open INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN next_stepped INTEGER NOT NULL DEFAULT 1;
ALTER TABLE unit_count ADD COLUMN items_open INTEGER NOT NULL DEFAULT 0;
ALTER TABLE spill ADD COLUMN steps TEXT;
ALTER TABLE spill ADD COLUMN stable_key TEXT;
DROP INDEX item_request;
CREATE INDEX item_request ON item (request, occurrence);

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

PRAGMA user_version = 5;
