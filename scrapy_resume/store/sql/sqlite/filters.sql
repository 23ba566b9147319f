-- Questions about what people name, and the history of retries. They read what they are asked about.

-- name: chosen_units
-- The units that match, as they were found. Each condition that is NULL holds for any.
SELECT
    v.unit, v.state, v.open, v.done, v.failed, v.parked, v.ignored, v.items, v.items_failed, c.items_open,
    v.attempts, v.error, v.error_message, v.first_at, v.last_at, v.cursor
FROM unit_count AS c CROSS JOIN units AS v
WHERE c.state IS NOT NULL AND v.id = c.unit
    AND (:states IS NULL OR c.state IN (SELECT value FROM json_each(:states)))
    AND (:globs IS NULL OR EXISTS (
        SELECT 1 FROM json_each(:globs) AS glob WHERE v.unit GLOB glob.value
    ))
    AND (:names IS NULL OR v.unit IN (SELECT value FROM json_each(:names)))
    AND (:errors IS NULL OR v.error IN (SELECT value FROM json_each(:errors)))
ORDER BY c.state, abs(c.unit) LIMIT :count;

-- name: known_urls
-- Which of these URLs, without a fragment, requests have.
SELECT DISTINCT substr(url, 1, instr(url || '#', '#') - 1) FROM requests
WHERE substr(url, 1, instr(url || '#', '#') - 1) IN (SELECT value FROM json_each(:urls));

-- name: known_identities
-- Which of these identities, in hex, requests have, or have taken on.
SELECT j.value FROM json_each(:identities) AS j
WHERE EXISTS (
    SELECT 1 FROM request AS r
    WHERE r.identity_head = identity_head(j.value) AND r.identity_tail = identity_tail(j.value)
) OR EXISTS (
    SELECT 1 FROM alias AS a
    WHERE a.identity_head = identity_head(j.value) AND a.identity_tail = identity_tail(j.value)
);

-- name: has_history
-- Whether the file has the history of retries.
SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'history');

-- name: history
-- Attempts, rounds of retry and ends by day.
SELECT day, attempts, rounds, retried, done, failed, success_rate FROM history;
