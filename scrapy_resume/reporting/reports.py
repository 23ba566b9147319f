"""Read-only questions about jobs, for commands, notebooks and tests.

Nothing here writes to a store, and a live crawl is not disturbed by being asked.
Answers are plain dicts, as the commands print them with ``--json``; times in them
are ISO 8601 in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import (
    JobNotFoundError,
    StoreDamagedError,
    StoreError,
)
from scrapy_resume.model import (
    LIVE_STATUSES,
    JobKey,
    JobSummary,
    Selection,
    State,
    digest,
)
from scrapy_resume.posix import require_posix
from scrapy_resume.reporting import times
from scrapy_resume.reporting.details import (
    FAILURES_SHOWN,
    inputs_answer,
    resume_point,
    workers_answer,
)
from scrapy_resume.reporting.documents import (
    custom_shares,
    grouped_failures,
    held_answer,
    summed_custom,
    units_answer,
    with_held,
    with_http_status,
)
from scrapy_resume.reporting.filters import (
    NamedUrl,
    named_url,
    selection,
    unit_selection,
    unknown_lines,
)
from scrapy_resume.reporting.job_document import NOTHING_KNOWN, moment, run_answer, shown_status
from scrapy_resume.reporting.job_error import databases_behind, error_answer, undelivered_answer
from scrapy_resume.reporting.job_items import JobItems
from scrapy_resume.reporting.lookup import find_job
from scrapy_resume.reporting.rates import Rates, is_live
from scrapy_resume.reporting.step_documents import item_state, step_selection, steps_answer
from scrapy_resume.reporting.step_reports import StepReports
from scrapy_resume.reporting.unit_progress import unit_progress
from scrapy_resume.settings.location import project_settings, store_location
from scrapy_resume.settings.masking import without_password
from scrapy_resume.settings.parse_location import parsed_location
from scrapy_resume.settings.trusted import project_packages
from scrapy_resume.store.location import needed_for_postgres

if TYPE_CHECKING:
    from scrapy_resume.codec import Codec
    from scrapy_resume.store.contract import ChangeLog, PageReader, StepSelection

COUNTED_AT_MOST: Final = 100_000
"""How many rows are read to count something that has no counter. The result is shown on a screen,
and the store may have a hundred million rows."""


def open_store(
    location: str | PathLike[str] | None = None,
    codecs: Mapping[str, Any] | None = None,
    now: Callable[[], float] = times.now,
    trusted: Sequence[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Reports:
    """The read side of a store: what ``RESUME_STORE`` names; ``None``: that of the project in whose
    directory, or for which, the process runs, else ``.scrapy/resume``.

    ``codecs`` is what ``RESUME_CODECS`` was when the items were stored; it is needed only to
    decode values of a user's own types. A directory that does not exist is a store without jobs;
    it is not created. ``now`` gives the present time, in seconds since the epoch. ``trusted``:
    packages from which classes of items are imported; ``None``: the package of the project in
    whose directory the process runs. ``renamed`` is ``RESUME_RENAMED``. Raises
    ``ConfigurationError``.
    """
    if location is None:
        location = store_location(project_settings())
    place = parsed_location(location)
    packages = project_packages() if trusted is None else trusted
    if place.is_database:
        with needed_for_postgres():
            from scrapy_resume.store.postgres.pages import PostgresPages
        return Reports(
            PostgresPages(place), without_password(place), codecs, now, packages, renamed
        )
    require_posix()  # a lock says whether a job is live
    from scrapy_resume.store.sqlite.pages import SqlitePages

    return Reports(SqlitePages(Path(place)), place, codecs, now, packages, renamed)


class Reports(StepReports):
    """Questions to one store.

    A ``job`` is ``books``, the latest of that name; ``books#3``; a ``JobKey``; or ``None`` where
    all jobs of the store have one name (see ``lookup``).
    """

    _reader: PageReader

    def __init__(
        self,
        reader: PageReader,
        location: str,
        codecs: Mapping[str, Any] | None = None,
        now: Callable[[], float] = times.now,
        trusted: Sequence[str] = (),
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """``location`` is shown in messages: without a password. ``now``: seconds since the
        epoch. ``trusted``: packages from which classes of items are imported. ``renamed``:
        what they are called now."""
        self.location = location
        self.now = now
        self._reader = reader
        self._codecs = codecs
        self._trusted = trusted
        self._renamed = renamed

    def together(self) -> AbstractContextManager[None]:
        """Within it, questions to a database share one connection.

        All of them have to come from one thread, and every iterator has to be exhausted.
        """
        return self._reader.together()

    def half_deleted(self) -> list[str]:
        """Jobs whose deletion was interrupted, and which are in no other answer."""
        return [str(key) for key in self._reader.half_deleted()]

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs as ``job`` gives them, the most recently updated first.

        A job that cannot be read has the status ``damaged`` (or ``unreadable``, for example
        if a newer version wrote it), an ``error`` that says why, and ``None`` for the rest.
        """
        dated = []
        with self.together():
            keys = self._reader.keys()
            for key in keys:
                with suppress(JobNotFoundError):  # deleted since it was listed
                    dated.append(self._dated_answer(key))
        return [answer for _, answer in sorted(dated, key=itemgetter(0), reverse=True)]

    def job_or_error(self, job: str | JobKey | None = None) -> dict[str, Any]:
        """One job as ``jobs`` gives it: a job that cannot be read has an ``error``.

        Raises ``JobNotFoundError``, and ``StoreError`` if the store cannot be read as a whole.
        """
        return self._dated_answer(self.find(job))[1]

    def job(self, job: str | JobKey | None = None) -> dict[str, Any]:
        """One job, as ``scrapy resume status --json`` prints it.

        ``rates`` defines ``pages_per_minute``, ``items_per_minute`` (``None`` before the first
        run), ``elapsed_seconds`` and ``eta_seconds`` (``None`` unless a run is live and has
        fetched a page). Raises ``JobNotFoundError`` and ``StoreError``.
        """
        with self.together():
            return self._answer(self._reader.summary(self.find(job)))

    def items(
        self, job: str | JobKey | None = None, lenient: bool = True, **filters: Any
    ) -> Iterator[Any]:
        """The stored items, in the order in which they became visible.

        ``lenient``: an item whose class cannot be imported is returned as a dict; otherwise
        it raises an error. Only modules of the project, and of ``trusted``, are imported.
        ``filters``: as for ``item_records``. As inputs of a stage they are known to be a job's: the
        stage is not completed before that job is.
        """
        key = self.find(job)
        codec = self._item_codec()
        items: Iterator[Any]
        if filters:
            items = (record["item"] for record in self.item_records(key, lenient, **filters))
        else:
            items = (
                codec.decode_item(payload, lenient=lenient)
                for _, payload in self._reader.items(key)
            )
        return JobItems(str(key), items, lambda: str(self.job(key)["status"]))

    def item_records(
        self, job: str | JobKey | None = None, lenient: bool = True, **filters: Any
    ) -> Iterator[dict[str, Any]]:
        """The stored items with their pages, in the order in which they became visible.

        Keys: ``item``, ``url`` and ``unit`` (of its page; ``None`` for an item of ``start()``),
        ``key`` (by ``RESUME_ITEM_KEY``; else, of an item with steps, its ``item_key``; or
        ``None``), ``stored_at``, ``state`` (``complete``, ``partial`` or ``open``) and ``steps``, a
        list. ``filters``: those of ``selection``, of the items' requests; ``missing`` and ``limit``
        are of the items. With ``step``, ``step_state``, ``items`` (keys) or ``version``, as in
        ``step_selection``: items that have such a step, as they were found, with those that are not
        visible yet (``stored_at`` is ``None``). Raises ``JobNotFoundError``, and ``ValueError`` as
        ``selection`` does.
        """
        about_steps = filters.keys() & {"step", "step_state", "items", "version"}
        of_steps = {name: filters.pop(name) for name in about_steps}
        key, chosen = self.find(job), selection(**filters)
        if not of_steps:
            yield from self._decoded(self._reader.item_records(key, chosen), lenient)
            return
        of_steps["state"] = of_steps.pop("step_state", None)
        steps = step_selection(missing=filters.get("missing"), limit=chosen.limit, **of_steps)
        yield from self._decoded(self._reader.stepped_items(key, steps, chosen), lenient)

    def stepped_records(self, key: JobKey, chosen: StepSelection) -> Iterator[dict[str, Any]]:
        """The items whose steps are selected, as ``item_records`` gives them."""
        return self._decoded(self._reader.stepped_items(key, chosen), lenient=True)

    def _decoded(
        self, records: Iterator[dict[str, Any]], lenient: bool
    ) -> Iterator[dict[str, Any]]:
        codec = self._item_codec()
        for record in records:
            item = codec.decode_item(record.pop("payload"), lenient=lenient)
            state = item_state(record.pop("open"), record["steps"])
            yield {"item": item, **record, "state": state, "steps": record["steps"]}

    def items_of_all_numbers(
        self, job: str | JobKey | None = None, lenient: bool = True
    ) -> Iterator[Any]:
        """The stored items of all numbers of a job, those of the latest number first.

        Of items with the same ``RESUME_ITEM_KEY`` only the latest; the keys are held in memory.
        ``lenient``: as for ``items``.
        """
        name = self.find(job).name
        numbers = (key for key in self._reader.keys() if key.name == name)  # noqa: SIM118
        keys = sorted(numbers, key=attrgetter("number"), reverse=True)
        codec = self._item_codec()
        known: set[bytes] = set()
        for key in keys:
            for item_key, payload in self._reader.items(key):
                if item_key is not None:
                    short = digest(item_key.encode())
                    if short in known:
                        continue
                    known.add(short)
                yield codec.decode_item(payload, lenient=lenient)

    def _undelivered(
        self, key: JobKey, summary: JobSummary, runs: Sequence[Mapping[str, Any]]
    ) -> list[str]:
        """What the last run that has closed owed; and while one runs, or has died, the databases
        that are behind."""
        owed = undelivered_answer(runs)
        if summary.status in LIVE_STATUSES:
            owed += [
                name for name in databases_behind(self._reader.feed_notes(key)) if name not in owed
            ]
        return owed

    def numbers_of(self, name: str) -> list[JobKey]:
        """All numbers of a job that the store has."""
        return [key for key in self._reader.keys() if key.name == name]  # noqa: SIM118

    def item_keys(self, key: JobKey) -> Iterator[str]:
        """``RESUME_ITEM_KEY`` of the stored items that have one."""
        return (name for name, _ in self._reader.items(key) if name is not None)

    @contextmanager
    def change_log(self, key: JobKey) -> Iterator[tuple[ChangeLog, Callable[[str], Any]]]:
        """The job's change log, and what decodes its items: as ``items`` does, leniently."""
        codec = self._item_codec()
        with self._reader.change_log(key) as log:
            yield log, partial(codec.decode_item, lenient=True)

    def _item_codec(self) -> Codec:
        from scrapy_resume.codec import Codec

        return Codec(codecs=dict(self._codecs or {}), packages=self._trusted, renamed=self._renamed)

    @property
    def pages(self) -> PageReader:
        """The store, for questions that are answered in pages."""
        return self._reader

    def decoded_item(self, payload: str) -> Any:
        """An item as the store has it, decoded; one whose class cannot be imported as a dict."""
        return self._item_codec().decode_item(payload, lenient=True)

    def summary(self, key: JobKey) -> JobSummary:
        """The job without its requests, as the store has it."""
        return self._reader.summary(key)

    def recorded_texts(self, key: JobKey) -> Iterator[tuple[str, str]]:
        """What the codec has written of the job; see ``store.contract.Reader``."""
        return self._reader.recorded_texts(key)

    def requests(
        self,
        job: str | JobKey | None = None,
        state: str | Iterable[str] | None = None,
        limit: int | None = None,
        **filters: Any,
    ) -> Iterator[dict[str, Any]]:
        """The job's requests, of all states if ``state`` is ``None``; at most ``limit``.

        ``filters`` are those of ``selection``. The keys are those of ``scrapy resume requests
        --json``. Raises ``JobNotFoundError``, and ``ValueError`` for an unknown state.
        """
        key, chosen = self.find(job), selection(state, **filters)
        summary = self._reader.summary(key)
        held = held_answer(self._reader.runs(key), summary.counts.pending)
        rows = self._reader.requests(key, chosen, limit)
        return with_held(rows, held) if held else rows

    def selected(
        self, key: JobKey, chosen: Selection, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """The requests that are selected, as ``requests`` gives them; at most ``limit``."""
        return self._reader.requests(key, chosen, limit)

    def failures(
        self,
        job: str | JobKey | None = None,
        examples: int = 3,
        unit: str | Iterable[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The failed requests by error, as ``scrapy resume failed --json`` prints them; then those
        that are done and lost items (``items_failed`` is how many).

        Each group has at most so many ``examples`` (URLs). ``unit``: globs, only theirs. Without
        it, only the ``COUNTED_AT_MOST`` failed requests that were discovered last are grouped, and
        only the ``COUNTED_AT_MOST`` requests that were discovered last are looked at for lost
        items. Raises ``JobNotFoundError``.
        """
        key = self.find(job)
        if not unit:
            lost = self._reader.summary(key).counts.items_failed
            return self._reader.failures(
                key, examples, COUNTED_AT_MOST, COUNTED_AT_MOST if lost else 0
            )
        failed = selection("failed", unit=unit)
        partial = selection(unit=unit, partial=True)
        rows = chain(self._reader.requests(key, failed), self._reader.requests(key, partial))
        return grouped_failures(rows, examples)

    def minutes(self, job: str | JobKey | None = None, since: float = 0.0) -> list[dict[str, Any]]:
        """What happened in each minute since ``since`` (seconds since the epoch), in order.

        Keys: ``at`` (the minute's first second since the epoch), ``pages`` (responses),
        ``items``, ``done``, ``failed``, ``ignored`` (requests that ended so), and ``open``
        (requests at the end of the minute). Minutes in which nothing happened are left out.
        Raises ``JobNotFoundError``.
        """
        return self._reader.minutes(self.find(job), since)

    def details(self, job: str | JobKey | None = None, hosts: int = 20) -> dict[str, Any]:
        """Everything about a job, as ``scrapy resume show --json`` prints it.

        The document of ``job`` with these keys added: ``input_hashes`` (file → SHA-256),
        ``start_exhausted``, ``workers`` (live ones, ``host:pid``), ``skipped`` (requests that are
        skipped for good, a part of those ignored), ``by_status`` and ``by_host``
        (at most so many ``hosts``). The last two count only the ``counted`` requests that were
        discovered last, at most ``COUNTED_AT_MOST``. Then ``resume_point``, ``inputs`` (whether
        the input files, read now, are what they were), ``failures`` and ``step_failures``, the most
        frequent ones. Raises ``JobNotFoundError`` and ``StoreError``.
        """
        with self.together():
            return self._details(self.find(job), hosts)

    def _details(self, key: JobKey, hosts: int) -> dict[str, Any]:
        summary = self._reader.summary(key)
        answer = self._answer(summary)
        live = [run["worker"] for run in answer["runs"] if run["status"] in LIVE_STATUSES]
        return {
            **answer,
            "input_hashes": dict(summary.input_hashes),
            "start_exhausted": summary.start_exhausted,
            "workers": live,
            "skipped": self._reader.skipped_count(key) if summary.counts.ignored else 0,
            "counted": min(COUNTED_AT_MOST, summary.counts.total),
            "by_status": self._reader.statuses(key, COUNTED_AT_MOST),
            "by_host": self._reader.hosts(key, hosts, COUNTED_AT_MOST),
            "resume_point": resume_point(self._reader, key, self._reader.runs(key)),
            "inputs": inputs_answer(summary.input_hashes),
            "failures": self.failures(key)[:FAILURES_SHOWN] if summary.counts.failed else [],
            "step_failures": self._latest_step_failures(answer, key),
        }

    def _latest_step_failures(self, answer: dict[str, Any], key: JobKey) -> list[dict[str, Any]]:
        troubled = any(steps["failed"] or steps["parked"] for steps in answer["steps"].values())
        return self.step_failures(key)[:FAILURES_SHOWN] if troubled else []

    def workers(self, job: str | JobKey | None = None) -> list[dict[str, Any]]:
        """The job's workers that have not ended, as ``scrapy resume workers --json`` prints them.

        Those that died and have not been recovered yet are ``stale``. Raises ``JobNotFoundError``
        and ``StoreError``.
        """
        return workers_answer(self._reader.workers(self.find(job)))

    def units(
        self,
        job: str | JobKey | None = None,
        state: str | Iterable[str] | None = None,
        limit: int | None = None,
        **filters: Any,
    ) -> Iterator[dict[str, Any]]:
        """The units of a job, or those in some states; at most ``limit``.

        They are ordered by state (``UnitState``: in progress first, completed last), and within a
        state as they were discovered. ``filters`` are those of ``unit_selection``. The keys are
        those of ``scrapy resume units --json``. Raises ``JobNotFoundError``, and ``ValueError`` for
        an unknown state.
        """
        key, chosen = self.find(job), unit_selection(state, **filters)
        return with_http_status(self._reader.units(key, chosen, limit))

    def skipped_count(self, job: str | JobKey | None = None) -> int:
        """How many requests are skipped for good."""
        return self._reader.skipped_count(self.find(job))

    def history(self, job: str | JobKey | None = None) -> list[dict[str, Any]]:
        """What happened on each day (UTC), in order.

        Keys: ``day``, ``attempts``, ``rounds`` (of retry), ``retried`` (requests in these rounds),
        ``done`` and ``failed`` (requests that ended so), ``success_rate`` (``None``: none ended).
        """
        return self._reader.history(self.find(job))

    def count_by_state(self, job: str | JobKey | None = None, **filters: Any) -> dict[str, int]:
        """How many requests match the ``filters`` of ``selection``, by state.

        What was skipped for good is counted as ``skipped``, not as ``ignored``.
        """
        return self._reader.count_by_state(self.find(job), selection(**filters))

    def unknown_names(
        self,
        job: str | JobKey | None = None,
        urls: Iterable[str | NamedUrl] | None = None,
        units: Iterable[str] | None = None,
    ) -> list[str]:
        """Those of these URLs, and names of units, of which the job has no request."""
        key = self.find(job)
        unknown: list[str] = []
        if urls is not None:
            named = [named_url(line) for line in urls]
            found = self._reader.known_urls(key, selection(urls=named))
            unknown += unknown_lines(named, *found)
        if units is not None:
            names = list(units)
            present = self._reader.units(key, unit_selection(units=names))
            known = {unit["unit"] for unit in present}
            unknown += [name for name in names if name not in known]
        return unknown

    def find(self, job: str | JobKey | None = None) -> JobKey:
        """The key of the job that is meant; a ``JobKey`` is returned as it is.

        Raises ``JobNotFoundError``, which lists the nearest names.
        """
        return job if isinstance(job, JobKey) else find_job(self._reader.keys(), job, self.location)

    def _dated_answer(self, key: JobKey) -> tuple[float, dict[str, Any]]:
        """(time of the last change, answer); the time is 0 for a job that cannot be read."""
        try:
            summary = self._reader.summary(key)
            return summary.updated_at, self._answer(summary)
        except StoreError as error:
            status = "damaged" if isinstance(error, StoreDamagedError) else "unreadable"
            known = {"job": key.name, "number": key.number, "status": status}
            return 0.0, {**NOTHING_KNOWN, **known, "error": str(error)}

    def _answer(self, summary: JobSummary) -> dict[str, Any]:
        key, counts = summary.key, summary.counts
        runs = self._reader.runs(key)
        named = self._reader.named_unit_tally(key)
        rates = Rates(summary, runs, self.now(), unit_progress(named))
        custom = summed_custom(runs)
        held = summary.status in LIVE_STATUSES
        whole = summary.status == "completed"
        return {
            "job": key.name,
            "number": key.number,
            "spider": summary.spider,
            "kind": summary.kind,
            "arguments": dict(summary.arguments),
            "status": shown_status(summary.status, summary.alive),
            "reason": summary.reason,
            "created_at": moment(summary.created_at),
            "updated_at": moment(summary.updated_at),
            "completed_at": moment(summary.completed_at),
            "requests": {
                **{state: getattr(counts, state) for state in State.__members__},
                "delayed": counts.delayed,
                "total": counts.total,
            },
            "items": {
                "stored": counts.items_stored,
                "dropped": counts.items_dropped,
                "failed": counts.items_failed,
            },
            "steps": steps_answer(self._reader.step_counts(key)),
            "units": units_answer(self._reader.unit_tally(key)),
            "success_rate": counts.success_rate,
            "pages_per_minute": rates.throughput.pages_per_minute,
            "items_per_minute": rates.throughput.items_per_minute,
            "named_units": units_answer(named),
            "units_per_hour": rates.throughput.units_per_hour,
            "metadata": dict(summary.metadata),
            "custom": custom,
            "custom_shares": custom_shares(custom),
            "expected_total": summary.expected_total,
            "elapsed_seconds": round(rates.elapsed_seconds, 3),
            "eta_seconds": rates.eta_seconds,
            "eta_basis": rates.eta_basis,
            "in_flight": self._reader.in_flight_urls(key) if held else [],
            "held": held_answer(runs, counts.pending),
            "error": None if whole else error_answer(runs, times.iso),
            "undelivered": [] if whole else self._undelivered(key, summary, runs),
            "runs": [run_answer(run, alive=is_live(run, runs, summary)) for run in runs],
        }
