"""One ETA, with its caveat; and that neither it nor the rate flaps, whatever a crawl does."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from scrapy_resume.model import Counts, JobKey, JobSummary, UnitState
from scrapy_resume.reporting.eta import Eta
from scrapy_resume.reporting.progress import Progress, progress_of
from scrapy_resume.reporting.rates import WARM_UP_SECONDS, Rates, Throughput
from scrapy_resume.reporting.unit_progress import UnitProgress, unit_progress, units_worth


@pytest.mark.parametrize(
    ("eta", "shown"),
    [
        (Eta(144.0, "known"), "ETA 2.4 min, of what is known"),
        (Eta(144.0, "expected_total"), "ETA 2.4 min"),
        (Eta(42_480.0, "units"), "ETA 11.8 h, of the units known"),
        (Eta(0.4, "known"), "ETA 0.1 min, of what is known"),
        (Eta(5_970.0, "expected_total"), "ETA 99.5 min"),
        (Eta(6_000.0, "expected_total"), "ETA 1.7 h"),
        (Eta(432_000.0, "expected_total"), "ETA 5.0 d"),
        (Eta(0.0, "known"), "ETA none"),
        (Eta(), "ETA unknown"),
    ],
)
def test_an_eta_says_what_it_rests_on(eta: Eta, shown: str) -> None:
    assert eta.text() == shown


def named(**counts: int) -> dict[UnitState, int]:
    return {UnitState[name]: count for name, count in counts.items()}


def test_where_units_are_named_the_line_has_them_and_those_in_work() -> None:
    units = unit_progress(named(pending=506, in_progress=4, completed=10, partial=1, failed=1))
    progress = Progress(40, 900, 0.9, 60.0, 42_480.0, "units", units, 43.14, ["FORD F-150", "a\nb"])
    assert progress.line() == (
        "4.4% (40/900) | success 90.0% | 1.0 items/s | ETA 11.8 h, of the units known"
        " | 12/522 units, 43.1 units/hour | in work: FORD F-150, a?b"
    )


def test_very_many_units_in_work_and_long_names_are_cut_off() -> None:
    progress = Progress(1, 2, 1.0, 0.0, None, working_on=[f"{'x' * 80}{n}" for n in range(9)])
    assert progress.line().count("x...") == 3
    assert progress.line().endswith(" and 6 more")


def test_a_single_named_unit_is_no_progress() -> None:
    assert unit_progress(named(completed=1)) is None
    assert unit_progress({}) is None


COUNTS = Counts(pending=500, leased=10, done=490)


def eta_of(pages: float, units: float, waiting: int, expected: float | None = None) -> Eta:
    progress = UnitProgress(total=522, completed=0, ended=12, waiting=waiting)
    return Throughput(pages, 0, 1_000.0, units).eta(COUNTS, expected, progress)


def test_the_eta_is_by_units_where_those_that_have_not_begun_take_longer_than_what_is_known() -> (
    None
):
    assert eta_of(pages=400, units=12, waiting=510) == Eta(42_500.0, "units")
    assert eta_of(pages=400, units=12, waiting=0) == Eta(1_275.0, "known")
    assert eta_of(pages=400, units=12, waiting=10) == Eta(1_275.0, "known")
    assert eta_of(pages=400, units=0, waiting=510) == Eta(1_275.0, "known")
    assert eta_of(pages=400, units=12, waiting=510, expected=2_000.0) == Eta(
        3_775.0, "expected_total"
    )


@pytest.mark.parametrize("order", ["unit by unit", "all units at once"])
def test_the_eta_by_units_does_not_jump_when_the_last_units_have_begun(order: str) -> None:
    """Each of 100 units has 20 pages, of which the first is known at the beginning."""
    before = None
    pages, seconds = 0, 0.0
    for _ in range(2_000):
        pages, seconds = pages + 1, seconds + 1.0
        if order == "unit by unit":
            ended, begun = pages // 20, -(-pages // 20)
            open_requests = (100 - begun) + (20 * begun - pages)
        else:
            begun, ended = min(100, pages), max(0, pages - 1_900)
            open_requests = (100 - begun) + 20 * begun - pages
        units = UnitProgress(total=100, completed=ended, ended=ended, waiting=100 - begun)
        counts = Counts(pending=open_requests, done=pages)
        worth = units_worth(pages, ended, 20 * ended)
        eta = Throughput(pages, 0, seconds, worth).eta(counts, None, units).seconds
        assert eta is not None
        if pages > 200 and before is not None:
            assert abs(eta - before) <= 25.0, (pages, before, eta)
        before = eta


# A drawn history, told by a plain model


@dataclass
class PlainRun:
    """What a stopwatch and a tally beside one run would have noted."""

    began: float
    ended: float | None = None
    pages: int = 0


@dataclass
class PlainJob:
    """A job that one process after the other crawls, with pauses and deaths between."""

    runs: list[PlainRun] = field(default_factory=list)
    pending: int = 20_000
    done: int = 0

    def rate(self, now: float) -> float:
        """Pages a second. Worked out in another way than the package does: second by second, the
        last minute of earlier runs fills up what is missing of the live run's first."""
        live = self.runs[-1] if self.runs[-1].ended is None else None
        over = [run for run in self.runs if run.ended is not None]
        earlier_seconds = sum((run.ended or 0.0) - run.began for run in over)
        earlier_pages = sum(run.pages for run in over)
        if live is None:
            return earlier_pages / earlier_seconds
        age = now - live.began
        fill = min(max(0.0, 60.0 - age), earlier_seconds)
        per_second = earlier_pages / earlier_seconds if earlier_seconds else 0.0
        return (live.pages + fill * per_second) / (age + fill)

    def answer(self, now: float) -> Rates:
        """As a reader of the store computes it."""
        alive = self.runs[-1].ended is None
        summary = JobSummary(
            key=JobKey("books", 1),
            spider="books",
            status="running" if alive else "paused",
            reason=None,
            alive=alive,
            owner="host:7",
            owned_since=None,
            created_at=0.0,
            updated_at=0.0,
            completed_at=None,
            counts=Counts(pending=self.pending, done=self.done),
        )
        rows: list[dict[str, Any]] = [
            {
                "number": number,
                "started_at": run.began,
                "beat_at": run.ended or now,
                "ended_at": run.ended,
                "pages": run.pages,
                "items": 2 * run.pages,
            }
            for number, run in enumerate(self.runs, 1)
        ]
        return Rates(summary, rows, now)


