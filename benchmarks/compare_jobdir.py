"""What interruptions cost: Scrapy's JOBDIR and scrapy-resume, in the same harness.

    python benchmarks/compare_jobdir.py --seeds 10

The same spider, the same site, the same kills; the same command again after each. For
JOBDIR the items are those of a JSON Lines feed, as its users have it; a line that is no
JSON counts as torn. For scrapy-resume they are the items of its store.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.crash.judged import SPIDER
from tests.crash.scenarios import SIGKILLS, SIGTERM, SIGTERM_TWICE, Scenario
from tests.support.canonical import canonical
from tests.support.fixtures import plain_truth
from tests.support.kills import Kill
from tests.support.launcher import Launcher
from tests.support.oracles import Truth, compare
from tests.support.runs import (
    Run,
    Workplace,
    crawl_words,
    is_completed,
    stored_items,
    watched,
)
from tests.support.site import Site
from tests.support.tables import table

SCENARIOS = [SIGKILLS, SIGTERM_TWICE[0], SIGTERM[0]]
PAGES = 240
LATENCY_SECONDS = 0.05
HUNG_SECONDS = 40.0
HEADINGS = ("", "interruption", "crawls", "items", "lost", "twice", "torn", "hung", "says finished")


@dataclass
class Sum:
    """What all crawls of one contestant came to, under one way to interrupt them."""

    crawls: int = 0
    expected: int = 0
    lost: int = 0
    twice: int = 0
    torn: int = 0
    hung: int = 0
    finished: int = 0

    def add(self, truth: Truth, items: Counter[str], torn: int, last: Run) -> None:
        difference = compare(truth.items, items)
        self.crawls += 1
        self.expected += truth.items.total()
        self.lost += difference.lost.total()
        self.twice += difference.twice.total()
        self.torn += torn
        self.finished += last.is_finished
        self.hung += last.exit_code == -9

    def cells(self) -> list[str]:
        numbers = (self.crawls, self.expected, self.lost, self.twice, self.torn, self.hung)
        return [*map(str, numbers), f"{self.finished} of {self.crawls}"]


def fed_items(feed: Path) -> tuple[Counter[str], int]:
    """The items of a JSON Lines feed, and how many of its lines are no JSON."""
    items: Counter[str] = Counter()
    torn = 0
    for line in feed.read_text().splitlines() if feed.exists() else []:
        try:
            items[canonical(json.loads(line))] += 1
        except json.JSONDecodeError:
            torn += 1
    return items, torn


@dataclass(frozen=True)
class Contest:
    """The site, the plain truth and the launcher that all crawls share."""

    site: Site
    truth: Truth
    launcher: Launcher

    def interrupted(
        self, place: Workplace, kills: Sequence[Kill], words: list[str], *, plain: bool
    ) -> Run:
        """The same command through all kills, until it ends by itself; the last run."""
        place.path.mkdir(parents=True)
        self.site.begin(place.path / "hits.jsonl")
        for kill in [*kills, None]:
            run = watched(
                words,
                site=self.site,
                log=place.next_log(),
                plain=plain,
                kill=kill,
                launcher=self.launcher,
                timeout_seconds=HUNG_SECONDS,
            )
            if run.is_finished or (not plain and is_completed(place, SPIDER)):
                break
        return run

    def jobdir(self, scenario: Scenario, seeds: int, folder: Path) -> Sum:
        total = Sum()
        for seed in range(seeds):
            place = Workplace(folder / str(seed))
            feed = place.path / "items.feed.jsonl"
            settings = {"JOBDIR": place.path / "job", **scenario.mode.settings}
            words = crawl_words(SPIDER, place, plain=True, settings=settings)
            words += ["-o", str(feed)]
            kills = scenario.kills(seed, len(self.truth.hits))
            last = self.interrupted(place, kills, words, plain=True)
            total.add(self.truth, *fed_items(feed), last)
        return total

    def resume(self, scenario: Scenario, seeds: int, folder: Path) -> Sum:
        total = Sum()
        for seed in range(seeds):
            place = Workplace(folder / str(seed))
            words = crawl_words(SPIDER, place, mode=scenario.mode)
            kills = scenario.kills(seed, len(self.truth.hits))
            last = self.interrupted(place, kills, words, plain=False)
            total.add(self.truth, stored_items(place, SPIDER), 0, last)
        return total


def compared(seeds: int, folder: Path) -> str:
    rows = []
    with Site(folder, pages=PAGES, latency=LATENCY_SECONDS) as site, Launcher() as launcher:
        truth = plain_truth(SPIDER, site, Workplace(folder / "plain"), launcher)
        contest = Contest(site, truth, launcher)
        for name, contestant in (("JOBDIR", contest.jobdir), ("scrapy-resume", contest.resume)):
            for number, scenario in enumerate(SCENARIOS):
                total = contestant(scenario, seeds, folder / name / str(number))
                rows.append([name, scenario.name.partition(",")[0], *total.cells()])
                print(f"{name}, {scenario.name}: done", file=sys.stderr, flush=True)
    return table(HEADINGS, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="crawls of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(compared(options.seeds, Path(folder)))


if __name__ == "__main__":
    main()
