"""A fleet: many workers, real processes, on one job in one PostgreSQL database."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.fleet_launcher import FleetLauncher, FleetProcess
from tests.support.fleet_oracles import Death, FleetVerdict, Rules, fleet_verdict
from tests.support.hosts_site import HostHit, HostsSite
from tests.support.site import REPO, whole_lines

SPIDER = REPO / "tests" / "support" / "fleet_spider.py"
JOB = "fleet"
LIMIT_SECONDS = 90.0
POLL_SECONDS = 0.02
TAIL_LINES = 40

ORPHAN_SECONDS = 8
"""``RESUME_ORPHAN_TIMEOUT`` of these tests. On a machine with a load of 20 some workers did not get
to beat for 2 seconds, and were taken for dead. (That a process has ended is known before.)"""

SETTINGS: dict[str, Any] = {
    "ADDONS": json.dumps({"scrapy_resume.Addon": 500}),
    "RESUME_ORPHAN_TIMEOUT": ORPHAN_SECONDS,
    "RESUME_HEARTBEAT": 0.5,
    "DOWNLOADER": "tests.support.fleet_downloader.TellingDownloader",
    "DOWNLOAD_DELAY": 0,
    "DOWNLOAD_DELAY_JITTER": 0,
    "RANDOMIZE_DOWNLOAD_DELAY": False,  # what it was called before Scrapy 2.19
    "AUTOTHROTTLE_ENABLED": False,
    "HTTPPROXY_ENABLED": False,
    "ROBOTSTXT_OBEY": False,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_LEVEL": "INFO",
    "STATS_DUMP": False,  # it would fill the tails of the logs
}

ROUNDS = 4
"""Of requests that a worker may have sent and not finished: those in flight, those in the commit
that is under way, those that wait for the next one."""

SLOWLY: dict[str, Any] = {"CONCURRENT_REQUESTS": 4, "CONCURRENT_REQUESTS_PER_DOMAIN": 2}
"""About 80 pages a second for each worker, with 50 ms latency: time for things to happen."""


@dataclass
class Worker:
    """One process. ``name`` is its user agent, by which the site's log knows it."""

    name: str
    process: FleetProcess
    log: Path
    in_hand: int
    """How many requests it may have sent and not finished."""
    killed_at: float | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs, or is stopped."""
        return self.process.poll()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def has_logged(self, text: str) -> bool:
        return text in self.text

    def send(self, signum: signal.Signals) -> float:
        """Signals it; the moment. It must be running, or stopped."""
        assert self.is_running, f"{self.name} ended before it was sent {signum.name}: {self.tail()}"
        moment = time.monotonic()
        os.killpg(self.process.pid, signum)
        return moment

    def kill(self) -> Death:
        """SIGKILL; returns when it is dead."""
        self.killed_at = self.send(signal.SIGKILL)
        self.process.wait(10)
        return Death(self.name, self.killed_at, self.in_hand)

    def stop(self) -> Death:
        """SIGSTOP: to all others it is as good as dead."""
        return Death(self.name, self.send(signal.SIGSTOP), self.in_hand)

    def go_on(self) -> float:
        """SIGCONT."""
        return self.send(signal.SIGCONT)

    def end_gracefully(self) -> float:
        """SIGTERM, once."""
        return self.send(signal.SIGTERM)

    def tail(self) -> str:
        last = "\n".join(self.text.splitlines()[-TAIL_LINES:])
        return f"{self.name}, exit code {self.exit_code}, the end of {self.log}:\n{last}"


@dataclass
class Fleet:
    """Workers of the fleet spider. As a context it ends those that are left.

    ``settings`` and ``arguments`` hold for all workers, ``words`` are further words of the
    command (``["-O", "items.jsonl"]``).
    """

    url: str
    site: HostsSite
    folder: Path
    launcher: FleetLauncher
    settings: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    words: Sequence[str] = ()
    job: str = JOB
    workers: list[Worker] = field(default_factory=list)

    def __enter__(self) -> Fleet:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.is_running:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.process.wait(10)

    # Starting and ending

    def start(self, count: int = 1, **settings: Any) -> list[Worker]:
        """Starts so many further workers, all at once."""
        return [self._start_one(settings) for _ in range(count)]

    def _start_one(self, settings: Mapping[str, Any]) -> Worker:
        name = f"w{len(self.workers) + 1}"
        log = self.folder / f"{name}.log"
        environment = {**os.environ, "PYTHONPATH": str(REPO)}
        words = self.command(name, settings)
        process = self.launcher.start(words, self.folder, environment, log)
        chosen = {"CONCURRENT_REQUESTS": 16, **self.settings, **settings}
        in_hand = ROUNDS * int(chosen["CONCURRENT_REQUESTS"])
        self.workers.append(Worker(name, process, log, in_hand))
        return self.workers[-1]

    def command(self, name: str, settings: Mapping[str, Any]) -> list[str]:
        """The words after ``scrapy``."""
        own = {
            "RESUME_STORE": self.url,
            "RESUME_JOB": self.job,
            "USER_AGENT": name,
            "FLEET_JOURNAL": self.journal_file,
        }
        arguments = {"graph": self.site.graph, "port": self.site.port, **self.arguments}
        words = ["runspider", str(SPIDER), *self.words]
        for setting, value in {**SETTINGS, **self.settings, **own, **settings}.items():
            words += ["-s", f"{setting}={value}"]
        for argument, value in arguments.items():
            words += ["-a", f"{argument}={value}"]
        return words

    def start_together(self, count: int, **settings: Any) -> list[Worker]:
        """Starts workers and lets no page be answered before all of them are on the job."""
        with self.site.held():
            started = self.start(count, **settings)
            self.wait_until_joined(started)
        return started

    def wait_until_joined(self, workers: Iterable[Worker]) -> None:
        """Until each of them has said in its log which job it is on."""
        for worker in workers:
            self.wait_until(
                lambda worker=worker: worker.has_logged(f"Job {self.job}#"),
                f"{worker.name} to join {self.job}",
                of=[worker],
            )

    def wait_until(
        self,
        condition: Callable[[], bool],
        what: str,
        seconds: float = LIMIT_SECONDS,
        of: Sequence[Worker] | None = None,
    ) -> float:
        """Waits while workers run (those of ``of``, or any); the moment at which it held."""
        deadline = time.monotonic() + seconds
        watched = self.workers if of is None else of
        while not condition():
            if not any(worker.is_running for worker in watched):
                if condition():
                    break
                raise AssertionError(f"all workers ended, and no {what}; {self.story()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} in {seconds} s; {self.story()}")
            time.sleep(POLL_SECONDS)
        return time.monotonic()

    def wait_for_hits(self, count: int) -> float:
        """Until the site was asked for so many pages since the fleet's beginning."""
        log = self.site.log
        return self.wait_until(lambda: log.asked_count() >= count, f"{count} requests to the site")

    def wait_for_all(
        self, seconds: float = LIMIT_SECONDS, but: Iterable[Worker] = ()
    ) -> dict[str, int | None]:
        """Until all workers have ended, of themselves; their exit codes by name."""
        left_out = {worker.name for worker in but}
        deadline = time.monotonic() + seconds
        waited_for = [worker for worker in self.workers if worker.name not in left_out]
        for worker in waited_for:
            try:
                worker.process.wait(max(0.01, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise AssertionError(
                    f"{worker.name} still runs after {seconds} s; {self.story()}"
                ) from None
        return {worker.name: worker.exit_code for worker in waited_for}

    def expect_success(self, seconds: float = LIMIT_SECONDS, but: Iterable[Worker] = ()) -> None:
        """Waits for all workers; those that were not killed must end with exit code 0."""
        self.wait_for_all(seconds, but)
        left_out = {worker.name for worker in but}
        for worker in self.workers:
            if worker.name not in left_out:
                wanted = 0 if worker.killed_at is None else -signal.SIGKILL
                assert worker.exit_code == wanted, f"wanted exit code {wanted}; {self.story()}"

    # Who is doing what

    def running(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.is_running]

    def at_work(self) -> list[Worker]:
        """Those that run, and have asked the site for something."""
        fetching = {hit.worker for hit in self.site.hits()}
        return [worker for worker in self.running() if worker.name in fetching]

    def any_at_work(self, chance: random.Random) -> Worker:
        """One of those, waiting for the first if need be."""
        self.wait_until(lambda: bool(self.at_work()), "worker that fetches")
        return chance.choice(self.at_work())

    def hits(self) -> list[HostHit]:
        return self.site.hits()

    @property
    def journal_file(self) -> Path:
        return self.folder / "journal.jsonl"

    def journal(self, event: str) -> list[dict[str, Any]]:
        """What the spiders have noted of an event, in order: see ``fleet_spider``."""
        if not self.journal_file.exists():
            return []
        rows = [json.loads(line) for line in whole_lines(self.journal_file)]
        return [row for row in rows if row["event"] == event]

    # What the store says

    def store(self) -> Any:
        """The read side of the package's store."""
        from scrapy_resume import open_store

        return open_store(self.url)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.store().job(self.job)
        return found

    def pages_stored(self) -> Counter[int]:
        """The numbers of the pages that the job's items name."""
        return Counter(item["n"] for item in self.store().items(self.job))

    def verdict(
        self,
        expected: Iterable[int] | None = None,
        deaths: Sequence[Death] = (),
        rules: Rules | None = None,
    ) -> FleetVerdict:
        """What came out; ``expected`` are all pages of the site, if not others are named."""
        pages = range(self.site.graph.pages) if expected is None else expected
        return fleet_verdict(pages, self.pages_stored(), self.hits(), deaths, rules)

    def expect_completed(self) -> None:
        status = self.status()
        wrong = f"not completed: {status}; {self.story()}"
        assert (status["status"], status["reason"]) == ("completed", "finished"), wrong

    def story(self) -> str:
        """What is worth knowing of a crawl that went wrong."""
        pages = {hit.page for hit in self.hits()}
        lines = [f"the site was asked {self.site.log.asked_count()} times for {len(pages)} pages"]
        lines += [worker.tail() for worker in self.workers]
        return "\n\n".join(lines)
