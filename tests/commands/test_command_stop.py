from __future__ import annotations

import json


def test_the_owner_is_asked_and_waited_for(shelf, call):
    job = shelf.begin()
    with shelf.listening(job) as heard:
        answer = call("stop", "--json")
    assert (answer.code, answer.err) == (0, "")
    document = json.loads(answer.out)
    assert document.pop("seconds") >= 0
    assert document == {
        "job": "books#1",
        "asked": ["host:7"],
        "stopped": True,
        "status": "paused",
        "reason": "shutdown",
    }
    assert [orders.stop for orders in heard] == [True]


def test_people_are_told_how_it_ended(shelf, call):
    job = shelf.begin()
    with shelf.listening(job):
        answer = call("stop", "books")
    assert answer.code == 0
    assert answer.out.startswith("books#1 has stopped after ")
    assert answer.out.endswith(" s: it is paused (shutdown)\n")


def test_an_owner_that_takes_longer_is_named(shelf, call):
    shelf.begin()
    answer = call("stop", "--timeout", "0.1", "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["stopped"] is False
    assert answer.err.count("\n") == 1
    assert "host:7 has not stopped" in answer.err
    assert call("status", "--json").code == 0


def test_without_a_timeout_nobody_is_waited_for(shelf, call):
    job = shelf.begin()
    answer = call("stop", "--timeout", "0")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "host:7 is asked to stop crawling books#1\n"
    assert job.orders().stop


def test_a_job_that_nobody_crawls_is_not_running(shelf, call):
    shelf.close(shelf.begin(), "paused", "shutdown")
    answer = call("stop")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "books#1 is not running: it is paused (shutdown)\n"
    assert json.loads(call("stop", "--json").out)["asked"] == []


def test_a_timeout_below_0_is_wrong_usage(shelf, call):
    shelf.begin()
    for value in ("-1", "nan", "soon"):
        assert call("stop", f"--timeout={value}").code == 2
