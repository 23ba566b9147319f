"""Failed attempts wait for the next one, in the store, and nothing waits behind them."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from scrapy_resume.steering import retry
from tests.support.kills import Kill, Live
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace
from tests.support.site import REPO, Hit, Site
from tests.support.stores import has_jobs
from tests.support.wanderings import Wanderings

LATE_SECONDS = 5.0
"""A busy machine may be so late."""


@pytest.fixture
def wanderings(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "mishaps.py", found.spider)
    return found


def crawl(wanderings: Wanderings, *paths: str, **how: Any) -> Run:
    settings = {"RETRY_TIMES": 2, "RESUME_RETRY_DELAY": 0.4, **how.pop("settings", {})}
    more = [
        word
        for name, value in how.pop("arguments", {}).items()
        for word in ("-a", f"{name}={value}")
    ]
    return wanderings.run(settings, "-a", f"paths={','.join(paths)}", *more, **how)


def hits_of(wanderings: Wanderings, path: str) -> list[Hit]:
    return [hit for hit in wanderings.site.hits() if hit.url == path]


def when_waiting(
    wanderings: Wanderings, path: str, signum: signal.Signals = signal.SIGKILL
) -> Kill:
    """The signal as soon as the store says that a path's request waits for its next attempt."""

    def waits() -> bool:
        if not (has_jobs(wanderings.place.store) and wanderings.jobs()):
            return False
        rows = [row for row in wanderings.requests() if row["url"].endswith(path)]
        return any(row["not_before"] is not None for row in rows)

    def kill(live: Live) -> float | None:
        return live.send(signum) if live.until(waits) else None

    return kill


def waits_of(wanderings: Wanderings, path: str) -> list[float]:
    """Seconds between each answer and the next request for a path."""
    hits = hits_of(wanderings, path)
    assert all(hit.answered_at is not None for hit in hits)
    return [later.asked_at - (earlier.answered_at or 0) for earlier, later in pairwise(hits)]


def test_each_attempt_waits_twice_as_long_as_the_one_before(wanderings: Wanderings) -> None:
    run = crawl(wanderings, "/error/1")
    assert run.is_finished, run.tail()
    told = re.findall(r"INFO: waiting ([\d.]+) s for host .*: HTTP 500; its other", run.text)
    assert 0.4 <= float(told[0]) <= 0.5, told
    first, second = waits_of(wanderings, "/error/1")
    assert 0.4 <= first <= 0.5 + LATE_SECONDS
    assert 0.8 <= second <= 1.0 + LATE_SECONDS
    (row,) = wanderings.requests()
    assert (row["state"], row["attempts"]) == ("failed", 3)
    assert (row["error"], row["http_status"], row["items"]) == ("HttpError", 500, 0)
    assert row["first_failed_at"] < row["updated_at"], "more than a second lay between them"


def test_no_attempt_waits_longer_than_the_limit(wanderings: Wanderings) -> None:
    settings = {"RESUME_RETRY_DELAY": 1_000, "RESUME_RETRY_DELAY_MAX": 0.2}
    run = crawl(wanderings, "/error/1", settings=settings)
    assert run.is_finished, run.tail()
    assert all(wait <= 0.2 + LATE_SECONDS for wait in waits_of(wanderings, "/error/1"))


def test_nothing_waits_behind_a_retry(wanderings: Wanderings) -> None:
    settings = {"RESUME_RETRY_DELAY": 2, "CONCURRENT_REQUESTS": 1}
    run = crawl(wanderings, "/flaky/1?times=1", "/leaf/1", "/leaf/2", settings=settings)
    assert run.is_finished, run.tail()
    order = [hit.url for hit in wanderings.site.hits()]
    assert order.index("/leaf/2") < len(order) - 1 == order.index("/flaky/1?times=1", 1)


@pytest.mark.parametrize("after", ["2", "date:3"])
def test_the_site_says_when_to_come_back(wanderings: Wanderings, after: str) -> None:
    path = f"/limited/1?times=1&after={after}"
    run = crawl(wanderings, path)
    assert run.is_finished, run.tail()
    (wait,) = waits_of(wanderings, path)
    assert 2 <= wait <= 3 + LATE_SECONDS
    assert wanderings.titles() == {"limited 1": 1}
    (line,) = re.findall(r"INFO: (waiting .*)", run.text)
    assert re.fullmatch(r"waiting [123](\.\d)? s for host 127\.0\.0\.1: HTTP 429", line)


