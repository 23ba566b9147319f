-- What commands tell a live owner, and what it answers.

-- name: tell
-- One order, for the owner of an epoch.
INSERT INTO control (epoch, verb, body, created_at) VALUES (:epoch, :verb, :body, :now)
RETURNING id;

-- name: answer_to
-- NULL: it was not taken up yet.
SELECT answer FROM control WHERE id = ?;

-- name: withdraw
-- It is not wanted any more, unless it was taken up.
DELETE FROM control WHERE id = ? AND answer IS NULL RETURNING id;

-- name: open_orders
-- What the owner has not taken up, in order.
SELECT id, verb, body FROM control WHERE epoch = ? AND answer IS NULL ORDER BY id;

-- name: answer
-- What became of an order, in the transaction that carried it out.
UPDATE control SET answer = :answer WHERE id = :id;

-- name: forget_answers
-- Those that were read long ago, or by nobody.
DELETE FROM control WHERE answer IS NOT NULL AND created_at < ?;
