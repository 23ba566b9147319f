"""What Scrapy does not catch ends the request, the item or ``start()`` that it belongs to."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import Any

import pytest

from tests.support.kills import after_seconds, in_turn, when_logged
from tests.support.launcher import Launcher
from tests.support.reactors import ASYNCIO, NO_REACTOR, SELECT, Mode, every_mode
from tests.support.runs import Run, Workplace, crawl, job_store, reach_project
from tests.support.site import Site

Outputs = Counter[tuple[str, str]]
"""Items by case and by what they are."""

CLASSES = {
    "cancelled": "CancelledError",
    "exit": "GeneratorExit",
    "own": "OwnError",
    "task": "CancelledError",
}
ITEM_PLACES = ("pipeline", "async pipeline", "start pipeline", "many")
"""Places where an item is lost, and its request goes on."""


class Crawls:
    """Runs the spiders of ``kinds.uncaught``."""

    def __init__(self, site: Site, launcher: Launcher) -> None:
        self.site = site
        self.launcher = launcher

    def __call__(self, place: Workplace, spider: str = "uncaught", **how: Any) -> Run:
        feed = {"format": "uncaught", "item_filter": "kinds.uncaught.Filter"}
        settings = {"SPIDER_MODULES": "kinds.uncaught", "RESUME_JOB": spider}
        if spider == "uncaught":
            settings["FEEDS"] = json.dumps({str(place.path / "feed.jsonl"): feed})
        how = {"timeout_seconds": 40, "settings": settings, **how}
        return crawl(spider, site=self.site, place=place, launcher=self.launcher, **how)


@pytest.fixture
def crawls(site: Site, launcher: Launcher) -> Crawls:
    return Crawls(site, launcher)


def outputs(items: Any) -> Outputs:
    return Counter((item["case"], item["what"]) for item in items)


def feed_of(place: Workplace) -> Outputs:
    lines = (place.path / "feed.jsonl").read_text().splitlines()
    return outputs(json.loads(line) for line in lines)


def as_ordinary(items: Outputs, names: list[str]) -> Outputs:
    """The items of a run with ordinary errors that a run with the errors of these names gives.

    Scrapy goes on after an ordinary error of a signal handler. One that it does not catch ends
    what the signal is about: the download, or the scheduling of the child.
    """
    from kinds.uncaught import SIGNALS, place_of

    lost = [name for name in SIGNALS if name != "request_scheduled"]
    return Counter(
        {
            (case, what): count
            for (case, what), count in items.items()
            if case.partition("/")[2] in names
            and place_of(case) not in lost
            and (place_of(case), what) != ("request_scheduled", "child")
        }
    )


@pytest.fixture(scope="module")
def ordinary(site: Site, launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Where plain Scrapy has crawled all cases, with errors that it catches."""
    reach_project()
    place = Workplace(tmp_path_factory.mktemp("ordinary"))
    site.begin(place.path / "hits.jsonl")
    args = {"errors": ",".join(CLASSES), "ordinary": "1"}
    run = Crawls(site, launcher)(place, plain=True, args=args)
    assert run.is_finished, run.tail()
    return place


@every_mode
def test_what_scrapy_does_not_catch_ends_its_request_alone(
    crawls: Crawls, ordinary: Workplace, place: Workplace, mode: Mode
) -> None:
    names = [name for name in CLASSES if name != "task" or mode is not SELECT]
    run = crawls(place, mode=mode, args={"errors": ",".join(names)})
    assert run.is_finished, run.tail()
    recorded = (json.loads(line) for line in ordinary.recorded.read_text().splitlines())
    assert outputs(job_store(place).items("uncaught")) == as_ordinary(outputs(recorded), names)
    assert feed_of(place) == as_ordinary(feed_of(ordinary), names)
    assert_outcomes(place, names)


