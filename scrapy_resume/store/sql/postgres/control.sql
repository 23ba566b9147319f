-- Orders of commands to the live runs of a job: flags in the rows of the runs, set in a separate
-- transaction, so that no transaction that has locked other rows waits for a worker's commit.

-- name: ask_to_stop
-- Asks runs to stop gracefully.
UPDATE scrapy_resume.run SET stop_asked = true
WHERE job = %(job)s AND status = 'running' AND number = ANY(%(runs)s);

-- name: announce_retry
-- Asks runs to look for pending rows, and to try hosts again that did not answer.
UPDATE scrapy_resume.run SET retried = true WHERE job = %(job)s AND status = 'running';

-- name: orders
-- The orders to a run.
SELECT stop_asked, retried FROM scrapy_resume.run WHERE job = %(job)s AND number = %(run)s;

-- name: acknowledge_retry
-- The run has seen the order.
UPDATE scrapy_resume.run SET retried = false WHERE job = %(job)s AND number = %(run)s;
