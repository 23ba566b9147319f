-- A job that is not wanted any more, in one transaction that holds its row.

-- name: frontier
-- What is open.
DELETE FROM scrapy_resume.frontier WHERE job = %(job)s;

-- name: spill
-- Provisional items.
DELETE FROM scrapy_resume.spill WHERE job = %(job)s;

-- name: item
-- Items.
DELETE FROM scrapy_resume.item WHERE job = %(job)s;

-- name: step
-- Steps of items.
DELETE FROM scrapy_resume.step WHERE job = %(job)s;

-- name: stepped
-- The items that have them.
DELETE FROM scrapy_resume.stepped WHERE job = %(job)s;

-- name: step_tally
-- How many steps are in each state.
DELETE FROM scrapy_resume.step_tally WHERE job = %(job)s;

-- name: step_day
-- What each day brought of them.
DELETE FROM scrapy_resume.step_day WHERE job = %(job)s;

-- name: step_use
-- Attempts that count for rate limits.
DELETE FROM scrapy_resume.step_use WHERE job = %(job)s;

-- name: step_kind
-- Names of steps.
DELETE FROM scrapy_resume.step_kind WHERE job = %(job)s;

-- name: step_fetch
-- Downloads that they want.
DELETE FROM scrapy_resume.step_fetch WHERE job = %(job)s;

-- name: taken_back
-- What was taken back.
DELETE FROM scrapy_resume.taken_back WHERE job = %(job)s;

-- name: trouble
-- The list of failed and parked requests.
DELETE FROM scrapy_resume.trouble WHERE job = %(job)s;

-- name: request
-- Requests.
DELETE FROM scrapy_resume.request WHERE job = %(job)s;

-- name: seen
-- Identities.
DELETE FROM scrapy_resume.seen WHERE job = %(job)s;

-- name: skip_rule
-- What is skipped.
DELETE FROM scrapy_resume.skip_rule WHERE job = %(job)s;

-- name: skip_key
-- What is skipped.
DELETE FROM scrapy_resume.skip_key WHERE job = %(job)s;

-- name: retry_round
-- The history of retries.
DELETE FROM scrapy_resume.retry_round WHERE job = %(job)s;

-- name: given
-- What earlier numbers gave.
DELETE FROM scrapy_resume.given WHERE job = %(job)s;

-- name: slot
-- Download slots.
DELETE FROM scrapy_resume.slot WHERE job = %(job)s;

-- name: unit_count
-- What became of units.
DELETE FROM scrapy_resume.unit_count WHERE job = %(job)s;

-- name: unit_tally
-- How many units are in each state.
DELETE FROM scrapy_resume.unit_tally WHERE job = %(job)s;

-- name: unit
-- Named units.
DELETE FROM scrapy_resume.unit WHERE job = %(job)s;

-- name: event
-- Events of which nobody was told.
DELETE FROM scrapy_resume.event WHERE job = %(job)s;

-- name: spider_state
-- What spiders kept.
DELETE FROM scrapy_resume.spider_state WHERE job = %(job)s;

-- name: host
-- Hosts with which something is the matter.
DELETE FROM scrapy_resume.host WHERE job = %(job)s;

-- name: cookies
-- Sessions.
DELETE FROM scrapy_resume.cookies WHERE job = %(job)s;

-- name: feed
-- Files of feeds.
DELETE FROM scrapy_resume.feed WHERE job = %(job)s;

-- name: minute
-- What each minute brought.
DELETE FROM scrapy_resume.minute WHERE job = %(job)s;

-- name: run
-- Runs.
DELETE FROM scrapy_resume.run WHERE job = %(job)s;

-- name: job
-- The job.
DELETE FROM scrapy_resume.job WHERE id = %(job)s;
