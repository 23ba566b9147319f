-- Requests that are executed again keep the items of an execution that was done.
--
-- Of those that wait for their next execution, version 1 does not tell how the last one ended: what
-- they hold stays until the next one is done.
ALTER TABLE request ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
UPDATE request SET kept = 1 WHERE state IN (0, 1) AND items > 0;

PRAGMA user_version = 2;
