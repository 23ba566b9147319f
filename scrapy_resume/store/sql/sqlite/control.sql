-- Orders of commands to a live owner, and its answers.

-- name: insert_order
-- Inserts an order for the owner of an epoch.
INSERT INTO control (epoch, verb, body, created_at) VALUES (:epoch, :verb, :body, :now)
RETURNING id;

-- name: answer_to
-- The answer to an order; NULL: it was not executed yet.
SELECT answer FROM control WHERE id = ?;

-- name: withdraw
-- Withdraws an order, unless it was executed.
DELETE FROM control WHERE id = ? AND answer IS NULL RETURNING id;

-- name: open_orders
-- The orders that the owner has not executed, in order.
SELECT id, verb, body FROM control WHERE epoch = ? AND answer IS NULL ORDER BY id;

-- name: answer
-- Answers an order, in the transaction that executes it.
UPDATE control SET answer = :answer WHERE id = :id;

-- name: delete_old_answers
-- Deletes old orders that were answered.
DELETE FROM control WHERE answer IS NOT NULL AND created_at < ?;
