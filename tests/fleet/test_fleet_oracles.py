"""The oracles of the fleet tests see what they are there to see."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.support.fleet_oracles import (
    Death,
    Rules,
    at_a_time,
    fleet_verdict,
    most_at_once,
    seconds_until_back,
    shortest_gap,
    was_sent,
)
from tests.support.hosts_graph import HostGraph, Links, Spread
from tests.support.hosts_site import HostHit

HOST = "127.0.1.1"
KILLED = Death("w1", 10.0)


def asked(
    page: int,
    at: float,
    answered_at: float | None,
    worker: str = "w1",
    sent_at: float | None = None,
) -> HostHit:
    return HostHit(
        page, f"/page/{page}", "GET", at, answered_at, host=HOST, worker=worker, sent_at=sent_at
    )


def test_page_in_hand_at_a_kill_may_be_fetched_again_by_another_worker() -> None:
    hits = [asked(0, 1, 2), asked(1, 9.9, None), asked(1, 12.5, 13, "w2")]
    found = fleet_verdict(range(2), Counter([0, 1]), hits, [KILLED])
    assert found.is_clean, str(found)
    assert seconds_until_back(hits, KILLED) == [2.5]


def test_page_in_hand_of_a_worker_that_lives_may_not() -> None:
    hits = [asked(0, 1, 2), asked(1, 9.9, None, "w3"), asked(1, 12.5, 13, "w2")]
    found = fleet_verdict(range(2), Counter([0, 1]), hits, [KILLED])
    assert found.is_whole
    assert not found.is_clean
    assert "page 1 on 127.0.1.1" in str(found)


def test_page_answered_long_before_a_kill_may_not() -> None:
    hits = [asked(0, 1, 2), asked(1, 3, 4), asked(1, 12.5, 13, "w2")]
    assert not fleet_verdict(range(2), Counter([0, 1]), hits, [KILLED]).is_clean


def test_what_a_worker_had_sent_last_before_a_kill_may_be_fetched_again() -> None:
    hits = [asked(0, 1, 2), asked(1, 3, 4), asked(1, 12.5, 13, "w2")]
    numbered = [replace(hit, number=place) for place, hit in enumerate(hits)]
    for in_hand, explained in ((0, False), (1, True)):
        death = replace(KILLED, in_hand=in_hand)
        assert fleet_verdict(range(2), Counter([0, 1]), numbered, [death]).is_clean is explained
    older = [numbered[1], replace(numbered[0], asked_at=5.0), numbered[2]]
    assert not fleet_verdict(
        range(2), Counter([0, 1]), older, [replace(KILLED, in_hand=1)]
    ).is_clean


def test_lost_doubled_and_never_fetched_pages_are_seen() -> None:
    found = fleet_verdict(range(3), Counter([0, 0, 1]), [asked(0, 1, 2), asked(1, 1, 2)])
    assert (found.lost, found.twice, found.never_fetched) == (Counter([2]), Counter([0]), {2})
    assert not found.is_whole


def test_more_at_once_than_one_worker_may_are_seen() -> None:
    hits = [asked(0, 1, 2), asked(1, 1.5, 2.5, "w2"), asked(2, 2, 3)]
    assert most_at_once(hits, HOST) == 2
    assert Rules(5).broken(hits), "two workers"
    assert not Rules(1).broken([hits[0], hits[2]])
    assert Rules(0).broken([hits[0]])
    assert [(one.page, other.page) for one, other in at_a_time(hits, HOST)] == [(0, 1), (1, 2)]


def test_delay_is_measured_where_it_is_kept() -> None:
    hits = [asked(0, 1.06, 1.1, sent_at=1.0), asked(1, 1.1, 1.2, "w2", sent_at=1.1)]
    assert shortest_gap(hits, HOST) == pytest.approx(0.04)
    assert shortest_gap(hits, HOST, was_sent) == pytest.approx(0.1)
    assert not Rules(8, delay_seconds=0.1).broken(hits)
    [fault] = Rules(8, delay_seconds=0.2).broken(hits)
    assert "page 0 by w1 sent 1.000, answered 1.100, then page 1 by w2 sent 1.100" in fault


@pytest.mark.parametrize("spread", ["even", "uneven"])
@pytest.mark.parametrize("links", ["tree", "chain"])
def test_all_pages_hang_together_and_every_host_has_some(spread: Spread, links: Links) -> None:
    graph = HostGraph(hosts=7, pages=100, spread=spread, links=links)
    assert HostGraph.parse(str(graph)) == graph
    known, open_pages = {0}, [0]
    while open_pages:
        fresh = set(graph.links_of(open_pages.pop())) - known
        known |= fresh
        open_pages += fresh
    assert known == set(range(100))
    assert {graph.host_of(page) for page in known} == set(graph.host_names)
