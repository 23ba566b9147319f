"""All errors that this package raises, as one tree.

    ResumeError
    ├── ConfigurationError          a setting, or a combination of settings, that cannot work
    ├── JobError                    the job cannot be begun or resumed
    │   ├── JobNotFoundError
    │   ├── JobCompletedError       nothing is left to do, and nothing is to be begun
    │   ├── JobLockedError          another live process owns it
    │   ├── InputChangedError       an input file differs from what the job began with
    │   └── JobExistsError
    ├── StoreError                  the store cannot do what was asked
    │   ├── StoreUnavailableError   temporarily: locked, full, out of reach; worth another attempt
    │   ├── StoreDamagedError       not a database, or a damaged one
    │   ├── SchemaTooNewError       written by a newer version of this package
    │   └── LeaseLostError          this process no longer owns the job (fencing)
    ├── NotRecordableError          a request that cannot be serialized
    ├── ItemNotRecordableError      an item that cannot be serialized
    ├── StateNotRecordableError     a value in ``spider.state`` that cannot be serialized
    ├── CallbackMissingError        a stored request names something that the code no longer has
    │   └── UntrustedNameError      or something that RESUME_TRUSTED does not cover
    ├── HostUnavailableError        a host failed all probes of its circuit breaker
    ├── HeldBackError               a request was not sent: its host, or another worker, has to wait
    ├── StartInterruptedError       ``start()`` was ended by an error that Scrapy does not catch
    ├── FeedFileChangedError        a feed's file was changed by somebody else
    ├── FeedNotStoredError          a storage did not accept a feed
    └── ScrapyChangedError          a private part of Scrapy is not where it was

Messages say what happened and what the reader can do about it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import datetime, timezone
from http import HTTPStatus


def message_of(error: BaseException | None) -> str:
    """What an error of somebody else's code says: ``str(error)``, which may itself raise.

    An error without a message is an error all the same: what it means for a request, an item or a
    feed must not depend on its text.
    """
    return _text_of(error, str)


def repr_of(error: BaseException) -> str:
    """``repr(error)``; see ``message_of``."""
    return _text_of(error, repr)


def http_status_text(status: int) -> str:
    """``HTTP 429 Too Many Requests``; ``HTTP 520`` where no standard names it."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def http_status_of(message: str | None) -> int | None:
    """The HTTP status in a message that begins as ``http_status_text`` writes it; ``None``: it
    does not."""
    name, _, rest = (message or "").partition(" ")
    status = rest[:3]
    return int(status) if name == "HTTP" and len(status) == 3 and status.isdecimal() else None


def _text_of(error: BaseException | None, render: Callable[[object], str]) -> str:
    try:
        return render(error)
    except Exception as failure:
        return f"(no message: its {render.__name__}() raises {type(failure).__name__})"


class ResumeError(Exception):
    """The root: catch it to catch every error that this package raises."""


class ConfigurationError(ResumeError):
    """A setting, or a combination of settings, that cannot work."""


class JobError(ResumeError):
    """The job cannot be begun or resumed."""


class JobNotFoundError(JobError):
    """There is no such job in the store."""


class JobCompletedError(JobError):
    """The job is completed, and this start does not begin another one: the mode is ``once``, or the
    process that completed it died before its crawl had ended."""


class JobLockedError(JobError):
    """Another live process owns the job."""

    @classmethod
    def for_crawl(
        cls, job: object, worker: str | None, since: float | None = None
    ) -> JobLockedError:
        """A crawl cannot open ``job``. ``worker`` (``host:pid``) has owned it ``since`` (seconds
        since the epoch); ``None``: unknown."""
        if worker == f"{socket.gethostname()}:{os.getpid()}":
            return cls(
                f"{job} is being crawled by this process already{_since(since)}. Start the second "
                "crawl when the first one has ended, or give it a job of its own: "
                "RESUME_JOB=<name>, with the crawl's settings or its spider's custom_settings."
            )
        return cls(
            f"{job} is {_crawled_by(worker, since)}. {_wait_or_stop(job)} RESUME_FORCE=True takes "
            "the job over; RESUME_JOB=<name> gives this crawl a job of its own."
        )

    @classmethod
    def for_change(
        cls, job: object, change: str, worker: str | None, since: float | None = None
    ) -> JobLockedError:
        """``job`` cannot be changed. ``change``: a participle, such as ``deleted``; the rest as
        in ``for_crawl``."""
        return cls(
            f"{job} cannot be {change}: it is {_crawled_by(worker, since)}. {_wait_or_stop(job)}"
        )

    @classmethod
    def being_opened(cls, job: object) -> JobLockedError:
        """Another process opened ``job``, or is opening it, since it was found to be free."""
        return cls(f"{job} is being opened by another process at this moment. Try again.")


