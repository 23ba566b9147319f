-- What is skipped for good: rules, and the keys by which later numbers know requests.

-- name: rules
-- The rules of both origins.
SELECT host, url, unit, exact FROM skip_rule WHERE origin >= :least AND origin <= :most;

-- name: add_rule
-- A rule that a command, or the settings, have given.
INSERT INTO skip_rule (origin, host, url, unit, exact) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: delete_rule
-- A rule that was taken back.
DELETE FROM skip_rule WHERE origin = ? AND host = ? AND url = ? AND unit = ? AND exact = ?;

-- name: keys
-- What is said of these keys, found by their first 8 bytes.
SELECT k.head, k.tail, k.allowed FROM json_each(?) AS j CROSS JOIN skip_key AS k
WHERE k.head = j.value;

-- name: has_keys
-- Whether anything is said of a key.
SELECT EXISTS (SELECT 1 FROM skip_key);

-- name: put_key
-- A key is skipped (0) or not (1).
INSERT INTO skip_key (head, tail, allowed) VALUES (?, ?, ?)
ON CONFLICT (head, tail) DO UPDATE SET allowed = excluded.allowed;

-- name: put_row_keys
-- The keys of rows are skipped (0) or not (1).
INSERT INTO skip_key (head, tail, allowed)
SELECT
    coalesce(r.given_head, r.identity_head), coalesce(r.given_tail, r.identity_tail), :allowed
FROM json_each(:ids) AS j CROSS JOIN request AS r WHERE r.id = j.value
ON CONFLICT (head, tail) DO UPDATE SET allowed = excluded.allowed;

-- name: delete_row_keys
-- Nothing is said of the keys of rows any more.
DELETE FROM skip_key WHERE (head, tail) IN (
    SELECT
        coalesce(r.given_head, r.identity_head), coalesce(r.given_tail, r.identity_tail)
    FROM json_each(:ids) AS j CROSS JOIN request AS r WHERE r.id = j.value
);

-- name: delete_keys
-- Nothing is said of any key any more.
DELETE FROM skip_key;

-- name: roots
-- The URLs of the root requests of units.
SELECT r.id, coalesce(b.text, '') || r.url FROM json_each(?) AS j CROSS JOIN request AS r
LEFT JOIN beginning AS b ON b.id = r.beginning
WHERE r.id = j.value;

-- name: version
-- How often what is skipped has changed.
SELECT skips FROM job;

-- name: changed
-- What is skipped has changed.
UPDATE job SET skips = skips + 1;

-- name: count
-- How many requests are skipped, through their own index.
SELECT count(*) FROM request WHERE state = 5 AND error = 'skipped';

-- name: has_rules_earlier
-- Whether an earlier number's file can say what is skipped.
SELECT EXISTS (SELECT 1 FROM earlier.sqlite_master WHERE name = 'skip_rule');

-- name: carry_rules
-- The next number skips what a command has said.
INSERT INTO skip_rule (origin, host, url, unit, exact)
SELECT origin, host, url, unit, exact FROM earlier.skip_rule WHERE origin = 0;

-- name: carry_keys
-- The same of keys.
INSERT INTO skip_key (head, tail, allowed) SELECT head, tail, allowed FROM earlier.skip_key;

-- name: carried
-- There is something to skip, if anything was carried.
UPDATE job SET skips = 1
WHERE EXISTS (SELECT 1 FROM skip_rule) OR EXISTS (SELECT 1 FROM skip_key);
