-- Followers of a job (databases that are feeds) know it by an id of its own, and know how far they have
-- come with its items by the run in which these were committed.
ALTER TABLE job ADD COLUMN uid TEXT NOT NULL DEFAULT '';
UPDATE job SET uid = lower(hex(randomblob(16)));
ALTER TABLE run ADD COLUMN first_item INTEGER NOT NULL DEFAULT 0;

PRAGMA user_version = 6;
