"""How long hosts take to answer, from counts that do not grow with the responses."""

from __future__ import annotations

import json
import random
from statistics import quantiles

import pytest

from scrapy_resume.reporting.latencies import (
    BOUNDS,
    HOSTS_AT_MOST,
    KEPT,
    OTHERS,
    Latencies,
    latencies_of,
)


def runs_of(*found: Latencies) -> list[dict[str, object]]:
    return [{"custom": json.loads(json.dumps({KEPT: one.counts()}))} for one in found]


def test_quantiles_are_at_most_a_fifth_off() -> None:
    chance = random.Random(7)
    seconds = [chance.lognormvariate(-1.5, 1.0) for _ in range(2_000)]
    latencies = Latencies()
    for one in seconds:
        latencies.add("shop.example", one)
    (row,) = latencies_of(runs_of(latencies))
    exact = quantiles(seconds, n=100)
    assert row["count"] == 2_000
    assert row["median_seconds"] == pytest.approx(exact[49], rel=0.2)
    assert row["p95_seconds"] == pytest.approx(exact[94], rel=0.2)


def test_runs_are_added_up_and_most_asked_hosts_are_first() -> None:
    first, second = Latencies(), Latencies()
    first.add("a", 0.1)
    for _ in range(3):
        second.add("b", 2.0)
    second.add("a", 0.1)
    rows = latencies_of([*runs_of(first, second), {}, {"custom": {"custom/x": 1}}])
    assert [(row["host"], row["count"]) for row in rows] == [("b", 3), ("a", 2)]


def test_of_many_hosts_the_later_ones_are_counted_together() -> None:
    latencies = Latencies()
    for at in range(HOSTS_AT_MOST + 500):
        latencies.add(f"host-{at}", 0.1)
        latencies.add(f"host-{at}", None)
    rows = latencies_of(runs_of(latencies))
    assert len(rows) == HOSTS_AT_MOST + 1
    assert rows[-1]["host"] == OTHERS
    assert rows[-1]["count"] == 500


@pytest.mark.parametrize("seconds", [0.0, 1e-9, BOUNDS[0], BOUNDS[-1], 1e9])
def test_any_time_has_its_step(seconds: float) -> None:
    latencies = Latencies()
    latencies.add("a", seconds)
    (row,) = latencies_of(runs_of(latencies))
    assert 0 < row["median_seconds"] <= row["p95_seconds"] <= BOUNDS[-1]
