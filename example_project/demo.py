"""A crawl that is killed three times and loses nothing: `python demo.py`.

It starts the shop in another process and runs `scrapy crawl books`. When a quarter, a half and
three quarters of the pages have been fetched, it sends SIGKILL to the crawl and runs the same
command again. At the end it compares the items in the feed, in the store and in the table of an
SQLite database (which is a feed too, where SQLAlchemy is installed) with the books that the shop
sells. The job's store, the feed and the logs are in a temporary directory, apart from
any crawl of your own. `--plain` does the same with Scrapy alone, for comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shop_site import STEP_FIELDS, crawl_page_count, expected_products

HERE = Path(__file__).resolve().parent
SCRAPY = [sys.executable, "-m", "scrapy"]
JOB = "books"
KILL_AT = (0.25, 0.50, 0.75)
"""The crawl is killed when these shares of the pages have arrived and requests are in flight."""
PAGES = crawl_page_count()
OF_STEPS = {"photos": "/media/", "stock": "/api/"}
"""The steps that download something, and the paths of what they download."""
COMMIT_INTERVAL = 0.1
"""Seconds; the default of RESUME_COMMIT_INTERVAL."""
POLL_SECONDS = 0.01
RUN_LIMIT_SECONDS = 120
WEB_SECONDS = 60


class DemoError(Exception):
    """The demonstration itself has failed; the message says which log to read."""


@dataclass(frozen=True)
class Hit:
    """A line of the shop's hit log, with the number of the run in which it was written."""

    run: int
    event: str
    path: str
    status: int | None
    time: float


@dataclass
class Run:
    """One process of the crawl."""

    number: int
    pages: int = 0
    """Distinct pages that all runs had fetched when this one ended."""
    seconds: float = 0.0
    killed_at: float | None = None
    in_flight: int = 0
    """Pages that were requested but not answered when it was killed."""
    just_answered: int = 0
    """Pages that were answered within one commit interval before it was killed."""


