"""What a spider shares between requests stays one object, and one piece of work over crashes."""

from __future__ import annotations

import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tests.support.kills import Kill, at_hits, random_kills
from tests.support.launcher import Launcher
from tests.support.oracles import compare
from tests.support.runs import Run, Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import JOB, Wanderings

FILLED = (
    *("dict", "meta", "item", "dataclass", "nested", "counter", "two", "lambda", "failing"),
    *("levels", "chain", "fanin", "followed", "start", "within"),
)
"""Shapes in which callbacks change what they share."""

KEPT = ("constant", "passed", "cache", "reused")
"""Shapes in which a callback changes nothing that another one depends on."""

SETTINGS = {"CONCURRENT_REQUESTS_PER_DOMAIN": 8, "RESUME_COMMIT_INTERVAL": 0.02}
LATENCY_SECONDS = 0.02

IN_HAND = 30
"""Pages that a kill may cost: in flight, or finished and not committed."""


class Sharings(Wanderings):
    """Runs of the spider in ``sharing.py``."""

    def __init__(self, site: Site, place: Workplace, launcher: Launcher) -> None:
        super().__init__(site, place, launcher)
        shutil.copy(REPO / "tests" / "support" / "sharing.py", self.spider)

    def crawl(self, shapes: Sequence[str], n: int = 4, parents: int = 2, **how: object) -> Run:
        words = ("-a", f"shape={','.join(shapes)}", "-a", f"n={n}", "-a", f"parents={parents}")
        return self.run(SETTINGS, *words, **how)

    def plain(self, shapes: Sequence[str], n: int = 4, parents: int = 2) -> Counter[str]:
        """The items that plain Scrapy gives."""
        feed = self.place.path / "plain.jsonl"
        run = self.scrapy(
            *("runspider", self.spider.name, "-a", f"site={self.site.url}", "-O", feed.name),
            *("-a", f"shape={','.join(shapes)}", "-a", f"n={n}", "-a", f"parents={parents}"),
            plain=True,
        )
        assert run.is_finished, run.tail()
        return Counter(map(canonical, map(json.loads, feed.read_text().splitlines())))

    def stored(self) -> Counter[str]:
        return Counter(map(canonical, self.items()))


def canonical(item: object) -> str:
    given = dict(item) if not isinstance(item, dict) else item  # type: ignore[call-overload]
    return json.dumps(given, sort_keys=True)


@pytest.fixture
def sharings(site: Site, place: Workplace, launcher: Launcher) -> Iterator[Sharings]:
    site.begin(place.path / "hits.jsonl", latency=LATENCY_SECONDS)
    yield Sharings(site, place, launcher)
    site.begin(place.path / "after.jsonl", latency=0.0)


def through(
    sharings: Sharings, kills: Sequence[Kill], shapes: Sequence[str], n: int = 4, parents: int = 1
) -> None:
    """Crawls until the job is completed; the first runs are killed."""
    for kill in kills:
        run = sharings.crawl(shapes, n, parents, kill=kill)
        if run.killed_at is None:
            break
    if sharings.job()["status"] != "completed":
        run = sharings.crawl(shapes, n, parents)
        assert run.is_finished, run.tail()
    assert sharings.job()["status"] == "completed"


def test_what_requests_share_stays_one_object_however_many_wait(sharings: Sharings) -> None:
    sharings.site.begin(sharings.place.path / "fast.jsonl", latency=0.0)
    shapes = (*FILLED, *KEPT)
    expected = sharings.plain(shapes, n=6)
    run = sharings.crawl(shapes, n=6)
    assert run.is_finished, run.tail()
    assert "Traceback" not in run.text, run.tail()
    difference = compare(expected, sharings.stored())
    assert not difference.lost, difference
    assert not difference.twice, difference


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 30))]
)
def test_killed_while_requests_share_something_its_items_are_plain_ones(
    sharings: Sharings, seed: int
) -> None:
    expected = sharings.plain(FILLED, parents=1)
    hits = len(sharings.site.log.hits())
    through(sharings, random_kills(seed, hits, 3), FILLED)
    difference = compare(expected, sharings.stored())
    assert not difference.lost, difference
    assert not difference.twice, difference


