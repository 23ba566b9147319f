"""What requests share stays with the worker that has it, and is filled anew if that one dies."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from scrapy_resume import open_store
from tests.crawl.test_shared_values import LATENCY_SECONDS, SETTINGS, Sharings, canonical
from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.wanderings import JOB

SHAPES = ("dict", "counter", "levels", "fanin", "chain", "constant")
SHARED_HOST = {"RESUME_HOSTS": "shared", "RESUME_ORPHAN_TIMEOUT": 3, "CONCURRENT_REQUESTS": 4}


@pytest.mark.soak
def test_killed_beside_another_worker_its_items_are_plain_ones(
    site: Site, place: Workplace, launcher: Launcher, postgres_url: str
) -> None:
    site.begin(place.path / "hits.jsonl", latency=LATENCY_SECONDS)
    sharings = Sharings(site, place, launcher)
    expected = sharings.plain(SHAPES, parents=3)
    hits = len(site.log.hits())
    settings = {**SETTINGS, **SHARED_HOST, "RESUME_STORE": postgres_url}
    words = ("-a", f"shape={','.join(SHAPES)}", "-a", "n=4", "-a", "parents=3")
    with ThreadPoolExecutor(2) as workers:
        killed = workers.submit(sharings.run, settings, *words, kill=at_hits(hits // 3))
        other = workers.submit(sharings.run, settings, *words)
        runs = [killed.result(), other.result()]
    assert [run.killed_at is not None for run in runs] == [True, False]
    assert runs[1].is_finished, runs[1].tail()
    store = open_store(postgres_url)
    assert store.job(f"{JOB}#1")["status"] == "completed"
    assert Counter(map(canonical, store.items(f"{JOB}#1"))) == expected
    site.begin(place.path / "after.jsonl", latency=0.0)
