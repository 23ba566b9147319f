"""Everything that can go wrong, as one tree.

    ResumeError
    ├── ConfigurationError          a setting, or a combination of them, that cannot work
    ├── JobError                    the job cannot be begun or gone on with
    │   ├── JobNotFoundError
    │   ├── JobCompletedError       mode ``once``: there is nothing left to do
    │   ├── JobLockedError          another live process owns it
    │   ├── InputChangedError       a file that the crawl's meaning depends on is another
    │   └── JobExistsError
    ├── StoreError                  the store cannot do what was asked
    │   ├── StoreUnavailableError   for now: locked, full, out of reach; worth another try
    │   ├── StoreDamagedError       not a database, or a damaged one
    │   ├── SchemaTooNewError       written by a newer version of this package
    │   └── LeaseLostError          this process does not own the job any more (fencing)
    ├── NotRecordableError          a request that cannot be written down
    ├── ItemNotRecordableError      an item that cannot be written down
    ├── StateNotRecordableError     a key of ``spider.state`` that cannot be written down
    ├── CallbackMissingError        a stored request names what the code no longer has
    ├── HostUnavailableError        a host did not answer probe after probe
    ├── FeedFileChangedError        a feed's file is not as it was left
    ├── FeedNotStoredError          a storage did not take a feed
    └── ScrapyChangedError          a private part of Scrapy is not where it was

Messages say what happened and what the reader can do about it.
"""

from __future__ import annotations


class ResumeError(Exception):
    """The root: catch this to catch everything that this package raises."""


class ConfigurationError(ResumeError):
    """A setting, or a combination of settings, that cannot work."""


class JobError(ResumeError):
    """The job cannot be begun or gone on with."""


class JobNotFoundError(JobError):
    """There is no such job in the store."""


class JobCompletedError(JobError):
    """Mode ``once``, and the job is completed already."""


class JobLockedError(JobError):
    """Another live process owns the job."""


class JobExistsError(JobError):
    """A job of that name and number exists already."""


class InputChangedError(JobError):
    """An input file of the job changed, or went missing, since the job began."""


class StoreError(ResumeError):
    """The store cannot do what was asked."""


class StoreUnavailableError(StoreError):
    """The store cannot be used for now (locked, full, out of reach); trying again may help."""


class StoreDamagedError(StoreError):
    """The file is not a database, or is a damaged one."""


class SchemaTooNewError(StoreError):
    """The store was written by a newer version of this package."""


class LeaseLostError(StoreError):
    """This process does not own the job any more; nothing that it sends is accepted."""


class NotRecordableError(ResumeError):
    """A request that cannot be written down; it runs from memory (see docs/lineage.md)."""


class ItemNotRecordableError(ResumeError):
    """An item that cannot be written down; names the type and the field."""


class StateNotRecordableError(ResumeError):
    """A value in ``spider.state`` that cannot be written down; names the key."""


class CallbackMissingError(ResumeError):
    """A stored request names a callback, class or function that the code no longer has."""


class HostUnavailableError(ResumeError):
    """The request's host has not answered so many probes in a row (RESUME_BREAKER_PROBES)."""


class HeldBackError(ResumeError):
    """The request was not sent, though it waited for its turn: its host is to be left alone."""


class FeedFileChangedError(ResumeError):
    """A feed's file is not as this job has left it: deleted, cut, replaced or altered."""


class FeedNotStoredError(ResumeError):
    """A feed's storage (S3, FTP, a user's) did not take the file."""


class ScrapyChangedError(ResumeError):
    """A private part of Scrapy that this package relies on is not where it was."""