def _crawled_by(worker: str | None, since: float | None) -> str:
    return f"being crawled by another process ({worker or 'unknown'}{_since(since)})"


def _since(moment: float | None) -> str:
    """`` since …``, in UTC; nothing if the moment is not known."""
    if moment is None:
        return ""
    return f" since {datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _wait_or_stop(job: object) -> str:
    return f"Wait for it to end, or stop it: scrapy resume stop {job}."


class JobExistsError(JobError):
    """A job of that name and number exists already."""


class InputChangedError(JobError):
    """An input file of the job was changed or removed since the job began."""


class StoreError(ResumeError):
    """The store cannot do what was asked."""


class StoreUnavailableError(StoreError):
    """The store cannot be used at the moment (locked, full, out of reach); a later attempt may
    succeed."""


class StoreDamagedError(StoreError):
    """The file is not a database, or is a damaged one."""


class SchemaTooNewError(StoreError):
    """The store was written by a newer version of this package."""


class LeaseLostError(StoreError):
    """This process no longer owns the job; the store accepts nothing from it."""


class JobDeletedError(LeaseLostError):
    """The job was deleted, moved or replaced under this process: no run can go on with it."""


class NotRecordableError(ResumeError):
    """A request that cannot be serialized; it runs from memory (see docs/lineage.md)."""


class ItemNotRecordableError(ResumeError):
    """An item that cannot be serialized; the message names the type and the field."""


class StateNotRecordableError(ResumeError):
    """A value in ``spider.state`` that cannot be serialized; the message names the key."""


class CallbackMissingError(ResumeError):
    """A stored record names a callback, class or function that the code no longer has."""

    def __init__(self, message: str, *, name: str | None = None, park: bool = False) -> None:
        """``name``: what is missing, as it was stored; ``None``: the message stands for it.
        ``park``: requests with such a callback can be parked by ``name``.
        """
        super().__init__(message)
        self.name = message if name is None else name
        self.park = park


class UntrustedNameError(CallbackMissingError):
    """A stored record names code that is neither the spider's nor the project's, and that
    RESUME_TRUSTED does not cover. It was not imported and not called."""

    def __init__(self, path: str) -> None:
        """``path``: the name, such as ``pkg.mod:name``."""
        self.path = path
        module = path.partition(":")[0]
        super().__init__(
            f"a stored record names {path}, which is neither the spider's nor the project's code; "
            "it was not imported and not called. If your crawl uses it, set RESUME_TRUSTED = "
            f"[{module!r}]; if not, somebody else has written to the job. `scrapy resume verify` "
            "lists such names",
            name=path,
        )


class HostUnavailableError(ResumeError):
    """The request's host failed RESUME_BREAKER_PROBES probes in a row."""


class OthersNotFetchedError(ResumeError):
    """A page was fetched again without the others with which it has filled a shared value, and gave
    nothing; the items that it gave before are kept."""

    def __init__(self, key: str, missing: int) -> None:
        """``key``: that of the value in ``cb_kwargs`` or ``meta``. ``missing``: how many others
        there are."""
        super().__init__(
            f"was fetched again without {missing} other requests that share {key!r} with it, which "
            "their callbacks change, and has given no item: those that it gave before are kept. "
            "Retry these requests together"
        )


class HeldBackError(ResumeError):
    """The request was due but was not sent: its host is to be left alone for now, or another worker
    can send it earlier."""


class StartInterruptedError(ResumeError):
    """``start()`` was ended by an error that is no ``Exception``, so Scrapy does not catch it."""


class FeedFileChangedError(ResumeError):
    """A feed's file is not as this job left it: it was deleted, cut, replaced or altered."""


class FeedNotStoredError(ResumeError):
    """A feed's storage (S3, FTP, a user's own) did not accept the file."""


class DatabaseFeedError(ResumeError):
    """A database that is a feed cannot be written as it is."""


class DatabaseUnavailableError(DatabaseFeedError, StoreUnavailableError):
    """Such a database cannot be used at the moment (out of reach, locked, full): a later attempt
    may succeed."""


class RowsNotWrittenError(DatabaseFeedError):
    """Items cannot be rows of the table; all others are written."""


class TooManyRemovalsError(DatabaseFeedError):
    """More rows would be removed than RESUME_REMOVAL_LIMIT allows."""


class ScrapyChangedError(ResumeError):
    """A private part of Scrapy that this package relies on is not where it was."""


def describe(error: BaseException) -> str:
    """Class and message of an error."""
    message = message_of(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def as_exception(error: BaseException) -> Exception:
    """The error, or a ``ResumeError`` that it has caused if it is no ``Exception``."""
    if isinstance(error, Exception):
        return error
    raised = ResumeError(describe(error))
    raised.__cause__ = error
    return raised
