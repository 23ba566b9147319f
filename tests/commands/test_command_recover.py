from __future__ import annotations

import json


def test_what_a_dead_worker_held_is_taken_back(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, leased=3, pending=1)
    shelf.crash(job)
    answer = call("recover")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "3 requests of books#1 are taken back from host:7\n"
    status = json.loads(call("status", "--json").out)
    assert (status["status"], status["reason"]) == ("paused", "recovered")
    assert status["requests"]["pending"] == 4
    assert status["runs"][0]["status"] == "crashed"


def test_json_tells_whose_and_how_many(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, leased=2)
    shelf.crash(job)
    answer = call("recover", "books#1", "--json")
    assert json.loads(answer.out) == {
        "job": "books#1",
        "workers": ["host:7"],
        "requests": 2,
        "parked": 0,
        "alive": [],
        "status": "paused",
    }


def test_a_live_job_is_left_to_its_owner(shelf, call):
    shelf.crawl(shelf.begin(), leased=2)
    answer = call("recover")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "No dead worker holds requests of books#1: it is running",
        "Live workers: host:7",
    ]
    assert json.loads(call("status", "--json").out)["requests"]["leased"] == 2


def test_a_job_at_rest_has_nothing_to_take_back(shelf, call):
    shelf.close(shelf.begin())
    answer = call("recover")
    assert answer.code == 0
    assert "it is completed (finished)" in answer.out
    assert json.loads(call("status", "--json").out)["status"] == "completed"
