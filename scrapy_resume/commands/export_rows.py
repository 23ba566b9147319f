"""``scrapy resume export JOB -o URI:sql``: the stored items as rows of a database, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.databases.address import FORMAT, filled, name_of, parsed_address
from scrapy_resume.databases.check import check_installed
from scrapy_resume.databases.options import content_digest, parsed_options
from scrapy_resume.errors import JobLockedError, StoreUnavailableError
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy_resume.commands.invocation import Invocation
    from scrapy_resume.model import JobSummary
    from scrapy_resume.store.contract import Change, ChangeLog, ChangePortion, LogMark

SUFFIX: Final = f":{FORMAT}"


def is_database(output: str) -> bool:
    """Whether ``-o`` names a database."""
    return output.endswith(SUFFIX)


def export_rows(call: Invocation) -> int:
    """Write the items, as the crawl's own feed of that URI would."""
    if call.arguments.all_numbers:
        call.usage_error(
            "--all-numbers is for files. Each number of a job is a feed of its own in a database:"
            " export one after the other, into a table with primary_key"
        )
    template = call.arguments.output.removesuffix(SUFFIX)
    reports = call.reports()
    key = call.find_job()
    summary = reports.summary(key)
    if summary.alive:
        raise JobLockedError(
            f"{key} is being crawled: its crawl writes the table if the feed is in FEEDS (or -o)."
            " Export it when it is over"
        )
    options = _options(call, template)
    uri = filled(template, {"name": summary.spider})
    address = parsed_address(uri, summary.spider)
    check_installed(address)
    with reports.change_log(key) as (log, decode):
        feed = asyncio.run(_delivered(call, uri, summary, options, log, decode))
    if feed.error is not None:
        raise feed.error
    name = name_of(template)
    if call.arguments.json:
        call.print_json({"job": str(key), "items": feed.rows, "file": name, "format": FORMAT})
    else:
        verb = "is" if feed.rows == 1 else "are"
        call.print_lines([f"{counted(feed.rows, 'item')} of {key} {verb} in {name} ({FORMAT})"])
    return 0


def _options(call: Invocation, template: str) -> dict[str, Any]:
    """Those of the feed in FEEDS, if there is one of that URI."""
    from scrapy.utils.conf import feed_complete_default_values_from_settings

    given = call.settings.getdict("FEEDS").get(template, {"format": FORMAT})
    options = feed_complete_default_values_from_settings(dict(given), call.settings)
    if call.arguments.overwrite:
        options["overwrite"] = True
    return options


async def _delivered(
    call: Invocation,
    uri: str,
    summary: JobSummary,
    options: dict[str, Any],
    log: ChangeLog,
    decode: Callable[[str], Any],
) -> Any:
    from scrapy.extensions.feedexport import ItemFilter
    from scrapy.utils.misc import load_object

    from scrapy_resume.databases.database_feed import DatabaseFeed, FeedRules
    from scrapy_resume.databases.rows import RowMaker
    from scrapy_resume.databases.target import Identity, Target
    from scrapy_resume.ports.clock import AsyncioClock
    from scrapy_resume.settings.table import parse_setting

    name = name_of(uri)
    parsed = parsed_options(name, options)
    numbers = [
        one.uid
        for one in map(call.reports().summary, call.reports().numbers_of(summary.key.name))
        if one.uid
    ]
    identity = Identity(
        job=summary.uid,
        earlier=lambda: numbers,
        name=str(summary.key).encode("utf-8", "backslashreplace").decode(),
        writer="export",
        options=content_digest(options),
    )
    item_filter = load_object(options.get("item_filter", ItemFilter))(options)
    feed = DatabaseFeed(
        name,
        Target(
            parsed_address(uri, summary.spider),
            parsed,
            identity,
            parse_setting("RESUME_REMOVAL_LIMIT", call.settings),
        ),
        RowMaker(options, item_filter.accepts, decode),
        _SnapshotSource(log),
        AsyncioClock(),
        _SameThread(),
        FeedRules(
            batch_size=parsed.batch_size,
            options=identity.options,
            nothing_open=lambda: summary.status == "completed",
        ),
    )
    feed.raised_by_caller = True
    feed.end(final=True)
    await feed.follow()
    return feed


class _SameThread:
    """Calls at once: nothing else has to go on meanwhile."""

    def submit(
        self,
        call: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        unavailable: Callable[[StoreUnavailableError], None],
    ) -> None:
        """A database that is out is not tried again: whoever gives the command does that."""
        try:
            value = call()
        except Exception as error:
            failed(error)
        else:
            done(value)

    def give_up_soon(self) -> None:
        """It never waits."""

    def stop(self) -> None:
        """There is no thread."""


class _SnapshotSource:
    """The change log of a job that is over."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log

    async def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        return self._log.changes(position, count)

    async def chosen(self, ids: Sequence[int]) -> list[Change]:
        return self._log.chosen(ids)

    async def holds(self, position: Sequence[LogMark]) -> bool:
        return self._log.holds(position)

    def last_id(self) -> int:
        return 0
