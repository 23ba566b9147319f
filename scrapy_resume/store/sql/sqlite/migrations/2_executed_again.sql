-- Requests that are executed again keep the items of an execution that was done.
--
-- Of those that wait for their next execution, version 1 does not tell how the last one ended: what
-- they hold stays until the next one is done.
ALTER TABLE request ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
UPDATE request SET kept = 1 WHERE state IN (0, 1) AND items > 0;

-- Requests that were retried, and those that they have led to, are told from others that wait.
ALTER TABLE request ADD COLUMN retried INTEGER NOT NULL DEFAULT 0;
CREATE INDEX request_retried ON request (slot, priority DESC, start, seq)
    WHERE retried = 1 AND state = 0 AND not_before = 0 AND suspect = 0;

-- Jobs that are extended: round after round, what start() yields is fetched again.
ALTER TABLE job ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN round_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE request ADD COLUMN round INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 2;
