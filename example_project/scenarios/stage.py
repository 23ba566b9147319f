"""Runs the commands of a scenario, shows what they print, and checks that it is true."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from scenarios.site import PATIENCE_SECONDS, Site

PROJECT = Path(__file__).resolve().parent / "project"
CRAWL = "scrapy crawl cars -o cars.jsonl"
"""The command that begins the crawl, and that goes on with it after anything."""

POLL_SECONDS = 0.01
LOGGED = re.compile(r"\[(?P<logger>[\w.]+)\] (?P<level>[A-Z]+): ")
"""The beginning of a line of the log, as the project's LOG_FORMAT has it."""


class Untrue(Exception):
    """What was shown, or what was stored, is not what the site knows."""


class NotHere(Exception):
    """What the scenario needs is not on this machine; the message says what."""


class Process(Protocol):
    """As much of `Popen` as a stage needs."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """The exit code; `None` while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, when it has ended. Raises `subprocess.TimeoutExpired`."""


Launch = Callable[[Sequence[str], Path, Mapping[str, str], Path], Process]
"""Starts `scrapy` with these words, in that directory, with that environment; what it prints is
appended to the file. The process leads a process group of its own."""


def launch(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path
) -> Process:
    """Starts a Python of its own."""
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "scrapy", *words],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


class Running:
    """A command that was started, like in a terminal of its own."""

    def __init__(self, process: Process, line: str, output: Path) -> None:
        self.line = line
        self.process = process
        self._output = output

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace")

    def wait(self) -> int:
        """The exit code, when it has ended. Raises Untrue if it does not end."""
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise Untrue(f"`{self.line}` does not end; it printed:\n{self.text}") from None


class Stage:
    """A copy of the project in a directory of its own, and the site that it crawls."""

    def __init__(
        self, folder: Path, site: Site, start: Launch = launch, postgres: str | None = None
    ) -> None:
        """`postgres`: the URL of an empty database, for what needs one."""
        self.folder = folder / "project"
        self.site = site
        self.postgres = postgres
        self._launch = start
        self._outputs = folder / "outputs"
        self._running: list[Running] = []
        shutil.copytree(PROJECT, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self._outputs.mkdir()

    @contextmanager
    def closing(self) -> Iterator[Stage]:
        """Ends what is still running when the context ends."""
        try:
            yield self
        finally:
            for running in self._running:
                if running.process.poll() is None:
                    os.killpg(running.process.pid, signal.SIGKILL)
                    running.process.wait()

    # What is typed

    def start(self, line: str) -> Running:
        """Starts a command in the background."""
        say(f"\n  $ {line} &")
        return self._start(line)

    def run(self, line: str, code: int = 0) -> str:
        """Runs a command to its end, shows what it prints, and returns that.

        Raises Untrue if it ends with another exit code.
        """
        say(f"\n  $ {line}")
        return self._ended(self._start(line), code)

    def finish(self, running: Running, code: int = 0) -> str:
        """Waits for a command in the background, as `run`."""
        say(f"\n  ({running.line} ends)")
        return self._ended(running, code)

    def document(self, line: str) -> Any:
        """What the command says with `--json`; nothing is shown."""
        running = self._start(f"{line} --json")
        running.wait()
        try:
            return json.loads(running.text)
        except ValueError:
            raise Untrue(f"`{line} --json` printed no document:\n{running.text}") from None

    def send(self, running: Running, signum: signal.Signals) -> None:
        """Sends a signal to a command in the background."""
        say(f"\n  ({'Ctrl-C' if signum == signal.SIGINT else signum.name})")
        os.kill(running.process.pid, signum)

    def interrupt(self, running: Running) -> None:
        """Ctrl-C, once it is heard."""
        before = running.text.count("Received SIG")
        self.send(running, signal.SIGINT)
        self.until("the crawl hears Ctrl-C", lambda: running.text.count("Received SIG") > before)

    def query(self, sql: str, job: str = "cars#1") -> list[tuple[Any, ...]]:
        """The rows that plain SQL reads from the job's file; they are shown."""
        say(f"\n  sqlite> {sql}")
        rows = self.rows(sql, job)
        for row in rows:
            say("  " + " | ".join(map(str, row)))
        return rows

    def rows(self, sql: str, job: str = "cars#1") -> list[tuple[Any, ...]]:
        """As `query`, and nothing is shown."""
        with closing(sqlite3.connect(f"{self.job_file(job).as_uri()}?mode=ro", uri=True)) as file:
            return file.execute(sql).fetchall()

    def job_file(self, job: str = "cars#1") -> Path:
        """The SQLite file of a job."""
        return self.folder / ".scrapy" / "resume" / f"{job}.sqlite3"

    def until(self, what: str, happens: Callable[[], object]) -> None:
        """Returns when it has happened. Raises Untrue if it does not."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not happens():
            if time.monotonic() > deadline:
                raise Untrue(f"in vain: {what}")
            time.sleep(POLL_SECONDS)

    def until_done(self, pages: int, job: str = "cars#1") -> None:
        """Returns when the job's file has so many pages as done."""
        sql = "SELECT done FROM progress"
        self.until(f"{pages} pages are done", lambda: self.rows(sql, job) == [(pages,)])

    # What has to be true

    def check(self, what: str, found: object, expected: object = True) -> None:
        """Raises Untrue unless the two are equal."""
        if found != expected:
            raise Untrue(f"{what}: {found!r}, expected {expected!r}")
        say(f"  ✓ {what}")

    def check_shown(self, text: str, *parts: str) -> None:
        """Raises Untrue unless the text has all the parts."""
        for part in parts:
            if part not in text:
                raise Untrue(f"it does not say {part!r}:\n{text}")
        say(f"  ✓ it says {', '.join(map(repr, parts))}")

    def check_items(
        self, expected: Iterable[Mapping[str, Any]], feed: str = "cars.jsonl", job: str = "cars"
    ) -> None:
        """Raises Untrue unless feed and store have exactly these items, each once."""
        from scrapy_resume import open_store

        wanted = _multiset(expected)
        _compare("the feed", self._lines(feed), wanted)
        stored = open_store(self.postgres or str(self.job_file().parent)).items(job)
        _compare("the store", stored, wanted)
        say(f"  ✓ {wanted.total()} items, each once, in the feed and in the store")

    def _lines(self, feed: str) -> Iterator[dict[str, Any]]:
        for line in (self.folder / feed).read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                raise Untrue(f"{feed} has a torn line: {line!r}") from None

    def _start(self, line: str) -> Running:
        program, *words = shlex.split(line)
        assert program == "scrapy", line
        environment = {
            **os.environ,
            "CARS_SITE": self.site.url,
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "COLUMNS": "100",
        }
        output = self._outputs / f"{len(self._running)}.txt"
        output.touch()
        running = Running(self._launch(words, self.folder, environment, output), line, output)
        self._running.append(running)
        return running

    def _ended(self, running: Running, code: int) -> str:
        found = running.wait()
        for line in _of_note(running.text):
            say(f"  {line}")
        if found != code:
            raise Untrue(f"`{running.line}` ended with {found}, not {code}:\n{running.text}")
        if code:
            say(f"  (exit code {code})")
        return running.text


def say(line: str) -> None:
    """Prints a line of the scenario."""
    print(line, flush=True)


def _of_note(text: str) -> Iterator[str]:
    """The lines of the package and of trouble; what Scrapy itself logs at INFO is left out."""
    told = True
    for line in text.splitlines():
        logged = LOGGED.match(line)
        if logged:  # the lines that follow belong to it
            told = logged["logger"].startswith("scrapy_resume") or logged["level"] != "INFO"
        if told:
            yield line


def _multiset(items: Iterable[Mapping[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(dict(item), sort_keys=True) for item in items)


def _compare(place: str, items: Iterable[Mapping[str, Any]], wanted: Counter[str]) -> None:
    found = _multiset(items)
    if found != wanted:
        lost, more = wanted - found, found - wanted
        raise Untrue(f"{place} has lost {sorted(lost)}, and has {sorted(more)} too often")
