-- Followers of a job (databases that are feeds) know it by an id of its own.
ALTER TABLE scrapy_resume.job ADD COLUMN IF NOT EXISTS uid text NOT NULL DEFAULT '';
UPDATE scrapy_resume.job SET uid = md5(id::text || random()::text || clock_timestamp()::text)
WHERE uid = '';
