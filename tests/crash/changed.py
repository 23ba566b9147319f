"""Crawls whose code, arguments, settings and feeds change between runs, with kills, as a seed
draws it; what differs from plain Scrapy, or is not said.

    python -m tests.crash.changed --seeds 0 100

Exit code 0 if each seed came through whole.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from tests.crash.changing import (
    CITIES,
    PAGES,
    Version,
    World,
    first_version,
    next_version,
    renamed,
    write_project,
)
from tests.crash.drawn import Interruption, interruption, unexpected_tracebacks
from tests.crash.seeds import Tried, try_seeds
from tests.support.canonical import canonical
from tests.support.launcher import Launcher
from tests.support.oracles import compare
from tests.support.runs import Run, Workplace, job_store, options_of, watched
from tests.support.site import Site
from tests.support.stores import has_jobs

TIMEOUT_SECONDS = 40.0
MOST_KILLS = 3
"""With one more, a request that was in flight in all of them might be parked."""
KINDS = ("hits", "hits", "hits", "time", "term", "twice", "close", "pages", "finish", "none")
HELD = "callback_missing"


@dataclass(frozen=True)
class Plan:
    """One seed: the versions, each with what interrupts its run."""

    world: World
    runs: tuple[tuple[Version, Interruption], ...]
    kinds: tuple[str, ...]
    puts_back: bool
    """If requests are held in the end, the names are put back; otherwise RESUME_RENAMED is set."""
    on_the_way: Interruption
    """What interrupts the run that follows this advice."""

    def described(self) -> str:
        lines = [str(self.world), f"puts names back: {self.puts_back}, {self.on_the_way}"]
        for (version, _), kind in zip(self.runs, self.kinds, strict=True):
            lines.append(f"{kind}: {version}")
        return "\n".join(lines)


def drawn_plan(seed: int) -> Plan:
    chance = random.Random(f"changes {seed}")
    world, version = first_version(chance)
    runs, kinds = [], []
    for _ in range(chance.randint(1, MOST_KILLS)):
        kinds.append(chance.choice(KINDS))
        given = Interruption()
        if kinds[-1] != "none":
            given = interruption(chance, kinds[-1], hits=60, seconds=1.0)
        runs.append((version, given))
        version = next_version(chance, version)
    runs.append((version, Interruption()))
    puts_back = chance.random() < 0.4
    last = chance.choice(["hits" if len(kinds) < MOST_KILLS else "term", "none"])
    on_the_way = Interruption()
    if last != "none":
        on_the_way = interruption(chance, last, hits=20, seconds=1.0)
    return Plan(world, tuple(runs), (*kinds, "none"), puts_back, on_the_way)


class Trial:
    """The runs of one plan."""

    def __init__(self, seed: int, site: Site, folder: Path, launcher: Launcher) -> None:
        self.plan = drawn_plan(seed)
        self.site = site
        self.launcher = launcher
        self.place = Workplace(folder / "job")
        self.folder = folder
        self.versions: list[Version] = []
        """Those that have run."""
        self.held: set[str] = set()
        """Names that the last run before the advice lacked."""
        self.latency = random.Random(f"site {seed}").choice([0.0, 0.005, 0.02])

    # ---- runs

    def run(
        self,
        version: Version,
        given: Interruption | None = None,
        *,
        plain: bool = False,
        more: Mapping[str, Any] | None = None,
    ) -> Run:
        given = given or Interruption()
        place = Workplace(self.folder / "plain") if plain else self.place
        log = place.next_log()
        code = place.path / f"code-{log.stem}"
        write_project(code, self.plan.world, version)
        names = ("out.jsonl",) if plain else version.feeds
        feeds = {str(place.path / name): {"format": name.rpartition(".")[2]} for name in names}
        settings = {"FEEDS": json.dumps(feeds), **version.settings, **given.settings}
        settings.update(more or {})
        if not plain:
            settings["RESUME_STORE"] = place.location
        words = ["crawl_with_object" if self.plan.world.has_object else "crawl", "changing"]
        words += options_of("-s", settings)
        words += options_of("-a", {"site": self.site.url, "token": version.token})
        return watched(
            words,
            site=self.site,
            log=log,
            plain=plain,
            folder=code,
            kill=given.kill,
            extra=given.extra,
            launcher=self.launcher,
            timeout_seconds=TIMEOUT_SECONDS,
        )

    def run_changed(self, version: Version, given: Interruption | None = None) -> Run:
        self.versions.append(version)
        names = renamed(self.versions) if version.mapped else {}
        return self.run(version, given, more={"RESUME_RENAMED": json.dumps(names)} if names else {})

    # ---- the verdict

    def complaints(self) -> Iterator[str]:
        """What differs from plain Scrapy, or is not said; nothing if all is well."""
        self.site.begin(self.folder / "hits.jsonl", latency=self.latency)
        run = None
        for version, given in self.plan.runs:
            run = self.run_changed(version, given)
            if self.is_completed():
                break
        assert run is not None
        if not self.is_completed():
            complaint = self.not_said(run)
            if complaint:
                yield f"{complaint}: {run.tail()}"
                return
            last = self.versions[-1]
            run = self.follow_advice(last, self.plan.on_the_way)
            if not self.is_completed() and self.plan.on_the_way.kill is not None:
                run = self.follow_advice(last)
            if not self.is_completed():
                yield f"the advice does not help: {run.tail()}"
                return
        yield from self.judged(run)

    def is_completed(self) -> bool:
        return any(row["status"] == "completed" for row in self.jobs())

    def jobs(self) -> list[dict[str, Any]]:
        return list(job_store(self.place).jobs()) if has_jobs(self.place.store) else []

    def not_said(self, run: Run) -> str:
        """What a job that is not completed should have said, and has not."""
        (job,) = self.jobs()
        document = job_store(self.place).job(job["job"])
        self.held = {row["name"] for row in document["held"]}
        if run.exit_code != 1 or document["status"] != "paused":
            return f"{document['status']}, and the exit code is {run.exit_code}"
        unwritten = [line for line in run.text.splitlines() if "cannot be written" in line]
        if unwritten and not document["held"]:
            # All is fetched; of a feed that is new, an item's class is missing.
            told = all("RESUME_RENAMED" in line for line in unwritten)
            return "" if told else "no error tells what to do about a feed"
        if document["reason"] != HELD:
            return f"paused because of {document['reason']}"
        if not document["held"]:
            return "held, but status does not say what"
        errors = [line for line in run.text.splitlines() if " held, and " in line]
        for name in (row["name"] for row in document["held"]):
            if not any(name in line and "RESUME_RENAMED" in line for line in errors):
                return f"no error tells what to do about {name}"
        return ""

    def follow_advice(self, last: Version, given: Interruption | None = None) -> Run:
        """Put the names back that the first version had, or say what they are now."""
        version = replace(last, mapped=True)
        if self.plan.puts_back:
            first = self.versions[0]
            version = replace(version, names=first.names, models=first.models)
        return self.run_changed(version, given)

    def judged(self, run: Run) -> Iterator[str]:
        jobs = [(row["job"], row["number"]) for row in self.jobs()]
        if len(jobs) != 1:
            yield f"more than one job: {jobs}"
            return
        for place_in_text in unexpected_tracebacks(run.text):
            yield f"traceback: {place_in_text}"
        (job,) = jobs
        found = [dict(item) for item in job_store(self.place).items(job[0])]
        whole = self.plain_items()
        yield from self.items_differ("store", whole, found)
        left = job_store(self.place).job(job[0])["requests"]
        if left["pending"] or left["leased"] or left["parked"]:
            yield f"{left}"
        if violations := open_location(self.place.location).verify(JobKey(*job)).violations:
            yield f"{violations}"
        stored = Counter(canonical(item) for item in found)
        for name in self.versions[-1].feeds:
            written = Counter(map(canonical, feed_items(self.place.path / name)))
            difference = compare(stored, written)
            if difference.lost or difference.twice:
                yield f"{name}: {difference}"

    def plain_items(self) -> list[dict[str, Any]]:
        """What plain Scrapy gives with all cities that were ever in the list."""
        last = self.versions[-1]
        known = {city for version in self.versions for city in version.cities}
        run = self.run(replace(last, cities=tuple(sorted(known))), plain=True)
        assert run.is_finished, run.tail()
        return feed_items(self.folder / "plain" / "out.jsonl")

    def items_differ(
        self, where: str, whole: list[dict[str, Any]], found: list[dict[str, Any]]
    ) -> Iterator[str]:
        """A city that is not in the last list may be missing, but not a part of it."""
        lost, twice = [], []
        for city in (None, *range(CITIES)):
            expected, got = (
                Counter(canonical(item) for item in items if item.get("city") == city)
                for items in (whole, found)
            )
            if city is not None and city not in self.versions[-1].cities and not got:
                continue
            difference = compare(expected, got)
            lost += sorted(difference.lost.elements())
            twice += sorted(difference.twice.elements())
        if lost or twice:
            yield f"{where}: lost {len(lost)} {lost[:8]}, twice {len(twice)} {twice[:8]}"


def feed_items(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else [*map(json.loads, text.splitlines())]


def changing_site(folder: Path) -> Site:
    return Site(folder, pages=PAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs=2, default=[0, 30], help="first, and past last")
    parser.add_argument("--folder", type=Path, help="where to keep what the crawls leave")
    options = parser.parse_args()
    with ExitStack() as opened:
        folder = options.folder or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        site = opened.enter_context(changing_site(folder))
        launcher = opened.enter_context(Launcher())

        def begin(seed: int, own: Path) -> Tried:
            trial = Trial(seed, site, own, launcher)
            return Tried(trial.complaints(), trial.plan.described)

        try_seeds(range(*options.seeds), folder, begin)


if __name__ == "__main__":
    main()