@pytest.mark.parametrize("delay", [0, 0.05])
def test_what_is_queued_for_the_host_already_waits_with_it(
    wanderings: Wanderings, delay: float
) -> None:
    path = "/limited/1?times=1&after=2"
    leaves = [f"/leaf/{number}" for number in range(12)]
    settings = {"CONCURRENT_REQUESTS_PER_DOMAIN": 1, "DOWNLOAD_DELAY": delay}
    run = crawl(wanderings, path, *leaves, settings=settings)
    assert run.is_finished, run.tail()
    answered = hits_of(wanderings, path)[0].answered_at or 0
    # Scrapy may have sent two of them at once: it counts what is on its way a moment later.
    early = [hit for hit in wanderings.site.hits() if answered < hit.asked_at < answered + 2]
    assert not early
    assert {row["attempts"] for row in wanderings.requests() if "/leaf/" in row["url"]} == {1}
    assert sum(wanderings.titles().values()) == 13


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(False, id="left alone", marks=pytest.mark.soak),
        pytest.param(True, id="killed in the wait"),
    ],
)
def test_what_has_waited_redirects_to_no_page_that_is_known(
    wanderings: Wanderings, killed: bool
) -> None:
    limited = "/limited/1?times=1&after=4"
    paths = [limited, *(f"/redirect/{page}?hops=2" for page in range(6))]
    paths += [f"/page/{page}" for page in range(6)]
    # Without a delay, Scrapy may send all of them at once: it counts what is on its way a moment
    # later. What was answered before the kill would rightly be fetched again.
    settings = {"CONCURRENT_REQUESTS_PER_DOMAIN": 1, "DOWNLOAD_DELAY": 0.1}
    if killed:
        when = when_waiting(wanderings, limited)
        assert crawl(wanderings, *paths, settings=settings, kill=when).killed_at is not None
    run = crawl(wanderings, *paths, settings=settings)
    assert run.is_finished, run.tail()
    pages = Counter(hit.url for hit in wanderings.site.hits() if hit.url.startswith("/page/"))
    assert pages == dict.fromkeys((f"/page/{page}" for page in range(6)), 1)
    assert set(wanderings.titles().values()) == {1}


def test_a_503_may_say_when_too_and_a_delay_of_nothing_does_not_overrule_it(
    wanderings: Wanderings,
) -> None:
    path = "/limited/1?times=1&after=2&status=503"
    crawl(wanderings, path, settings={"RESUME_RETRY_DELAY": 0})
    (wait,) = waits_of(wanderings, path)
    assert wait >= 2


def test_without_a_delay_retries_are_scrapys_own(wanderings: Wanderings) -> None:
    run = crawl(wanderings, "/error/1", settings={"RESUME_RETRY_DELAY": 0})
    assert run.is_finished, run.tail()
    assert all(wait < LATE_SECONDS for wait in waits_of(wanderings, "/error/1"))


def test_a_wait_goes_on_after_a_kill(wanderings: Wanderings) -> None:
    path = "/limited/1?times=1&after=4"
    killed = crawl(wanderings, path, kill=when_waiting(wanderings, path))
    assert killed.killed_at is not None
    (row,) = (row for row in wanderings.requests() if row["url"].endswith(path))
    assert row["state"] == "pending"
    assert row["not_before"] is not None
    run = crawl(wanderings, path)
    assert run.is_finished, run.tail()
    (wait,) = waits_of(wanderings, path)
    assert 4 <= wait <= 5 + LATE_SECONDS


def test_a_post_is_sent_again_with_its_body_in_the_next_run_too(wanderings: Wanderings) -> None:
    path = "/limited/1?times=2&after=1&do=post"
    crawl(wanderings, path, kill=when_waiting(wanderings, path))
    run = crawl(wanderings, path)
    assert run.is_finished, run.tail()
    assert [hit.method for hit in hits_of(wanderings, path)] == ["POST"] * 3
    assert wanderings.titles() == {f"a body for {path}": 1}


def test_a_crawl_that_waits_is_stopped_at_once(wanderings: Wanderings) -> None:
    path = "/limited/1?times=1&after=600"
    run = crawl(wanderings, path, kill=when_waiting(wanderings, path, signal.SIGTERM))
    assert run.exit_code == 0, run.tail()
    job = wanderings.job()
    assert (job["status"], job["reason"]) == ("paused", "shutdown")
    assert job["requests"]["delayed"] == 1
    assert len(wanderings.site.hits()) == 1


