"""Crawls as real processes, plain or with the package, left alone or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.canonical import canonical
from tests.support.kills import Kill, Live, Process
from tests.support.launcher import Launcher
from tests.support.reactors import ASYNCIO, Mode
from tests.support.site import REPO, LoggedSite
from tests.support.stores import has_jobs, location

PROJECT = REPO / "tests" / "support" / "project"
TAIL_LINES = 60
FINISHED = "Spider closed (finished)"


@dataclass(frozen=True)
class Workplace:
    """The folder of one job: its store, its logs, whatever its spider writes."""

    path: Path

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def location(self) -> str:
        """``RESUME_STORE``."""
        return location(self.store)

    @property
    def recorded(self) -> Path:
        return self.path / "items.jsonl"

    def next_log(self) -> Path:
        logs = self.path / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        return logs / f"{len(list(logs.iterdir())) + 1}.log"

    def settings(self, *, plain: bool) -> dict[str, Any]:
        paths = {
            "FILES_STORE": self.path / "files",
            "IMAGES_STORE": self.path / "images",
            "HTTPCACHE_DIR": self.path / "cache",
        }
        own = {"RECORD_ITEMS": self.recorded} if plain else {"RESUME_STORE": self.location}
        return {**paths, **own}


@dataclass(frozen=True)
class Run:
    """One process of a crawl. ``killed_at`` is ``None`` if no signal was sent."""

    exit_code: int
    log: Path
    started_at: float
    ended_at: float
    killed_at: float | None = None

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def is_finished(self) -> bool:
        return self.exit_code == 0 and FINISHED in self.text

    def tail(self) -> str:
        last = "\n".join(self.text.splitlines()[-TAIL_LINES:])
        return f"exit code {self.exit_code}, the end of {self.log}:\n{last}"


def environment(site_url: str, *, plain: bool) -> dict[str, str]:
    """What a process of the project needs beside this process's own environment."""
    path = os.pathsep.join([str(REPO), str(PROJECT), os.environ.get("PYTHONPATH", "")])
    own = {"PYTHONPATH": path, "KINDS_SITE": site_url, "KINDS_PLAIN": "1" if plain else "0"}
    return {**os.environ, **own}


def options_of(flag: str, values: Mapping[str, Any]) -> list[str]:
    return [word for name, value in values.items() for word in (flag, f"{name}={value}")]


def started(
    words: Sequence[str],
    *,
    site: LoggedSite,
    log: Path,
    plain: bool = False,
    folder: Path = PROJECT,
    program: Sequence[str] = ("-m", "scrapy"),
    launcher: Launcher | None = None,
    extra: Mapping[str, str] | None = None,
) -> Process:
    """Starts ``scrapy`` with these words; forked by the launcher, if there is one.

    ``program`` is what Python runs in place of Scrapy's command, ``extra`` what the
    environment has in addition.
    """
    variables = {**environment(site.url, plain=plain), **(extra or {})}
    if launcher is not None:
        return launcher.start(words, folder, variables, log)
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, *program, *words],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def watched(
    words: Sequence[str],
    *,
    site: LoggedSite,
    log: Path,
    kill: Kill | None = None,
    timeout_seconds: float = 90.0,
    **how: Any,
) -> Run:
    """Runs ``scrapy`` to its end, which a kill or the timeout brings about if nothing else."""
    started_at = time.monotonic()
    deadline = started_at + timeout_seconds
    hits_before = site.log.asked_count()
    killed_at = None
    process = started(words, site=site, log=log, **how)
    try:
        if kill is not None:
            killed_at = kill(Live(process, site.log, hits_before, log, deadline))
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        with log.open("a") as output:
            output.write(f"\nstill running after {timeout_seconds} s, ended by the test\n")
    finally:
        end(process)
    return Run(process.wait(), log, started_at, time.monotonic(), killed_at)


def end(process: Process) -> None:
    """Ends a process that a test started, with all its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def crawl_words(
    spider: str,
    place: Workplace,
    *,
    plain: bool = False,
    settings: Mapping[str, Any] | None = None,
    args: Mapping[str, Any] | None = None,
    mode: Mode = ASYNCIO,
) -> list[str]:
    """The words after ``scrapy`` for a crawl of the project of kinds."""
    given = {**place.settings(plain=plain), **mode.settings, **(settings or {})}
    return ["crawl", spider, *options_of("-s", given), *options_of("-a", args or {})]


def crawl(
    spider: str,
    *,
    site: LoggedSite,
    place: Workplace,
    plain: bool = False,
    settings: Mapping[str, Any] | None = None,
    args: Mapping[str, Any] | None = None,
    mode: Mode = ASYNCIO,
    **how: Any,
) -> Run:
    """One ``scrapy crawl``; ``how`` has ``kill``, ``launcher`` and the like (``watched``)."""
    words = crawl_words(spider, place, plain=plain, settings=settings, args=args, mode=mode)
    return watched(words, site=site, log=place.next_log(), plain=plain, **how)


def crawl_through(
    spider: str, kills: Sequence[Kill], *, site: LoggedSite, place: Workplace, **options: Any
) -> list[Run]:
    """The same crawl again and again, one kill each, then once to its end.

    A job that is completed before all kills were used is not started again: that would
    begin its next number. Fails unless the crawl came to its end.
    """
    runs = []
    for kill in [*kills, None]:
        runs.append(crawl(spider, site=site, place=place, kill=kill, **options))
        if runs[-1].is_finished or is_completed(place, spider):
            return runs
    raise AssertionError(f"{spider} did not finish: {runs[-1].tail()}")


def is_completed(place: Workplace, job: str) -> bool:
    """Whether the store says so, for a run that was killed just as it had finished."""
    jobs = job_store(place).jobs() if has_jobs(place.store) else []
    return any(row["job"] == job and row["status"] == "completed" for row in jobs)


def recorded_items(place: Workplace) -> Counter[str]:
    """The items of a plain run, in their canonical form."""
    text = place.recorded.read_text() if place.recorded.exists() else ""
    return Counter(text.split("\n")[:-1])


def reach_project() -> None:
    """Makes the project's modules, and with them its types, importable here."""
    if str(PROJECT) not in sys.path:
        sys.path.insert(0, str(PROJECT))


def job_store(place: Workplace) -> Any:
    """The read side of the package's store."""
    reach_project()
    from scrapy_resume import open_store

    return open_store(place.location)


def stored_items(place: Workplace, job: str) -> Counter[str]:
    """The items that a job's store shows, in their canonical form."""
    return Counter(canonical(item) for item in job_store(place).items(job))
