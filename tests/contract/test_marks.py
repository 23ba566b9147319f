"""What the engine holds is known to the server when it is said to be."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from scrapy_resume.model import Phase

from .conftest import Place
from .records import admission


def test_who_is_told_that_a_mark_is_known_finds_it_there_whatever_is_committed_meanwhile(
    shared_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shared_place.begin()
    run.admit(*(admission(row, lease=True) for row in (1, 2)))
    run.die()
    run = shared_place.resume()
    assert run.session.crashed
    job: Any = run.job
    inside, go_on = threading.Event(), threading.Event()
    find_slots = job._others.find_slots

    def slow(*args: Any) -> None:
        inside.set()
        assert go_on.wait(20)
        find_slots(*args)

    monkeypatch.setattr(job._others, "find_slots", slow)
    commit = threading.Thread(target=run.commit)
    commit.start()
    assert inside.wait(20)
    job.mark(1, Phase.answered)
    deadline = time.monotonic() + 20
    while not lock_is_waited_for(job):
        assert time.monotonic() < deadline
    job._marks.mark(2, Phase.answered)
    told = threading.Event()
    assert not job.when_marked(told.set)
    go_on.set()
    commit.join(20)
    assert told.wait(20)
    with job._link.alone() as connection:
        known = connection.execute(
            "SELECT answered FROM scrapy_resume.run WHERE number = %s", (run.session.run,)
        ).fetchall()
    assert known == [([1, 2],)]
    assert not job._marks.changed


def lock_is_waited_for(job: Any) -> bool:
    with job._link.alone() as connection:
        return bool(
            connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            ).fetchall()
        )
