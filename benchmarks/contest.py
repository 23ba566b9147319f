"""What each way to keep a crawl's requests costs: Scrapy in memory, JOBDIR, scrapy-redis,
scrapy-resume.

    python benchmarks/contest.py --rounds 20 --pages 5000 --links 20 --reading usual
    python benchmarks/contest.py --suite all --record contest.jsonl

Each round runs every contestant once on the same local site, in another order each time. The
CPU is user and system time of the crawl's process; a database or Redis server's own is not in
it. Ratios are to plain Scrapy, of medians and of minima, with the 95 % interval of the ratio of
medians over resampled rounds (bootstrap, percentiles, 10,000 samples).

A suite is several configurations, with a table for each; what else is said (``--rounds``,
``--pages``) goes before what the suite says. With ``--record`` each round is written to that file
when it has ended, and those that are in it are not made again, if they are of the same program
and machine.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.contestants import CONTESTANTS
from benchmarks.support.measured import crawl_words, end_in_order, load, measured
from benchmarks.support.record import Record, Result, Round, machine
from benchmarks.support.site import FastSite
from benchmarks.support.suites import ONE, READINGS, SUITES, Configuration, Suite
from tests.support.tables import table

HEADINGS = (
    "", "pages/CPU s", "of medians", "of minima", "95 %", "wall", "peak MB", "kept B/page",
)  # fmt: skip
SAMPLES = 10_000
PLAIN = "plain"
GIVEN = ("pages", "links", "reading", "hosts", "latency")
"""Options that go before what a suite says."""


def crawled(name: str, server: Any, site: FastSite, configuration: Configuration) -> Result:
    """Fails unless the crawl has taken all pages."""
    contestant = CONTESTANTS[name]
    with tempfile.TemporaryDirectory() as folder:
        prepared = contestant.prepare(server, Path(folder))
        words = crawl_words("linked", site.url, "unused", {"reading": configuration.reading})
        given = dict(setting.split("=", 1) for setting in configuration.settings)
        for setting, value in {**prepared.settings, **given}.items():
            words += ["-s", f"{setting}={value}"]
        began = time.monotonic()
        cost = measured(words, Path(folder) / "crawl.log", plain=not contestant.addon)
        wall_seconds = time.monotonic() - began
        taken = cost.stat("item_scraped_count")
        if taken != configuration.pages:
            raise SystemExit(f"{name} took {taken:.0f} pages of {configuration.pages}")
        return Result(cost.cpu_seconds, cost.peak_bytes, wall_seconds, prepared.kept_bytes())


def contest(
    configuration: Configuration, rounds: int, contestants: Sequence[str], record: Record
) -> None:
    """Adds to the record what it lacks of so many rounds."""
    made = len(record.rounds(configuration, contestants))
    if made >= rounds:
        return
    with ExitStack() as stack:
        site = stack.enter_context(
            FastSite(
                configuration.pages,
                links=configuration.links,
                hosts=configuration.hosts,
                page_latency=configuration.latency,
            )
        )
        servers = {name: stack.enter_context(CONTESTANTS[name].server()) for name in contestants}
        for number in range(made, rounds):
            order = random.Random(number).sample(contestants, len(contestants))
            results = {name: crawled(name, servers[name], site, configuration) for name in order}
            record.add(configuration, results)
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)


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


def row(name: str, rounds: Sequence[Mapping[str, Result]], pages: int) -> list[str]:
    cpu, plain_cpu = ([found[who].cpu_seconds for found in rounds] for who in (name, PLAIN))
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
        f"{median(found.peak_bytes for found in mine) / 1e6:.0f}",
        f"{median(found.kept_bytes for found in mine) / pages:.0f}",
    ]


def told(configuration: Configuration, rounds: Sequence[Round], contestants: Sequence[str]) -> str:
    """The table, and what it is about."""
    results = [found.results for found in rounds]
    rows = [row(name, results, configuration.pages) for name in contestants]
    dates = sorted({found.date for found in rounds})
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    about = f"{configuration}; {len(rounds)} rounds, {days}, {machine()}"
    return f"{about}\n{table(HEADINGS, rows)}"


def suites_of(name: str | None) -> Sequence[Suite]:
    if name is None:
        return [ONE]
    return list(SUITES.values()) if name == "all" else [SUITES[name]]


def planned(options: argparse.Namespace) -> dict[Configuration, int]:
    """What is to be crawled, and in how many rounds."""
    given = {name: getattr(options, name) for name in GIVEN if getattr(options, name) is not None}
    plan: dict[Configuration, int] = {}
    for suite in suites_of(options.suite):
        for configuration in suite.configurations:
            settings = (*configuration.settings, *options.set)
            chosen = replace(configuration, **given, settings=settings)
            plan.setdefault(chosen, options.rounds or suite.rounds)
    return plan


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    one = ONE.configurations[0]
    parser.add_argument("--suite", choices=[*SUITES, "all"])
    parser.add_argument("--rounds", type=int, help=f"{ONE.rounds} if there is no suite")
    parser.add_argument("--pages", type=int, help=f"{one.pages} if there is no suite")
    parser.add_argument("--links", type=int, help=f"a page ({one.links}); 1: a chain")
    parser.add_argument("--reading", choices=READINGS, help=one.reading)
    parser.add_argument("--hosts", type=int, help=str(one.hosts))
    parser.add_argument("--latency", type=float, help="seconds, of each page; none")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--contestants", nargs="*", choices=list(CONTESTANTS), default=list(CONTESTANTS)
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="JSON lines, one a round")
    options = parser.parse_args()
    if PLAIN not in options.contestants:
        parser.error("the others are measured against plain: add it to --contestants")
    return options


def main() -> None:
    end_in_order()
    options = parsed()
    record = Record(options.record)
    for configuration, wanted in planned(options).items():
        before = load()
        made = len(record.rounds(configuration, options.contestants))
        contest(configuration, wanted, options.contestants, record)
        rounds = record.rounds(configuration, options.contestants)
        print(told(configuration, rounds, options.contestants))
        if made:
            print(f"{made} of the rounds were in {options.record}")
        print(f"{before} before, {load()} after\n", flush=True)


if __name__ == "__main__":
    main()
