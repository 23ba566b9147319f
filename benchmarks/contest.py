"""What each way to keep a crawl's requests costs: Scrapy in memory, JOBDIR, scrapy-redis,
scrapy-resume.

    python benchmarks/contest.py --rounds 20 --pages 5000 --links 20 --reading usual

Each round runs every contestant once on the same local site, in another order each time. The
CPU is user and system time of the crawl's process; a database or Redis server's own is not in
it. Ratios are to plain Scrapy, of medians and of minima, with the 95 % interval of the ratio of
medians over resampled rounds (bootstrap, percentiles, 10,000 samples).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.contestants import CONTESTANTS
from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.site import FastSite
from tests.support.tables import table

HEADINGS = (
    "", "pages/CPU s", "of medians", "of minima", "95 %", "wall", "peak MB", "kept B/page",
)  # fmt: skip
SAMPLES = 10_000
PLAIN = "plain"


@dataclass(frozen=True)
class Result:
    """One crawl."""

    cost: Cost
    wall_seconds: float
    kept_bytes: float


Rounds = Sequence[Mapping[str, Result]]


def crawled(name: str, server: Any, site: FastSite, options: argparse.Namespace) -> Result:
    """Fails unless the crawl has taken all pages."""
    contestant = CONTESTANTS[name]
    with tempfile.TemporaryDirectory() as folder:
        prepared = contestant.prepare(server, Path(folder))
        words = crawl_words("linked", site.url, "unused", {"reading": options.reading})
        given = dict(setting.split("=", 1) for setting in options.set)
        for setting, value in {**prepared.settings, **given}.items():
            words += ["-s", f"{setting}={value}"]
        began = time.monotonic()
        cost = measured(words, Path(folder) / "crawl.log", plain=not contestant.addon)
        wall_seconds = time.monotonic() - began
        taken = cost.stat("item_scraped_count")
        if taken != options.pages:
            raise SystemExit(f"{name} took {taken:.0f} pages of {options.pages}")
        return Result(cost, wall_seconds, prepared.kept_bytes())


def contest(options: argparse.Namespace) -> Rounds:
    rounds = []
    with ExitStack() as stack:
        site = stack.enter_context(
            FastSite(
                options.pages,
                links=options.links,
                hosts=options.hosts,
                page_latency=options.latency,
            )
        )
        servers = {
            name: stack.enter_context(CONTESTANTS[name].server()) for name in options.contestants
        }
        for number in range(options.rounds):
            order = random.Random(number).sample(options.contestants, len(options.contestants))
            rounds.append({name: crawled(name, servers[name], site, options) for name in order})
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return rounds


def interval(ours: Sequence[float], plain: Sequence[float]) -> tuple[float, float]:
    """The middle 95 % of the ratio of medians, over rounds drawn with replacement."""
    chance = random.Random(0)
    rounds = range(len(ours))
    ratios = []
    for _ in range(SAMPLES):
        drawn = chance.choices(rounds, k=len(rounds))
        ratios.append(median(ours[n] for n in drawn) / median(plain[n] for n in drawn))
    ratios.sort()
    return ratios[int(0.025 * SAMPLES)], ratios[int(0.975 * SAMPLES)]


def row(name: str, rounds: Rounds, pages: int) -> list[str]:
    cpu, plain_cpu = ([found[who].cost.cpu_seconds for found in rounds] for who in (name, PLAIN))
    wall, plain_wall = (
        median(found[who].wall_seconds for found in rounds) for who in (name, PLAIN)
    )
    low, high = interval(cpu, plain_cpu)
    mine = [found[name] for found in rounds]
    return [
        name,
        f"{pages / median(cpu):.0f}",
        f"{median(cpu) / median(plain_cpu):.3f}",
        f"{min(cpu) / min(plain_cpu):.3f}",
        f"{low:.3f} to {high:.3f}" if name != PLAIN else "",
        f"{wall / plain_wall:.3f}",
        f"{median(found.cost.peak_bytes for found in mine) / 1e6:.0f}",
        f"{median(found.kept_bytes for found in mine) / pages:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--pages", type=int, default=5_000)
    parser.add_argument("--links", type=int, default=20, help="links a page; 1: a chain")
    parser.add_argument("--reading", choices=["cheap", "usual"], default="usual")
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds, of each page")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--contestants", nargs="*", choices=list(CONTESTANTS), default=list(CONTESTANTS)
    )
    options = parser.parse_args()
    if PLAIN not in options.contestants:
        parser.error("the others are measured against plain: add it to --contestants")
    before = load()
    rounds = contest(options)
    rows = [row(name, rounds, options.pages) for name in options.contestants]
    print(
        f"{options.pages:,} pages, {options.links} links a page, {options.reading} callback, "
        f"{options.hosts} hosts, latency {options.latency:g} s, {options.rounds} rounds"
    )
    print(f"{table(HEADINGS, rows)}\n{before} before, {load()} after")


if __name__ == "__main__":
    main()
