-- What each minute brought. Jobs that are older have none of the minutes before.

-- What each minute brought, by the run that did it: for rates and plots. One row of a run that does
-- anything in a minute, however much it does.
CREATE TABLE minute (
    minute INTEGER NOT NULL,             -- since the epoch
    run INTEGER NOT NULL,
    pages INTEGER NOT NULL,              -- responses
    items INTEGER NOT NULL,
    done INTEGER NOT NULL,               -- requests that ended so; one that is retried ends again
    failed INTEGER NOT NULL,
    ignored INTEGER NOT NULL,
    open INTEGER NOT NULL,               -- of the job, at the end of the minute
    PRIMARY KEY (minute, run)
) WITHOUT ROWID;

PRAGMA user_version = 4;
