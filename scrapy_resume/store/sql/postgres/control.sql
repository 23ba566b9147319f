-- What commands tell the live runs of a job: flags in the rows of the runs, set in a transaction of
-- its own, so that nobody who holds other rows waits for a worker's commit.

-- name: ask_to_stop
-- Runs that have not ended are to stop gracefully.
UPDATE scrapy_resume.run SET stop_asked = true
WHERE job = %(job)s AND status = 'running' AND number = ANY(%(runs)s);

-- name: tell_of_retry
-- Runs are to look for what is pending, and to ask hosts again that did not answer.
UPDATE scrapy_resume.run SET retried = true WHERE job = %(job)s AND status = 'running';

-- name: orders
-- What a run was told.
SELECT stop_asked, retried FROM scrapy_resume.run WHERE job = %(job)s AND number = %(run)s;

-- name: heard_of_retry
-- The run knows.
UPDATE scrapy_resume.run SET retried = false WHERE job = %(job)s AND number = %(run)s;
