-- Statements of runs that fetch nothing but retried requests, and what these lead to. Those that
-- differ from another run's by a condition alone stand in commit.sql and opening.sql, with that
-- condition as a comment: /* if retried: … */.

-- name: count_delayed
-- How many rows wait for their time.
SELECT count(*) FROM scrapy_resume.frontier
WHERE job = %(job)s AND run = 0 AND not_before > 0 AND retried = 1;
