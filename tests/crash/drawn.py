"""Crawls that are drawn from a seed: plain, with the package, killed; what differs.

    python -m tests.crash.drawn --seeds 0 100

Exit code 0 if every seed gave what plain Scrapy gives.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from tests.crash.seeds import Tried, try_seeds
from tests.support.canonical import canonical
from tests.support.kills import Kill, after_seconds, at_hits, in_turn, twice, when_logged
from tests.support.launcher import Launcher
from tests.support.oracles import compare
from tests.support.postgres import PostgresServer
from tests.support.reactors import ASYNCIO, MODES, Mode
from tests.support.runs import (
    Run,
    Workplace,
    crawl,
    is_completed,
    job_store,
    reach_project,
    recorded_items,
    stored_items,
)
from tests.support.site import Hit, Site
from tests.support.stores import VARIABLE, on_postgres

reach_project()

from kinds.drawn import World, drawn  # noqa: E402 - of the project
from kinds.drawnpages import ADDRESSES, JOB  # noqa: E402 - of the project

TIMEOUT_SECONDS = 40.0
FEED_FORMATS = ("json", "jsonl")
RETRIED = {0, 429, 500, 503}


@dataclass(frozen=True)
class Interruption:
    """One run that does not come to its end: by a kill, or by settings of its own."""

    kill: Kill | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    """For the environment."""
    graceful: bool = False


@dataclass
class Trial:
    """One seed."""

    seed: int
    site: Site
    folder: Path
    launcher: Launcher
    mode: Mode = ASYNCIO

    def __post_init__(self) -> None:
        self.world: World = drawn(self.seed)
        self.interruptions: list[Interruption] = []
        self.latency = random.Random(f"site {self.seed}").choice([0.0, 0.005, 0.02])

    def run(self, place: Workplace, plain: bool, interruption: Interruption | None = None) -> Run:
        given = interruption or Interruption()
        settings = {**self.world.settings(), **given.settings}
        if self.seed % 3 == 0 and not plain:
            feeds = {f"feed.{kind}": {"format": kind} for kind in FEED_FORMATS}
            settings["FEEDS"] = json.dumps({str(place.path / k): v for k, v in feeds.items()})
        if self.seed % 3 == 1 and self.interruptions:
            settings["RESUME_CRASH_LIMIT"] = len(self.interruptions)
        return crawl(
            JOB,
            site=self.site,
            place=place,
            plain=plain,
            settings=settings,
            args={"seed": self.seed},
            mode=self.mode,
            kill=given.kill,
            extra=given.extra,
            launcher=self.launcher,
            timeout_seconds=TIMEOUT_SECONDS,
        )

    def begin(self, name: str) -> Workplace:
        place = Workplace(self.folder / name)
        self.site.begin(place.path / "hits.jsonl", latency=self.latency)
        return place

    def plain(self, name: str = "plain") -> tuple[Counter[str], list[Hit], float]:
        place = self.begin(name)
        run = self.run(place, plain=True)
        assert run.is_finished, run.tail()
        return recorded_items(place), self.site.hits(), run.ended_at - run.started_at

    def complaints(self) -> Iterator[str]:
        """What differs from plain Scrapy; nothing if all is well."""
        items, hits, seconds = self.plain()
        place = self.begin("whole")
        run = self.run(place, plain=False)
        yield from self.judged(place, run, items)
        yield from self.pages_differ(hits, self.site.hits())
        place = self.begin("killed")
        self.interruptions = interruptions(self.seed, len(hits), seconds)
        for one in self.interruptions:
            run = self.run(place, plain=False, interruption=one)
            if is_completed(place, JOB):
                break
        else:
            run = self.run(place, plain=False)
        yield from self.judged(place, run, items)
        if all(one.graceful for one in self.interruptions) and not self.world.repeats:
            yield from self.pages_differ(hits, self.site.hits())
        missing = settled(hits) - settled(self.site.hits())
        if missing and not self.world.has("cache"):
            yield f"killed: never fetched {missing}"

    def doubts(self) -> Iterator[str]:
        """What plain Scrapy itself does not give alike when it is run twice."""
        first, second = self.plain("plain"), self.plain("plain again")
        if first[0] != second[0]:
            yield str(compare(first[0], second[0]))
        yield from self.pages_differ(first[1], second[1])

    def judged(self, place: Workplace, run: Run, items: Counter[str]) -> Iterator[str]:
        name = place.path.name
        if not is_completed(place, JOB):
            yield f"{name}: not completed: {run.tail()}"
            return
        if "Traceback" in run.text:
            for place_in_text in unexpected_tracebacks(run.text):
                yield f"{name}: {place_in_text}"
        difference = compare(items, stored_items(place, JOB))
        if difference.lost or difference.twice:
            yield f"{name}: {difference}"
        if violations := open_location(place.location).verify(JobKey(JOB, 1)).violations:
            yield f"{name}: {violations}"
        for feed in filter(Path.exists, (place.path / f"feed.{kind}" for kind in FEED_FORMATS)):
            text = feed.read_text()
            rows = (
                json.loads(text) if feed.suffix == ".json" else map(json.loads, text.splitlines())
            )
            difference = compare(items, Counter(canonical(row) for row in rows))
            if difference.lost or difference.twice:
                yield f"{name}, {feed.name}: {difference}"
        left = job_store(place).job(JOB)["requests"]
        if left["pending"] or left["leased"] or left["parked"]:
            yield f"{name}: {left}"

    def pages_differ(self, plain: Sequence[Hit], whole: Sequence[Hit]) -> Iterator[str]:
        if self.world.has("cache"):
            return
        count = settled if self.world.has("breaker") else asked
        before, after = count(plain), count(whole)
        if before != after:
            yield f"fetched less {before - after}, more {after - before}"


def unexpected_tracebacks(text: str) -> Iterator[str]:
    """The last lines of tracebacks that the spider did not mean."""
    in_one = False
    for line in text.splitlines():
        if line.startswith("Traceback"):
            in_one = True
        elif in_one and line and not line.startswith((" ", "\t")):
            in_one = False
            if "as it was drawn" not in line and not line.startswith(("twisted", "scrapy.")):
                yield line


def asked(hits: Sequence[Hit]) -> Counter[str]:
    """Without dropped connections: Scrapy's HTTP client asks again by itself, now and then."""
    return Counter(hit.key for hit in hits if hit.status and not hit.url.startswith("/robots.txt"))


