-- What is skipped for good, of this number and of the next ones.
ALTER TABLE job ADD COLUMN skips INTEGER NOT NULL DEFAULT 0;
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
CREATE INDEX request_skipped ON request (id) WHERE state = 5 AND error = 'skipped';

-- Retries have a history. What was retried before is not known.
CREATE TABLE retry_count (
    request INTEGER PRIMARY KEY,
    rounds INTEGER NOT NULL
);
ALTER TABLE minute ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
CREATE TABLE retry_round (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    requests INTEGER NOT NULL
);

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

PRAGMA user_version = 4;
