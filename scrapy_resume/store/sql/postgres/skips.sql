-- What is skipped for good: rules, and the keys by which later numbers know requests.

-- name: rules
-- The rules of both origins.
SELECT host, url, unit, exact FROM scrapy_resume.skip_rule
WHERE job = %(job)s AND origin >= %(least)s AND origin <= %(most)s;

-- name: add_rule
-- A rule that a command, or the settings, have given.
INSERT INTO scrapy_resume.skip_rule (job, origin, host, url, unit, exact)
VALUES (%(job)s, %(origin)s, %(host)s, %(url)s, %(unit)s, %(exact)s)
ON CONFLICT DO NOTHING;

-- name: delete_rule
-- A rule that was taken back.
DELETE FROM scrapy_resume.skip_rule
WHERE
    job = %(job)s AND origin = %(origin)s AND host = %(host)s AND url = %(url)s
    AND unit = %(unit)s AND exact = %(exact)s;

-- name: keys
-- What is said of these keys.
SELECT key, allowed FROM scrapy_resume.skip_key WHERE job = %(job)s AND key = ANY(%(keys)s);

-- name: has_keys
-- Whether anything is said of a key.
SELECT EXISTS (SELECT FROM scrapy_resume.skip_key WHERE job = %(job)s);

-- name: put_keys
-- Keys are skipped (0) or not (1).
INSERT INTO scrapy_resume.skip_key (job, key, allowed)
SELECT %(job)s, k, %(allowed)s FROM unnest(%(keys)s::bytea[]) AS k ORDER BY k
ON CONFLICT (job, key) DO UPDATE SET allowed = excluded.allowed;

-- name: put_row_keys
-- The keys of rows are skipped (0) or not (1).
INSERT INTO scrapy_resume.skip_key (job, key, allowed)
SELECT DISTINCT %(job)s, coalesce(given_key, identity), %(allowed)s::smallint
FROM scrapy_resume.request WHERE job = %(job)s AND id = ANY(%(ids)s)
ON CONFLICT (job, key) DO UPDATE SET allowed = excluded.allowed;

-- name: delete_row_keys
-- Nothing is said of the keys of rows any more.
DELETE FROM scrapy_resume.skip_key AS k USING scrapy_resume.request AS r
WHERE
    k.job = %(job)s AND r.job = %(job)s AND r.id = ANY(%(ids)s)
    AND k.key = coalesce(r.given_key, r.identity);

-- name: delete_keys
-- Nothing is said of any key any more.
DELETE FROM scrapy_resume.skip_key WHERE job = %(job)s;

-- name: roots
-- The URLs of the root requests of units.
SELECT id, url FROM scrapy_resume.request WHERE job = %(job)s AND id = ANY(%(ids)s);

-- name: version
-- How often what is skipped has changed.
SELECT skips FROM scrapy_resume.job WHERE id = %(job)s;

-- name: changed
-- What is skipped has changed.
UPDATE scrapy_resume.job SET skips = skips + 1 WHERE id = %(job)s;

-- name: count
-- How many requests are skipped, through their list.
SELECT count(*) FROM scrapy_resume.trouble WHERE job = %(job)s AND state = 5;

-- name: carry_rules
-- The next number skips what a command has said.
INSERT INTO scrapy_resume.skip_rule (job, origin, host, url, unit, exact)
SELECT %(job)s, origin, host, url, unit, exact FROM scrapy_resume.skip_rule
WHERE job = %(earlier)s AND origin = 0
ON CONFLICT DO NOTHING;

-- name: carry_keys
-- The same of keys.
INSERT INTO scrapy_resume.skip_key (job, key, allowed)
SELECT %(job)s, key, allowed FROM scrapy_resume.skip_key WHERE job = %(earlier)s
ON CONFLICT DO NOTHING;

-- name: carried
-- There is something to skip, if anything was carried.
UPDATE scrapy_resume.job SET skips = 1
WHERE id = %(job)s AND (
    EXISTS (SELECT FROM scrapy_resume.skip_rule WHERE job = %(job)s)
    OR EXISTS (SELECT FROM scrapy_resume.skip_key WHERE job = %(job)s)
);
