"""A worker whose spider closes before its scheduler is opened."""

from __future__ import annotations

import json
import time

from tests.fleet.conftest import NewFleet
from tests.support.fleet import SLOWLY
from tests.support.hosts_graph import HostGraph
from tests.support.refusing_start import PATH, REASON

CLOSE_TIMEOUT_SECONDS = 30


def test_a_worker_that_closes_before_it_has_started_pauses_the_job_at_once(
    new_fleet: NewFleet,
) -> None:
    settings = {**SLOWLY, "RESUME_CLOSE_TIMEOUT": CLOSE_TIMEOUT_SECONDS, "RESUME_HOSTS": "shared"}
    fleet = new_fleet(HostGraph(hosts=4, pages=100), settings=settings)
    [first] = fleet.start(1)
    fleet.wait_for_hits(20)
    first.end_gracefully()
    assert first.process.wait(20) == 0, fleet.story()
    began_at = time.monotonic()
    [second] = fleet.start(1, SPIDER_MIDDLEWARES=json.dumps({PATH: 500}))
    assert second.process.wait(CLOSE_TIMEOUT_SECONDS) == 0, second.tail()
    assert time.monotonic() - began_at < CLOSE_TIMEOUT_SECONDS / 2, second.tail()
    status = fleet.status()
    assert (status["status"], status["reason"]) == ("paused", REASON), second.tail()
    assert "AttributeError" not in second.text, second.tail()
    fleet.start(1)
    fleet.expect_success(but=[first, second])
    fleet.expect_completed()
    assert fleet.verdict().is_clean, fleet.story()
