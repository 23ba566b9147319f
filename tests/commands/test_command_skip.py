"""``skip`` and ``retry --skipped``; dead letters; the history of retries."""

from __future__ import annotations

import json

import pytest

from scrapy_resume.model import JobKey, State
from scrapy_resume.store.contract import Batch, Finish, Leasing, Wish

PAGE = "http://127.0.0.1/page/"


@pytest.fixture
def shop(shelf):
    """A page done, two failed, one ignored, one pending, in a job that is paused."""
    job = shelf.begin("shop", launch={"command": "crawl"})
    shelf.crawl(job, done=[[{"a": 1}]], failed=["bang", "boom"], ignored=1, pending=1)
    shelf.close(job, "paused", "shutdown")
    return shelf


def pages(answer):
    assert answer.code == 0, answer
    return [int(row["url"].rpartition("/")[2]) for row in json.loads(answer.out)]


def test_skip_lists_acts_and_says_what_it_left(shop, call):
    answer = call("skip", "--url", "*/page/*", "--dry-run")
    first, _, *rows, left = answer.out.splitlines()
    assert (
        first
        == "3 requests of shop#1 would be skipped for good, until 'retry --skipped' takes them"
    )
    assert [row.split()[-1] for row in rows] == [f"{PAGE}{at}" for at in (2, 3, 5)]
    assert "1 done, and kept so" in left
    assert pages(call("requests", "--skipped", "--json")) == []
    answer = call("skip", "--url", "*/page/*", "--json")
    document = json.loads(answer.out)
    assert (document["requests"], document["urls"]) == (3, [])
    assert pages(call("requests", "--skipped", "--json")) == [2, 3, 5]
    assert pages(call("requests", "--state", "ignored", "--error", "skipped", "--json")) == [
        2,
        3,
        5,
    ]


def test_a_plain_retry_says_that_it_leaves_them_and_how_to_take_them(shop, call):
    call("skip", "--status", "500")
    answer = call("retry")
    assert answer.out.splitlines() == [
        "No request of shop#1 matches: nothing is changed",
        "Left alone: 1 ignored (--state ignored takes them); "
        "2 skipped for good (--skipped takes them)",
    ]
    assert json.loads(call("retry", "--state", "ignored", "--dry-run", "--json").out)["urls"] == [
        f"{PAGE}4"
    ]
    assert json.loads(call("retry", "--skipped", "--json").out)["requests"] == 2
    assert pages(call("requests", "--state", "pending", "--json")) == [2, 3, 5]


def test_a_job_without_failures_but_with_skips_passes_the_check(shop, call):
    call("skip", "--url", "*")
    shop.set_status("shop", "completed")
    assert call("status", "--check").code == 0
    assert "3 skipped for good" in call("status").out
    assert json.loads(call("show", "--json").out)["skipped"] == 3
    assert "3 skipped for good" in call("show").out


def test_a_live_job_is_told(shelf, call):
    job = shelf.begin("shop")
    shelf.crawl(job, pending=2)
    with shelf.listening(job):
        assert json.loads(call("skip", "--url", "*/2", "--json").out)["requests"] == 1
        assert json.loads(call("retry", "--skipped", "--json").out)["requests"] == 1
    assert pages(call("requests", "--state", "pending", "--json")) == [1, 2]


def fail_again(shelf, name, rows, attempts=2):
    """The job's next run fetches them, and they fail."""
    job = shelf.store.resume(JobKey(name, 1), shelf.opening())
    count = len(rows)
    batch = Batch(next_id=1_000, leasing=Leasing(wishes=[Wish("127.0.0.1", 10)]))
    leased = {row.id for row in job.commit(batch).leased}
    ends = [
        Finish(id=row, state=State.failed, attempts=attempts, error="HttpError", http_status=500)
        for row in rows
    ]
    assert leased >= set(rows)
    assert job.commit(Batch(next_id=1_000, finishes=ends)).counts.failed >= count
    job.close(_closing())


def _closing():
    from scrapy_resume.store.contract import Closing

    return Closing("paused", "shutdown")


ROUNDS = {"RESUME_RETRY_ROUNDS": 2}


def test_what_has_failed_in_each_round_is_left_alone_by_a_plain_retry(shop, call):
    for _ in range(2):
        assert json.loads(call("retry", "--url", "*/2", "--json", **ROUNDS).out)["requests"] == 1
        fail_again(shop, "shop", [2])
    answer = call("retry", **ROUNDS)
    assert answer.out.startswith("1 request of shop#1 is fetched again")
    assert (
        "1 failed in each of RESUME_RETRY_ROUNDS rounds of retry (--dead takes them)" in answer.out
    )
    assert pages(call("requests", "--state", "failed", "--json")) == [2]
    document = json.loads(call("retry", "--url", "*/2", "--json", **ROUNDS).out)
    assert (document["requests"], document["left"]) == (0, [{"state": "dead", "requests": 1}])
    assert json.loads(call("retry", "--dead", "--json", **ROUNDS).out)["requests"] == 1
    assert pages(call("requests", "--state", "pending", "--json")) == [2, 3, 5]


def test_without_rounds_nothing_is_a_dead_letter(shop, call):
    for _ in range(3):
        assert json.loads(call("retry", "--url", "*/2", "--json").out)["requests"] == 1
        fail_again(shop, "shop", [2])
    answer = call("retry", "--dead")
    assert (answer.code, answer.out) == (2, "")
    assert "RESUME_RETRY_ROUNDS is 0" in answer.err
    answer = call("retry", "--dead", "--state", "failed", **ROUNDS)
    assert answer.code == 2


def test_the_history_of_retries_by_day(shop, call):
    call("retry")
    fail_again(shop, "shop", [2])
    [day] = json.loads(call("report", "--json").out)["stages"][0]["history"]
    assert (day["rounds"], day["retried"]) == (1, 2)
    assert (day["attempts"], day["done"], day["failed"]) == (5, 1, 3)
    assert day["success_rate"] == 0.25
    assert "retries: 1 round, 2 requests" in call("report").out
