"""One interrupted crawl of the soak spider, held against a plain one."""

from __future__ import annotations

from pathlib import Path

from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from tests.crash.scenarios import Scenario
from tests.support.launcher import Launcher
from tests.support.oracles import Truth, Verdict, verdict
from tests.support.runs import Workplace, crawl_through, stored_items
from tests.support.site import Site

SPIDER = "soak"


def judged(
    scenario: Scenario, seed: int, *, truth: Truth, site: Site, folder: Path, launcher: Launcher
) -> Verdict:
    """Crawls through a scenario's kills in a new folder; the verdict on what came out."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Workplace(folder)
    log = site.begin(folder / "hits.jsonl")
    runs = crawl_through(
        SPIDER,
        scenario.kills(seed, len(truth.hits)),
        site=site,
        place=place,
        mode=scenario.mode,
        launcher=None if scenario.from_start else launcher,
    )
    assert open_location(place.location).verify(JobKey(SPIDER, 1)).violations == []
    return verdict(truth, stored_items(place, SPIDER), log.hits(), runs, place.store)