def settled(hits: Sequence[Hit]) -> Counter[str]:
    return asked([hit for hit in hits if hit.status not in RETRIED])


def interruptions(seed: int, hits: int, seconds: float) -> list[Interruption]:
    chance = random.Random(f"kills {seed}")
    kinds = ["hits", "hits", "hits", "time", "term", "twice", "close", "pages", "finish"]
    if not on_postgres():
        kinds += ["write", "write"]
    if chance.random() < 0.2:
        kinds = ["term", "pages"]
    return [
        interruption(chance, chance.choice(kinds), hits, seconds)
        for _ in range(chance.randint(1, 4))
    ]


def interruption(chance: random.Random, kind: str, hits: int, seconds: float) -> Interruption:
    count = chance.randint(1, max(1, hits // 2))
    later = chance.choice([0.0, chance.uniform(0, 0.2), chance.uniform(0, 1.0)])
    if kind == "hits":
        return Interruption(at_hits(count, later))
    if kind == "time":
        return Interruption(after_seconds(chance.uniform(0.1, seconds + 0.5)))
    if kind == "term":
        return Interruption(at_hits(count, later, signal.SIGTERM), graceful=True)
    if kind == "twice":
        return Interruption(twice(count, gap_seconds=chance.choice([0.0, 0.05, 0.2])))
    if kind == "close":
        stopped = at_hits(count, later, signum=signal.SIGTERM)
        return Interruption(in_turn(stopped, when_logged("Closing spider", chance.uniform(0, 0.1))))
    if kind == "finish":
        return Interruption(when_logged("Closing spider (finished)", chance.uniform(0, 0.1)))
    if kind == "write":
        return Interruption(extra={"KINDS_EXIT_AT_WRITE": str(chance.randint(5, 200))})
    return Interruption(settings={"CLOSESPIDER_PAGECOUNT": count}, graceful=True)


@contextmanager
def drawn_site(folder: Path) -> Iterator[Site]:
    """The local site under all the addresses that worlds use."""
    with Site(folder, addresses=ADDRESSES) as site:
        yield site


def mode_of(seed: int, modes: Sequence[Mode]) -> Mode:
    """Most seeds run with asyncio."""
    able = [mode for mode in modes if not mode.unavailable]
    return able[0] if seed % 4 else able[seed // 4 % len(able)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, default=[0, 30], help="first, and past last")
    parser.add_argument("--folder", type=Path, help="where to keep what the crawls leave")
    parser.add_argument("--mode", choices=[mode.name for mode in MODES])
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--plain", action="store_true", help="compare plain with plain")
    options = parser.parse_args()
    modes = [mode for mode in MODES if options.mode in {None, mode.name}]
    with ExitStack() as opened:
        if options.store == "postgres":
            server = opened.enter_context(PostgresServer({"fsync": "off"}))
            os.environ[VARIABLE] = server.url()
        folder = options.folder or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        site = opened.enter_context(drawn_site(folder))
        launcher = opened.enter_context(Launcher())

        def begin(seed: int, own: Path) -> Tried:
            trial = Trial(seed, site, own, launcher, mode_of(seed, modes))
            complaints = trial.doubts() if options.plain else trial.complaints()
            return Tried(complaints, trial.world.described, f"{trial.mode.name} ")

        try_seeds(range(*options.seeds), folder, begin)


if __name__ == "__main__":
    main()
