"""``scrapy resume export JOB -o URI:sql``: the stored items as rows of a database, each once."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from scrapy_resume.databases.address import FORMAT, filled, name_of, parsed_address
from scrapy_resume.databases.check import check_installed
from scrapy_resume.databases.options import content_digest, parsed_options
from scrapy_resume.errors import JobLockedError, StoreUnavailableError
from scrapy_resume.model import digest
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy_resume.commands.invocation import Invocation
    from scrapy_resume.model import JobKey, JobSummary
    from scrapy_resume.store.contract import Change, ChangeLog, ChangePortion, LogMark

SUFFIX: Final = f":{FORMAT}"


def is_database(output: str) -> bool:
    """Whether ``-o`` names a database."""
    return output.endswith(SUFFIX)


def export_rows(call: Invocation) -> int:
    """Write the items, as the crawl's own feed of that URI would."""
    every = call.arguments.all_numbers
    if every and call.arguments.overwrite:
        call.usage_error(
            "--overwrite is about one number of a job: drop the table instead, and --all-numbers"
            " writes it anew"
        )
    template = call.arguments.output.removesuffix(SUFFIX)
    reports = call.reports()
    key = call.find_job()
    keys = [key]
    if every:
        keys = sorted(reports.numbers_of(key.name), key=attrgetter("number"), reverse=True)
    summaries = [reports.summary(one) for one in keys]
    for summary in summaries:
        if summary.alive:
            raise JobLockedError(
                f"{summary.key} is being crawled: its crawl writes the table if the feed is in"
                " FEEDS (or -o). Export it when it is over"
            )
    options = _options(call, template)
    if every:
        options["overwrite"] = False
    rows = 0
    for place, summary in enumerate(summaries):
        rows += _export_number(call, template, summary, options, keys[:place])
    name, hidden = name_of(template), reports.hidden_items(key)
    if call.arguments.json:
        document = {"job": str(key), "items": rows, "open": hidden, "file": name, "format": FORMAT}
        call.print_json(document)
    else:
        verb = "is" if rows == 1 else "are"
        what = f"all numbers of {key.name}" if every else str(key)
        call.print_lines([f"{counted(rows, 'item')} of {what} {verb} in {name} ({FORMAT})"])
        if hidden:
            call.note(hidden_line(key, hidden))
    return 0


def hidden_line(key: JobKey, hidden: int) -> str:
    """Which items of a job no export has yet."""
    are = "is" if hidden == 1 else "are"
    return (
        f"{counted(hidden, 'item')} of {key} {are} not in it: steps of theirs have not ended "
        f"(scrapy resume items {shlex.quote(str(key))} --step-state pending,running)"
    )


def _export_number(
    call: Invocation,
    template: str,
    summary: JobSummary,
    options: Mapping[str, Any],
    later: Sequence[JobKey],
) -> int:
    """Write one number, a feed of its own; returns the rows that it has there. ``later``: numbers
    that were written before it: what they have given with the same key stays."""
    uri = filled(template, {"name": summary.spider})
    check_installed(parsed_address(uri, summary.spider))
    reports = call.reports()
    if later and options.get("primary_key"):
        options = {**options, "on_conflict": "ignore"}
    known = {digest(text.encode()) for key in later for text in reports.item_keys(key)}
    with reports.change_log(summary.key) as (log, decode):
        source = _SnapshotSource(log, known)
        feed = asyncio.run(_delivered(call, uri, summary, options, source, decode))
    if feed.error is not None:
        raise feed.error
    return int(feed.rows)


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
    options: Mapping[str, Any],
    source: _SnapshotSource,
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
        source,
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
    """The change log of a job that is over, without the items of which a later number has given
    another version: digests of their ``RESUME_ITEM_KEY`` are ``known``."""

    def __init__(self, log: ChangeLog, known: Collection[bytes]) -> None:
        self._log = log
        self._known = known

    async def changes(self, position: Sequence[LogMark], count: int) -> ChangePortion:
        portion = self._log.changes(position, count)
        return replace(portion, changes=self._latest(portion.changes))

    async def chosen(self, ids: Sequence[int]) -> list[Change]:
        return self._latest(self._log.chosen(ids))

    def _latest(self, changes: Sequence[Change]) -> list[Change]:
        return [
            one for one in changes if one.key is None or digest(one.key.encode()) not in self._known
        ]

    async def holds(self, position: Sequence[LogMark]) -> bool:
        return self._log.holds(position)

    def last_id(self) -> int:
        return 0
