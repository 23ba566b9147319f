-- Events that are to be told, custom metrics, and how many pages the spider expects.
CREATE TABLE scrapy_resume.event (
    id bigint GENERATED ALWAYS AS IDENTITY,
    job integer NOT NULL,
    run integer NOT NULL,                 -- that is to tell
    payload text NOT NULL,                -- JSON
    PRIMARY KEY (job, id)
);

ALTER TABLE scrapy_resume.run ADD COLUMN custom text;

ALTER TABLE scrapy_resume.job ADD COLUMN expected_total double precision;