def test_stopped_while_requests_share_something_its_items_are_plain_ones(
    sharings: Sharings,
) -> None:
    shapes = ("dict", "levels", "counter")
    expected = sharings.plain(shapes, parents=1)
    kills = [at_hits(8, signum=signal.SIGTERM), at_hits(5, signum=signal.SIGINT)]
    through(sharings, kills, shapes)
    difference = compare(expected, sharings.stored())
    assert not difference.lost, difference
    assert not difference.twice, difference


@pytest.mark.parametrize("n", [100, pytest.param(1_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("shape", ["counter", pytest.param("start", marks=pytest.mark.soak)])
def test_killed_many_requests_fill_one_item(sharings: Sharings, shape: str, n: int) -> None:
    expected = sharings.plain([shape], n, parents=1)
    assert expected.total() == 1
    through(sharings, [at_hits(n // 2), at_hits(n)], [shape], n)
    assert sharings.stored() == expected


def test_killed_while_nobody_changes_what_is_shared_pages_stay_recorded(
    sharings: Sharings,
) -> None:
    shapes, n = ("constant", "passed"), 40
    expected = sharings.plain(shapes, n, parents=1)
    hits = len(sharings.site.log.hits())
    log = sharings.site.begin(sharings.place.path / "counted.jsonl", latency=LATENCY_SECONDS)
    through(sharings, [at_hits(hits * 2 // 3)], shapes, n)
    assert sharings.stored() == expected
    assert len(log.hits()) - hits <= IN_HAND


def test_a_chain_is_recorded_link_by_link(sharings: Sharings) -> None:
    """One item handed on over many pages is not begun anew after a kill."""
    n = 40
    expected = sharings.plain(["chain"], n, parents=1)
    log = sharings.site.begin(sharings.place.path / "counted.jsonl", latency=LATENCY_SECONDS)
    killed = sharings.crawl(["chain"], n, parents=1, kill=at_hits(30))
    assert killed.killed_at is not None
    last = sharings.crawl(["chain"], n, parents=1)
    assert last.is_finished, last.tail()
    assert sharings.stored() == expected
    assert len(log.hits()) <= n + 1 + 3


def test_the_object_of_a_callback_is_that_of_the_spider(sharings: Sharings) -> None:
    run = sharings.crawl(["cache"], n=60)
    assert run.is_finished, run.tail()
    assert {item["same"] for item in sharings.items()} == {True}


@pytest.mark.soak
def test_a_page_that_is_retried_without_the_others_keeps_what_they_gave(
    sharings: Sharings,
) -> None:
    first = sharings.crawl(["dict"], parents=1)
    assert first.is_finished, first.tail()
    before = sharings.stored()
    assert before.total() == 1
    (last,) = (row["url"] for row in sharings.requests() if row["items"])

    retried = sharings.scrapy("resume", "retry", JOB, "--state", "done", "--url", last)
    assert retried.exit_code == 0, retried.tail()
    run = sharings.crawl(["dict"], parents=1)
    assert run.is_finished, run.tail()
    assert sharings.stored() == before
    (row,) = sharings.requests(state="failed")
    assert (row["url"], row["error"]) == (last, "OthersNotFetchedError")
    assert "without 3 other requests that share 'item'" in run.text

    together = sharings.scrapy(
        *("resume", "retry", JOB, "--state", "done", "--state", "failed", "--url", "*/leaf/1*")
    )
    assert together.exit_code == 0, together.tail()
    run = sharings.crawl(["dict"], parents=1)
    assert run.is_finished, run.tail()
    assert sharings.stored() == before
    assert not sharings.requests(state="failed")