def assert_outcomes(place: Workplace, names: list[str]) -> None:
    from kinds.uncaught import cases_of

    store = job_store(place)
    [job] = store.jobs()
    assert job["status"] == "completed"
    assert job["requests"]["pending"] == job["requests"]["leased"] == 0
    found = {row["url"].partition(",")[2]: row for row in store.requests("uncaught")}
    cases = list(cases_of(names))
    for case_place, name in cases:
        assert_outcome(found, case_place, f"{case_place.replace(' ', '-')}/{name}", CLASSES[name])
    assert job["items"]["failed"] == sum(one in ITEM_PLACES for one, _ in cases)


def assert_outcome(found: dict[str, Any], place: str, case: str, error: str) -> None:
    if place == "start pipeline":
        return
    row = found[case]
    if place in ("pipeline", "async pipeline"):
        assert (row["state"], row["error"]) == ("done", error), row
    elif place in ("filter", "exporter"):
        assert (row["state"], row["error"]) == ("done", None), row
    elif place == "memory":
        assert row["state"] == "done", row
        child = found[f"{case}/child"]
        assert (child["state"], child["error"]) == ("failed", error), child
    elif place in ("process_spider_exception", "spider_error"):
        assert row["state"] == "failed", row
        assert row["error"] in (error, "ValueError"), row
    elif place in ("errback", "coroutine errback", "process_exception"):
        assert row["state"] == "failed", row
        assert row["error"] in (error, "NotSupported"), row
    else:
        assert (row["state"], row["error"]) == ("failed", error), row


def state_of(place: Workplace) -> tuple[str, str]:
    [job] = job_store(place).jobs()
    return job["status"], job["reason"]


def whats(place: Workplace, spider: str) -> list[str]:
    return sorted(what for _, what in outputs(job_store(place).items(spider)).elements())


@every_mode
@pytest.mark.parametrize(
    ("where", "error"), [("start", "cancelled"), ("start", "own"), ("request_scheduled", "own")]
)
def test_start_that_is_interrupted_ends_as_one_that_raises(
    crawls: Crawls, place: Workplace, mode: Mode, where: str, error: str
) -> None:
    args = {"error": error, "place": where}
    run = crawls(place, "interrupted_start", mode=mode, args=args)
    assert run.exit_code == 0, run.tail()
    assert "StartInterruptedError" in run.text
    assert state_of(place) == ("failed", "start_error")
    run = crawls(place, "interrupted_start", mode=mode, args={"place": where})
    assert run.is_finished, run.tail()
    assert whats(place, "interrupted_start") == ["page", "page", "start"]


@pytest.mark.parametrize("mode", [ASYNCIO, NO_REACTOR], ids=lambda mode: mode.name)
@pytest.mark.parametrize("where", ["start", "start pipeline"])
def test_interrupt_ends_the_process_and_is_no_outcome(
    crawls: Crawls, place: Workplace, mode: Mode, where: str
) -> None:
    args = {"error": "interrupt", "place": where}
    run = crawls(place, "interrupted_start", mode=mode, args=args)
    assert run.exit_code != 0, run.tail()
    assert state_of(place) == ("paused", "shutdown")
    run = crawls(place, "interrupted_start", mode=mode, args={"place": where})
    assert run.is_finished, run.tail()
    assert whats(place, "interrupted_start") == ["page", "page", "start"]


@pytest.mark.skipif(bool(NO_REACTOR.unavailable), reason=str(NO_REACTOR.unavailable))
def test_code_that_survives_a_forced_shutdown_has_no_outcome(
    crawls: Crawls, place: Workplace
) -> None:
    twice = in_turn(when_logged("Waits", 0.5, signal.SIGTERM), after_seconds(0.3, signal.SIGTERM))
    run = crawls(place, "survivor", mode=NO_REACTOR, args={"patient": "1"}, kill=twice)
    assert run.killed_at is not None, run.tail()
    assert state_of(place) == ("paused", "shutdown")
    run = crawls(place, "survivor", mode=NO_REACTOR)
    assert run.is_finished, run.tail()
    assert whats(place, "survivor") == ["first", "first"]
