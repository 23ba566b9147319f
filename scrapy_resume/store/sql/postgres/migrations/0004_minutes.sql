-- What each minute brought. Jobs that are older have none of the minutes before.

-- What each minute brought, by the run that did it: for rates and plots. One row of a run that does
-- anything in a minute, however much it does.
CREATE TABLE scrapy_resume.minute (
    job integer NOT NULL,
    minute integer NOT NULL,              -- since the epoch
    run integer NOT NULL,
    pages bigint NOT NULL,                -- responses
    items bigint NOT NULL,
    done bigint NOT NULL,                 -- requests that ended so; one that is retried ends again
    failed bigint NOT NULL,
    ignored bigint NOT NULL,
    open bigint NOT NULL,                 -- of the job, at the end of the minute
    PRIMARY KEY (job, minute, run)
) WITH (fillfactor = 70);