@pytest.mark.parametrize("seed", range(25))
def test_the_rate_and_the_eta_of_a_drawn_history_are_those_of_a_plain_model_and_do_not_flap(
    seed: int,
) -> None:
    chance = random.Random(seed)
    job, now = PlainJob(), 1_700_000_000.0
    speed = chance.uniform(0.5, 40.0)
    for _ in range(chance.randint(2, 6)):
        job.runs.append(PlainRun(now))
        run, owed, before = job.runs[-1], 0.0, None
        lasted = chance.choice([20, 90, 300])
        for second in range(lasted):
            now += 1.0
            owed += speed * chance.uniform(0.7, 1.3)
            fetched = min(int(owed), job.pending)
            owed -= fetched
            run.pages += fetched
            job.pending += chance.randint(0, fetched) - fetched
            job.done += fetched
            rates = job.answer(now)
            told = rates.throughput.pages_per_minute
            assert told == pytest.approx(60 * job.rate(now), abs=0.01)
            if told and rates.eta_seconds:
                assert rates.eta_seconds == pytest.approx(job.pending / job.rate(now), abs=0.1)
            settled = len(job.runs) > 1 or second >= 20
            if settled and before and told:
                # One second of news cannot turn an average of a minute over.
                assert told / before == pytest.approx(1.0, abs=0.12), (second, before, told)
            before = told
        run.ended = now
        at_rest = job.answer(now + 500.0).throughput.pages_per_minute
        assert at_rest == pytest.approx(60 * job.rate(now), abs=0.01)
        now += chance.uniform(1.0, 50_000.0)


def test_a_crawl_that_goes_on_begins_with_the_rate_that_it_had() -> None:
    earlier = Throughput(pages=6_000, items=12_000, seconds=600.0, units=30)
    first = Throughput(pages=0, items=0, seconds=0.5)
    blended = first.since_opened(earlier)
    assert blended.pages_per_minute == pytest.approx(600.0, rel=0.02)
    assert blended.units_per_hour == pytest.approx(180.0, rel=0.02)
    grown = Throughput(pages=300, items=0, seconds=WARM_UP_SECONDS)
    assert grown.since_opened(earlier) == grown


def test_progress_is_the_same_from_a_document_of_a_store() -> None:
    states: dict[str, int] = dict.fromkeys(UnitState.__members__, 0)
    answer = {
        "requests": {"total": 900, "pending": 850, "leased": 10},
        "expected_total": None,
        "success_rate": 0.9,
        "items_per_minute": 60.0,
        "eta_seconds": 42_480.0,
        "eta_basis": "units",
        "named_units": {**states, "pending": 510, "completed": 12, "total": 522},
        "units_per_hour": 43.14,
    }
    line = progress_of(answer).line()
    assert "(40/900)" in line
    assert line.endswith("ETA 11.8 h, of the units known | 12/522 units, 43.1 units/hour")