@dataclass
class Demonstration:
    """The files of the demonstration, and what the shop has logged so far."""

    directory: Path
    plain: bool
    site: str = ""
    hits: list[Hit] = field(default_factory=list)
    """Of pages."""
    hits_of_steps: list[Hit] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    fetched: set[str] = field(default_factory=set)
    """Pages that any run has fetched."""
    asked: set[str] = field(default_factory=set)
    """Pages that the current run has requested and that are not answered yet."""
    _offset: int = 0

    @property
    def feed(self) -> Path:
        """The feed that the crawl writes."""
        return self.directory / "books.jsonl"

    @property
    def table(self) -> Path:
        """The SQLite database that is a feed too."""
        return self.directory / "shop.db"

    @property
    def has_table(self) -> bool:
        """Whether what the database needs is installed."""
        return not self.plain and find_spec("sqlalchemy") is not None

    @property
    def hit_log(self) -> Path:
        """The shop's log of requests and responses."""
        return self.directory / "hits.jsonl"

    @property
    def store_setting(self) -> list[str]:
        """The `scrapy` options that set the store."""
        return ["-s", f"RESUME_STORE={self.directory / 'store'}"]

    @property
    def crawl_command(self) -> list[str]:
        """The command that starts the crawl and that resumes it."""
        command = [*SCRAPY, "crawl", "books", "-a", f"site={self.site}"]
        command += ["-s", f"FILES_STORE={self.directory / 'photos'}"]
        command += ["-o", str(self.feed)]
        if self.plain:
            return [*command, "-s", "ADDONS={}"]
        return [*command, "-s", f"RESUME_JOB={JOB}", *self.store_setting]

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the crawl: where the project's settings have the books' table."""
        return {**os.environ, **({"SHOP_DB": str(self.table)} if self.has_table else {})}

    def read_hits(self, run: int) -> None:
        """Reads what was added to the hit log since the last call, as hits of that run."""
        with self.hit_log.open("rb") as log:
            log.seek(self._offset)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in map(json.loads, whole.splitlines()):
            hit = Hit(run, **line)
            if hit.path.startswith(tuple(OF_STEPS.values())):
                self.hits_of_steps.append(hit)
            elif hit.path != "/robots.txt":
                self._take(hit)

    def _take(self, hit: Hit) -> None:
        self.hits.append(hit)
        if hit.event == "asked":
            self.asked.add(hit.path)
        else:
            self.asked.discard(hit.path)
        if hit.status == 200:
            self.fetched.add(hit.path)

    def downloads_of(self, step: str) -> tuple[int, int, int]:
        """How many downloads a step has made of different URLs, how many failed and were tried
        again, and how many that had succeeded were made again after a kill."""
        begin = OF_STEPS[step]
        answers = [hit for hit in self.hits_of_steps if hit.path.startswith(begin) and hit.status]
        good = [hit.path for hit in answers if hit.status == 200]
        return len(set(good)), len(answers) - len(good), len(good) - len(set(good))

    def fetched_again(self) -> Counter[int]:
        """Run → how many of the pages that it fetched were requested again later."""
        again: Counter[int] = Counter()
        fetched_in: dict[str, int] = {}
        for hit in self.hits:
            if hit.event == "asked" and hit.path in fetched_in:
                again[fetched_in[hit.path]] += 1
            elif hit.status == 200:
                fetched_in[hit.path] = hit.run
        return again


@contextmanager
def running_dashboard(demo: Demonstration) -> Iterator[None]:
    """Serves the dashboard of the store within the context, if what it needs is installed; with
    `DEMO_WEB=1` for a minute longer."""
    if demo.plain or find_spec("uvicorn") is None:
        yield
        return
    command = [*SCRAPY, "resume", "web", "--port", "0", *demo.store_setting]
    with (
        (demo.directory / "dashboard.log").open("wb") as log,
        subprocess.Popen(
            command, cwd=HERE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as dashboard,
    ):
        try:
            assert dashboard.stdout is not None
            dashboard.stdout.readline()
            print(f"  live   {dashboard.stdout.readline().strip()}\n", flush=True)
            yield
            if os.environ.get("DEMO_WEB") == "1":
                print(
                    f"  The dashboard is up for {WEB_SECONDS} s more, or until Ctrl-C.", flush=True
                )
                with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
                    dashboard.wait(WEB_SECONDS)
        finally:
            dashboard.terminate()


@contextmanager
def running_shop(demo: Demonstration, latency: float) -> Iterator[None]:
    """Runs the shop on a free port within the context."""
    command = [sys.executable, str(HERE / "shop_site.py"), "--port", "0"]
    command += ["--hits", str(demo.hit_log), "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shop:
        try:
            assert shop.stdout is not None
            greeting = shop.stdout.readline()
            if "listening on" not in greeting:
                raise DemoError("the shop did not start; its message is above")
            demo.site = greeting.split()[-1]
            yield
        finally:
            shop.terminate()


def run_crawl(demo: Demonstration, kill_at: float | None) -> None:
    """Runs the crawl to its end, or kills it when that share of all pages is fetched."""
    run = Run(len(demo.runs) + 1)
    demo.runs.append(run)
    demo.asked.clear()
    began = time.monotonic()
    log = demo.directory / f"run-{run.number}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            demo.crawl_command, cwd=HERE, env=demo.variables, stdout=output, stderr=output
        ) as crawl,
    ):
        try:
            while not ended(crawl):
                run.seconds = time.monotonic() - began
                if run.seconds > RUN_LIMIT_SECONDS:
                    raise DemoError(f"run {run.number} takes too long; see {log}")
                look(demo, run)
                if kill_at and run.pages >= kill_at * PAGES and demo.asked:
                    kill(demo, run, crawl)
        finally:
            if crawl.poll() is None:
                crawl.kill()
    look(demo, run, last=True)
    if run.killed_at is None and (kill_at or crawl.returncode):
        raise DemoError(f"run {run.number} ended by itself, code {crawl.returncode}; see {log}")


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Waits a moment for the process to end. Returns whether it has."""
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def look(demo: Demonstration, run: Run, *, last: bool = False) -> None:
    """Updates the run from the hit log, and prints it if the output is a terminal."""
    if run.killed_at is None:
        demo.read_hits(run.number)
        run.pages = len(demo.fetched)
    if last:
        print(f"\r{run_line(run)}", flush=True)
    elif sys.stdout.isatty():
        print(f"\r{run_line(run)}", end="", flush=True)


