"""Builds the feeds of a run that are databases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from scrapy_resume.commits.store_thread import StoreThread
from scrapy_resume.databases.address import filled, name_of, parsed_address
from scrapy_resume.databases.feeds_of_run import DatabaseFeeds, JobSource
from scrapy_resume.databases.options import content_digest, parsed_options
from scrapy_resume.errors import ConfigurationError, ResumeError, message_of
from scrapy_resume.store import open_location

if TYPE_CHECKING:
    from scrapy_resume.codec import Codec
    from scrapy_resume.databases.database_feed import DatabaseFeed
    from scrapy_resume.ports.clock import Clock
    from scrapy_resume.settings.parse import ResumeSettings
    from scrapy_resume.store.contract import JobStore

logger = logging.getLogger("scrapy_resume")


class Wanted(NamedTuple):
    """One entry of FEEDS."""

    template: str
    """The URI with its parameters unfilled."""
    options: Mapping[str, Any]
    accepts: Callable[[Any], bool]
    """Scrapy's filter."""


@dataclass(frozen=True)
class JobOfFeeds:
    """What the feeds need of the run."""

    job: JobStore
    thread: StoreThread
    """The store's."""
    clock: Clock
    codec: Codec
    settings: ResumeSettings
    spider: str
    worker: str
    """``host:pid``."""


def build_feeds(
    wanted: Iterable[Wanted],
    parameters: Callable[[dict[str, Any]], Mapping[str, Any]],
    of: JobOfFeeds,
    *,
    nothing_open: Callable[[], bool],
    item_failed: Callable[[], None],
) -> DatabaseFeeds:
    """Feeds that cannot be opened are named by ``undelivered``.

    ``parameters``: Scrapy's parameters of a URI, from the feed's options. ``nothing_open``: whether
    all of the job is done.
    """
    maker = _Maker(
        of, parameters, JobSource(of.job, of.thread, of.clock), nothing_open, item_failed
    )
    feeds: list[DatabaseFeed] = []
    unopened: dict[str, Exception] = {}
    for one in wanted:
        try:
            feeds.append(maker.feed(one))
        except Exception as error:
            # Whatever a driver or the user's code raises. An error of the caller, which is a
            # signal's handler, would be logged only: the job would be completed without the feed.
            name = name_of(one.template)
            unopened[name] = error
            known = isinstance(error, ResumeError)
            logger.error(
                "Feed %s cannot be opened: %s. Its items are in the store: when the cause is"
                " removed, the same command writes them.",
                name,
                message_of(error),
                exc_info=None if known else error,
            )
    return DatabaseFeeds(feeds, maker.source, of.clock, unopened)


class _Maker:
    """Makes the feeds of one run."""

    def __init__(
        self,
        of: JobOfFeeds,
        parameters: Callable[[dict[str, Any]], Mapping[str, Any]],
        source: JobSource,
        nothing_open: Callable[[], bool],
        item_failed: Callable[[], None],
    ) -> None:
        self.source = source
        self._of = of
        self._parameters = parameters
        self._nothing_open = nothing_open
        self._item_failed = item_failed
        self._known: dict[tuple[str, str], str] = {}

    def feed(self, one: Wanted) -> DatabaseFeed:
        """Raises ``ConfigurationError``, and what the user's ``uri_params`` raises."""
        # Only here is SQLAlchemy imported.
        from scrapy_resume.databases.database_feed import DatabaseFeed, FeedRules
        from scrapy_resume.databases.rows import RowMaker
        from scrapy_resume.databases.target import Identity, Target

        of, name = self._of, name_of(one.template)
        session, settings = of.job.session, of.settings
        began = datetime.fromtimestamp(session.created_at, timezone.utc)
        values = {
            **self._parameters(dict(one.options)),
            "time": began.strftime("%Y-%m-%dT%H-%M-%S"),
        }
        address = parsed_address(filled(one.template, values), of.spider)
        other = self._known.setdefault((address.url, address.full_table), name)
        if other is not name:
            raise ConfigurationError(f"the feeds {other} and {name} are one table: name two")
        options = parsed_options(name, one.options)
        identity = Identity(
            job=session.uid,
            earlier=partial(_other_numbers, settings.store, session.job.name),
            name=str(session.job).encode("utf-8", "backslashreplace").decode(),
            writer=of.worker,
            options=content_digest(one.options),
        )
        return DatabaseFeed(
            name,
            Target(address, options, identity, settings.removal_limit),
            RowMaker(one.options, one.accepts, of.codec.decode_item),
            self.source,
            of.clock,
            StoreThread(f"scrapy-resume feed {name}", of.clock),
            FeedRules(
                batch_size=options.batch_size,
                options=identity.options,
                shared_silence_seconds=(
                    settings.orphan_timeout_seconds if session.sharing.shared else None
                ),
                nothing_open=self._nothing_open,
                item_failed=self._item_failed,
            ),
        )


def _other_numbers(location: str, name: str) -> Sequence[str]:
    """The random ids of the numbers of a job that its store has."""
    store = open_location(location)
    found = []
    for key in store.jobs():
        if key.name == name:
            try:
                found.append(store.summary(key).uid)
            except ResumeError:
                continue  # damaged, or deleted meanwhile: it is not known what it has written
    return [uid for uid in found if uid]
