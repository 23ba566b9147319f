"""The soak: every way to interrupt a crawl, with many seeds. Prints a table.

    python -m tests.crash.soak --seeds 30

Exit code 0 if every crawl came through whole.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash import write_points
from tests.crash.judged import SPIDER, judged
from tests.crash.scenarios import ALL, SIGKILLS, Scenario
from tests.support.fixtures import plain_truth
from tests.support.launcher import Launcher
from tests.support.oracles import Truth, Verdict
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.tables import table

PAGES = 120
LATENCY_SECONDS = 0.02
OTHER_SEEDS_SHARE = 5
"""The scenarios beside the three SIGKILLs get a fifth of the seeds each."""

HEADINGS = (
    "scenario", "crawls", "unfinished", "items", "lost", "twice", "corrupt", "never fetched",
    "kills", "again: mean", "max", "allowed: mean", "oldest s", "unexplained", "seconds",
)  # fmt: skip


@dataclass
class Row:
    """The verdicts on one scenario, over its seeds."""

    scenario: Scenario
    verdicts: list[Verdict] = field(default_factory=list)
    unfinished: int = 0
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not self.unfinished and all(one.is_clean for one in self.verdicts)

    def cells(self) -> Iterator[str]:
        again = [kill.again.total() for one in self.verdicts for kill in one.kills]
        oldest = [kill.oldest_seconds for one in self.verdicts for kill in one.kills]
        allowed = [kill.allowed.total() for one in self.verdicts for kill in one.kills]
        yield self.scenario.name
        yield str(len(self.verdicts) + self.unfinished)
        yield str(self.unfinished)
        yield str(sum(one.expected for one in self.verdicts))
        yield str(sum(one.lost.total() for one in self.verdicts))
        yield str(sum(one.twice.total() for one in self.verdicts))
        yield str(sum(len(one.corrupt) for one in self.verdicts))
        yield str(sum(one.never_fetched.total() for one in self.verdicts))
        yield str(len(again))
        yield f"{sum(again) / max(1, len(again)):.1f}"
        yield str(max(again, default=0))
        yield f"{sum(allowed) / max(1, len(allowed)):.1f}"
        yield f"{max(oldest, default=0):.2f}"
        yield str(sum(one.unexplained.total() for one in self.verdicts))
        yield f"{self.seconds:.0f}"


def soaked(
    scenario: Scenario, seeds: int, *, truth: Truth, site: Site, folder: Path, launcher: Launcher
) -> Row:
    row = Row(scenario)
    began = time.monotonic()
    for seed in range(seeds):
        place = folder / scenario.name.replace(" ", "-") / str(seed)
        try:
            found = judged(scenario, seed, truth=truth, site=site, folder=place, launcher=launcher)
        except AssertionError as unfinished:
            row.unfinished += 1
            print(f"{scenario.name}, seed {seed}: {unfinished}", flush=True)
            continue
        row.verdicts.append(found)
        if not found.is_clean:
            print(f"{scenario.name}, seed {seed}: {found}, see {place}", flush=True)
    row.seconds = time.monotonic() - began
    return row


def soak(seeds: int, folder: Path) -> bool:
    """Runs all scenarios and prints their table; whether every verdict was clean."""
    rows = []
    with Site(folder, pages=PAGES, latency=LATENCY_SECONDS) as site, Launcher() as launcher:
        truth = plain_truth(SPIDER, site, Workplace(folder / "plain"), launcher)
        for scenario in ALL:
            if scenario.mode.unavailable:
                print(f"{scenario.name} left out: {scenario.mode.unavailable}")
                continue
            share = seeds if scenario is SIGKILLS else max(2, seeds // OTHER_SEEDS_SHARE)
            row = soaked(scenario, share, truth=truth, site=site, folder=folder, launcher=launcher)
            print(f"{scenario.name}: {share} seeds in {row.seconds:.0f} s", flush=True)
            rows.append(row)
        whole = every_write(site, folder, launcher)
    print("\n" + table(HEADINGS, [list(row.cells()) for row in rows]))
    return whole and all(row.is_clean for row in rows)


def every_write(site: Site, folder: Path, launcher: Launcher) -> bool:
    """Ends a small crawl at each of its writes, and at each of a recovery's first ones."""
    truth = plain_truth(write_points.SPIDER, site, Workplace(folder / "plain-small"), launcher)
    points = write_points.WritePoints(site, folder / "writes", truth.items, launcher)
    count = points.count()
    ended = points.of_first_runs(range(1, count + 1)) + points.of_recoveries(range(1, count // 2))
    for one in ended:
        if not one.is_whole:
            print(one, flush=True)
    reached = sum(one.reached for one in ended)
    broken = sum(not one.is_whole for one in ended)
    print(f"ended at {reached} write points (of {count} in a whole crawl): {broken} not whole")
    return not broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30, help="seeds of three SIGKILLs each")
    parser.add_argument("--folder", type=Path, help="where to keep what the crawls leave")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(0 if soak(options.seeds, folder) else 1)


if __name__ == "__main__":
    main()
