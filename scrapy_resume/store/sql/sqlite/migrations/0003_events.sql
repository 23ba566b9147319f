-- Events that are to be told, custom metrics, and how many pages the spider expects.
PRAGMA user_version = 3;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    payload TEXT NOT NULL                -- JSON
);

ALTER TABLE run ADD COLUMN custom TEXT;

ALTER TABLE job ADD COLUMN expected_total REAL;