def test_a_retry_that_a_callback_asks_for_waits_too(wanderings: Wanderings) -> None:
    run = crawl(wanderings, "/leaf/1?do=again")
    assert run.is_finished, run.tail()
    (wait,) = waits_of(wanderings, "/leaf/1?do=again")
    assert 0.4 <= wait <= 0.5 + LATE_SECONDS
    assert wanderings.titles() == {"leaf 1": 1}


def test_a_subclass_of_the_retry_middleware_decides_what_is_tried_again(
    wanderings: Wanderings,
) -> None:
    settings = {
        "DOWNLOADER_MIDDLEWARES": '{"wandering.Picky": 550,'
        ' "scrapy.downloadermiddlewares.retry.RetryMiddleware": null}'
    }
    run = crawl(wanderings, "/leaf/1", "/leaf/2", settings=settings)
    assert run.is_finished, run.tail()
    waits = waits_of(wanderings, "/leaf/1")
    assert len(waits) == 2
    assert waits[0] >= 0.4
    assert waits[1] >= 0.8
    assert wanderings.titles() == {"leaf 1": 1, "leaf 2": 1}


def test_what_has_to_run_in_this_process_waits_in_it(wanderings: Wanderings) -> None:
    below = "/flaky/2?times=1"
    first = "/flaky/3?times=1&do=first"
    run = crawl(wanderings, "/leaf/1?do=lambda", first, arguments={"below": below})
    assert run.is_finished, run.tail()
    for path in (below, first):
        (wait,) = waits_of(wanderings, path)
        assert 0.4 <= wait <= 0.5 + LATE_SECONDS, path
    assert wanderings.titles() == {"leaf 1": 1, "Flaky 2": 1, "Flaky 3": 1}


def test_what_has_to_run_in_this_process_waits_for_its_host_too(wanderings: Wanderings) -> None:
    below = "/limited/2?times=1&after=1"
    paths = ["/leaf/1?do=lambda", "/leaf/2?do=first", "/limited/3?times=1&after=2", "/leaf/3"]
    settings = {"CONCURRENT_REQUESTS_PER_DOMAIN": 1}
    run = crawl(wanderings, *paths, settings=settings, arguments={"below": below})
    assert run.is_finished, run.tail()
    limited = [path for path in (below, paths[2]) if len(hits_of(wanderings, path)) == 2]
    assert limited == [below, paths[2]]
    assert wanderings.titles() == dict.fromkeys(
        ["leaf 1", "leaf 2", "leaf 3", "limited 2", "limited 3"], 1
    )
    assert wanderings.job()["status"] == "completed"


@pytest.mark.soak
def test_a_crawl_pauses_when_there_is_nothing_but_to_wait(wanderings: Wanderings) -> None:
    path = "/limited/1?times=1&after=8"
    settings = {"RESUME_RETRY_WAIT": 2}
    run = crawl(wanderings, path, "/leaf/1", settings=settings)
    [answered] = hits_of(wanderings, path)
    assert run.ended_at < (answered.answered_at or 0) + 8, "it did not wait for it"
    assert run.exit_code == 0
    job = wanderings.job()
    assert (job["status"], job["reason"]) == ("paused", "resume_later")
    assert (job["requests"]["delayed"], job["requests"]["done"]) == (1, 1)
    assert "is due at" in run.text
    assert "the same command" in run.text.lower()

    run = crawl(wanderings, path, "/leaf/1")
    assert run.is_finished, run.tail()
    (wait,) = waits_of(wanderings, path)
    assert wait >= 8
    assert wanderings.titles() == {"limited 1": 1, "leaf 1": 1}
    assert wanderings.job()["status"] == "completed"


def test_a_crawl_waits_as_long_as_it_is_told_to(wanderings: Wanderings) -> None:
    run = crawl(
        wanderings,
        "/error/1",
        settings={"RESUME_RETRY_WAIT": 2.5, "RESUME_RETRY_DELAY": 1, "RETRY_TIMES": 5},
    )
    assert (wanderings.job()["status"], wanderings.job()["reason"]) == ("paused", "resume_later")
    assert len(hits_of(wanderings, "/error/1")) in {2, 3}, run.tail()


# What has failed for good, and is tried again


FLAKY = ("/flaky/1?times=3", "/flaky/2?times=3", "/leaf/1", "/leaf/2?do=raise")
QUICKLY = {"RESUME_RETRY_DELAY": 0.05}


def retried(wanderings: Wanderings, **filters: Any) -> int:
    return retry(wanderings.place.location, "wandering", **filters)