def kill(demo: Demonstration, run: Run, crawl: subprocess.Popen[bytes]) -> None:
    """Sends SIGKILL, and counts the requests that were in flight."""
    run.killed_at = time.time()
    crawl.kill()
    crawl.wait()
    demo.read_hits(run.number)
    run.pages = len(demo.fetched)
    in_flight: set[str] = set()
    for hit in demo.hits:
        if hit.run == run.number and hit.time <= run.killed_at:
            change = in_flight.add if hit.event == "asked" else in_flight.discard
            change(hit.path)
            fresh = hit.time > run.killed_at - COMMIT_INTERVAL
            run.just_answered += fresh and hit.event == "answered"
    run.in_flight = len(in_flight)


def run_line(run: Run) -> str:
    """One line about a run: how many pages are fetched, and how the run ended."""
    share = min(run.pages / PAGES, 1.0)
    bar = ("#" * round(30 * share)).ljust(30, ".")
    line = f"  run {run.number}  [{bar}] {share:6.1%} {run.pages:5} pages {run.seconds:5.1f} s"
    if run.killed_at is not None:
        return f"{line}   SIGKILL, {run.in_flight} in flight"
    return f"{line}   completed" if share == 1.0 else line


def stored_items(demo: Demonstration) -> list[dict[str, Any]]:
    """The items in the job's store."""
    export = demo.directory / "exported.jsonl"
    command = [*SCRAPY, "resume", "export", JOB, "-o", str(export), *demo.store_setting]
    exported = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if exported.returncode:
        raise DemoError(f"`scrapy resume export` failed:\n{exported.stderr}")
    return list(read_lines(export))


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The items in a JSON Lines file; a torn line counts as an unexpected item."""
    for line in path.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            yield {"torn line": repr(line)}


@dataclass(frozen=True)
class Comparison:
    """The difference between the items that were found and the expected ones."""

    found: int
    lost: int
    twice: int
    other: int
    """Items that the shop does not sell."""

    @property
    def is_exact(self) -> bool:
        """No item is missing, stored twice or unexpected."""
        return not (self.lost or self.twice or self.other)


def compare(
    found: Iterable[dict[str, Any]], expected: Iterable[dict[str, Any]], ignored: Sequence[str]
) -> Comparison:
    """Compares two multisets of items, but for some of their fields."""
    have = Counter(_signature(item, ignored) for item in found)
    want = Counter(_signature(item, ignored) for item in expected)
    surplus = have - want
    return Comparison(
        found=have.total(),
        lost=(want - have).total(),
        twice=sum(count for item, count in surplus.items() if item in want),
        other=sum(count for item, count in surplus.items() if item not in want),
    )


def _signature(item: dict[str, Any], ignored: Sequence[str]) -> str:
    """A key that is equal for equal items. Of photos the URLs count."""
    fields = {name: value for name, value in item.items() if name not in ignored}
    photos = fields.get("photos", [])
    if photos and isinstance(photos[0], dict):
        fields["photos"] = [photo["url"] for photo in photos]
    return json.dumps(fields, sort_keys=True)


def print_items(demo: Demonstration) -> bool:
    """Compares the items with the truth and prints the result. Returns whether they are equal."""
    truth = expected_products(demo.site)
    ignored = (*STEP_FIELDS, "blurb") if demo.plain else ()  # Scrapy alone has no steps
    places = {"feed": compare(read_lines(demo.feed), truth, ignored)}
    if not demo.plain:
        places["store"] = compare(stored_items(demo), truth, ignored)
    if demo.has_table:
        places["table"] = compare(read_rows(demo.table, truth[0]), truth, ignored)
    print("\n  items in    expected     found      lost     twice     other")
    for place, result in places.items():
        counts = (len(truth), result.found, result.lost, result.twice, result.other)
        print(f"  {place:10}" + "".join(f"{count:10}" for count in counts))
    return all(result.is_exact for result in places.values())


def read_rows(database: Path, like: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows as items: nested values are JSON in SQLite."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute("SELECT * FROM books"):
            yield {
                name: json.loads(row[name]) if isinstance(value, list) else row[name]
                for name, value in like.items()
                if name in row.keys()  # noqa: SIM118
            }


def print_repetition(demo: Demonstration) -> None:
    """Prints, for each kill, how many pages were fetched again and how many were in flight."""
    again = demo.fetched_again()
    interval = f"answered in last {COMMIT_INTERVAL:g} s"
    print(f"\n  kill     pages so far   in flight   {interval}   fetched again")
    for run in demo.runs:
        if run.killed_at is not None:
            print(
                f"  {run.number:<7}{run.pages:14}{run.in_flight:12}"
                f"{run.just_answered:25}{again[run.number]:16}"
            )
    if again[demo.runs[-1].number]:
        print(f"  fetched twice within the last run: {again[demo.runs[-1].number]}")


def print_steps(demo: Demonstration) -> None:
    """Prints what steps have downloaded, and the output of `scrapy resume steps`."""
    print("\n  step       downloads   failed, tried again   made again after a kill")
    for step in OF_STEPS:
        made, failed, again = demo.downloads_of(step)
        print(f"  {step:10}{made:10}{failed:22}{again:26}")
    print_output(demo, "steps")


def print_status(demo: Demonstration) -> None:
    """Prints the output of `scrapy resume status`."""
    print_output(demo, "status")


def print_output(demo: Demonstration, command: str) -> None:
    """Runs a command of `scrapy resume`, and prints it with its output."""
    print(f"\n  $ scrapy resume {command} {JOB}\n", flush=True)
    words = [*SCRAPY, "resume", command, JOB, *demo.store_setting]
    subprocess.run(words, cwd=HERE, check=False)


def demonstrate(demo: Demonstration, latency: float) -> bool:
    """Runs the whole demonstration. Returns whether every item was stored exactly once."""
    began = time.monotonic()
    with running_shop(demo, latency):
        what = "Scrapy alone" if demo.plain else "scrapy-resume"
        print(f"\n  {what}: one crawl, killed {len(KILL_AT)} times\n")
        print(f"  shop   {demo.site}, {PAGES} pages to fetch, {latency:g} s each")
        print(f"  files  {demo.directory}")
        with running_dashboard(demo):
            for kill_at in (*KILL_AT, None):
                run_crawl(demo, kill_at)
            is_exact = print_items(demo)
            print_repetition(demo)
            if not demo.plain:
                print_steps(demo)
                print_status(demo)
    verdict = "every item once, none lost, none twice" if is_exact else "NOT every item once"
    print(f"\n  {verdict} ({time.monotonic() - began:.0f} s)\n")
    return is_exact


def main() -> int:
    """Runs the demonstration; deletes its files unless it failed or `--keep` is given."""
    parser = argparse.ArgumentParser(description="A crawl that is killed three times.")
    parser.add_argument("--plain", action="store_true", help="Scrapy alone, for comparison")
    parser.add_argument("--keep", action="store_true", help="keep the store and the logs")
    parser.add_argument("--latency", type=float, default=0.025, help="mean seconds for a page")
    options = parser.parse_args()
    if not options.plain and find_spec("scrapy_resume") is None:
        print("scrapy-resume is not installed: pip install scrapy-resume", file=sys.stderr)
        return 1
    demo = Demonstration(Path(tempfile.mkdtemp(prefix="scrapy-resume-demo-")), options.plain)
    try:
        is_exact = demonstrate(demo, options.latency)
    except DemoError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; the files are in {demo.directory}", file=sys.stderr)
        return 130
    if options.keep or not (is_exact or options.plain):
        print(f"  kept: {demo.directory}\n")
    else:
        shutil.rmtree(demo.directory)
    return 0 if is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
