"""Steps that are opened again by command are run by the next crawl, or by the one that is live,
and no page is fetched for it."""

from __future__ import annotations

import time

import pytest

from scrapy_resume import open_store
from scrapy_resume.steering import retry, retry_steps
from tests.support.steppings import JOB, Steppings

LIMIT_SECONDS = 30.0


def change(steppings: Steppings, old: str, new: str) -> None:
    """The project's code is changed between two runs."""
    text = steppings.spider.read_text()
    assert old in text
    steppings.spider.write_text(text.replace(old, new))


def fetched(steppings: Steppings) -> int:
    return sum("/leaf/" in hit.url for hit in steppings.site.log.hits())


ITEMS = [
    {"n": 0, "html": "<p>"},
    {"n": 1, "html": "<p>", "plan": {"plain": "raise"}},
    {"n": 2, "html": "<p>", "plan": {"plain": "skip"}},
]


def test_a_step_is_tried_again_by_better_code_and_no_page_is_fetched(steppings: Steppings) -> None:
    run = steppings.run(ITEMS, on_site=True)
    assert run.is_finished, run.tail()
    assert "plain" not in steppings.fed()[1]
    assert steppings.job()["steps"]["plain"]["failed"] == 1
    before, called = fetched(steppings), steppings.called("double")
    assert retry(steppings.location, JOB, step="plain") == 1
    assert steppings.job()["status"] == "paused"
    change(steppings, 'if how == "raise":', 'if how == "never":')
    run = steppings.run(ITEMS, on_site=True)
    assert run.is_finished, run.tail()
    assert steppings.fed()[1]["plain"] == 3
    assert len(steppings.fed()) == len(ITEMS)
    assert fetched(steppings) == before
    assert steppings.called("plain") == {0: 1, 1: 4, 2: 1}
    assert steppings.called("double") == called
    job = steppings.job()
    assert (job["status"], job["steps"]["plain"]["failed"]) == ("completed", 0)


def test_what_an_older_version_has_done_is_done_again(steppings: Steppings) -> None:
    assert steppings.run(ITEMS[:1], on_site=True).is_finished
    before = fetched(steppings)
    change(steppings, '@step(needs="n", version="1")', '@step(needs="n", version="2")')
    change(steppings, '"double": 2 * item["n"]', '"double": 2 * item["n"] + 100')
    assert retry(steppings.location, JOB, step="double", version="1") == 0
    assert retry(steppings.location, JOB, step="double", version="2") == 1
    run = steppings.run(ITEMS[:1], on_site=True)
    assert run.is_finished, run.tail()
    assert steppings.fed()[0]["double"] == 100
    assert fetched(steppings) == before
    assert retry(steppings.location, JOB, step="double", version="2") == 0
    left = retry_steps(steppings.location, JOB, step="html", state="done", is_consumed=True)
    assert left == (0, 1)


@pytest.mark.soak
def test_a_live_crawl_tries_a_step_again(steppings: Steppings) -> None:
    items = [
        {"n": 0, "plan": {"double": "raise"}},
        {"n": 1, "plan": {"double": "raise"}},
        {"n": 2, "plan": {"seconds": 8}},
    ]
    process, log = steppings.start(items, {"stepping.double": 100})

    def await_calls(count: int) -> None:
        until = time.monotonic() + LIMIT_SECONDS
        while steppings.called("double")[0] < count or failed() < 2:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)

    def failed() -> int:
        store = open_store(steppings.location)
        if not store.jobs():
            return 0
        return int(steppings.job()["steps"].get("double", {"failed": 0})["failed"])

    await_calls(3)
    assert retry(steppings.location, JOB, step="double", limit=1) == 1
    await_calls(6)
    process.wait(LIMIT_SECONDS)
    assert steppings.called("double") == {0: 6, 1: 3, 2: 1}
    assert steppings.job()["status"] == "completed"