def test_after_a_retry_the_items_are_those_of_a_crawl_in_which_nothing_failed(
    wanderings: Wanderings,
) -> None:
    run = crawl(wanderings, *FLAKY, settings=QUICKLY)
    assert run.is_finished, run.tail()
    assert wanderings.job()["status"] == "completed"
    assert wanderings.job()["requests"]["failed"] == 3
    assert wanderings.titles() == {"leaf 1": 1, "leaf 2": 1}
    assert retried(wanderings, status=503) == 2
    assert wanderings.job()["status"] == "paused"

    wanderings.replace_in_spider('raise ValueError(f"{response.url} is odd")', "return")
    asked = len(wanderings.site.hits())
    run = crawl(wanderings, *FLAKY, settings=QUICKLY)
    assert run.is_finished, run.tail()
    assert sorted(hit.url for hit in wanderings.site.hits()[asked:]) == sorted(FLAKY[:2])
    assert wanderings.titles() == {"Flaky 1": 1, "Flaky 2": 1, "leaf 1": 1, "leaf 2": 1}

    run = crawl(wanderings, *FLAKY, settings={**QUICKLY, "RESUME_MODE": "retry-failed"})
    assert run.is_finished, run.tail()
    assert wanderings.site.hits()[-1].url == FLAKY[3]
    assert len(wanderings.site.hits()) == asked + 3
    assert wanderings.titles() == {"Flaky 1": 1, "Flaky 2": 1, "leaf 1": 1, "leaf 2": 1}
    assert list(wanderings.jobs().values()) == ["completed"]
    assert wanderings.job()["requests"]["failed"] == 0

    run = crawl(wanderings, *FLAKY, settings={**QUICKLY, "RESUME_MODE": "retry-failed"})
    assert run.exit_code == 0, run.tail()
    assert "nothing to do" in run.text
    assert len(wanderings.site.hits()) == asked + 3


def test_retry_failed_leaves_what_is_new_in_start_alone(wanderings: Wanderings) -> None:
    crawl(wanderings, "/error/1", settings=QUICKLY)
    settings = {**QUICKLY, "RESUME_MODE": "retry-failed"}
    run = crawl(wanderings, "/error/1", "/leaf/new", settings=settings)
    assert run.is_finished, run.tail()
    assert {hit.url for hit in wanderings.site.hits()} == {"/error/1"}
    assert len(hits_of(wanderings, "/error/1")) == 6, "it has all its attempts again"


def test_retry_failed_without_a_job_says_what_to_do(wanderings: Wanderings) -> None:
    run = crawl(wanderings, "/leaf/1", settings={"RESUME_MODE": "retry-failed"})
    assert run.exit_code == 1
    assert "RESUME_MODE=auto" in run.text
    assert not wanderings.site.hits()


def test_a_page_that_was_parsed_wrongly_is_parsed_again(wanderings: Wanderings) -> None:
    crawl(wanderings, "/leaf/1", "/leaf/2")
    assert retried(wanderings, state="done", url="*/leaf/2") == 1
    wanderings.replace_in_spider(
        'yield {"title": response.css("title::text").get()}', 'yield {"title": "better"}'
    )
    run = crawl(wanderings, "/leaf/1", "/leaf/2")
    assert run.is_finished, run.tail()
    assert wanderings.titles() == {"leaf 1": 1, "better": 1}


def test_an_item_that_a_pipeline_lost_is_written_down_with_its_page(
    wanderings: Wanderings,
) -> None:
    settings = {"ITEM_PIPELINES": '{"wandering.Breaks": 100}'}
    run = crawl(wanderings, "/leaf/1", "/leaf/2", settings=settings)
    assert run.is_finished, run.tail()
    one, two = wanderings.requests()
    assert (one["state"], one["error"]) == ("done", "KeyError")
    assert "item 1" in one["error_message"]
    assert (two["state"], two["error"]) == ("done", None)
    assert wanderings.job()["items"] == {"stored": 1, "dropped": 0, "failed": 1}
    assert retried(wanderings, partial=True) == 1
    assert wanderings.job()["items"]["failed"] == 0
    run = crawl(wanderings, "/leaf/1", "/leaf/2")
    assert wanderings.titles() == {"leaf 1": 1, "leaf 2": 1}, run.tail()


def test_a_request_that_was_never_written_down_is_retried_by_its_page(
    wanderings: Wanderings,
) -> None:
    below = "/error/below"
    crawl(wanderings, "/leaf/1?do=lambda", settings=QUICKLY, arguments={"below": below})
    assert wanderings.job()["requests"]["failed"] == 1
    assert retried(wanderings, state="failed") == 0
    assert retried(wanderings, state="done", url="*/leaf/1*") == 1
