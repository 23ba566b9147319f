"""Attacks every file that the package writes beside a store, a feed or an output.

Run as a program, with a directory and ``each`` or ``together``. A crawl is killed; how it goes on,
and commands after it, are recorded with an audit hook. Then each path that was opened for writing
or created, and that can be known before, is taken by a link, a hard link or a FIFO: the victim
stays as it was, and nothing hangs. Prints one line for each attack: on one path after the other, or
on all together that the package creates anew, which it then has to do.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from scrapy import Request, Spider
from scrapy.cmdline import execute
from scrapy.crawler import CrawlerProcess
from scrapy.settings import Settings

KILLED = 9
LIMIT_SECONDS = 60
VICTIM = b"dear to somebody" * 400

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
RANDOM = re.compile(r"\.scrapy-resume-[^/]*\.part")
OPENED_AGAIN = re.compile(r"sqlite3(-\w+|\.inflight)?$|\.lock$|\.resume$")
"""Files that are not created anew: with a link in their place the job may be refused."""
BY_SQLITE = ("-wal", "-shm", "-journal", ".new-wal", ".new-journal")


class Pages(Spider):
    name = "pages"
    killed_at = 0

    async def start(self) -> Any:
        for number in range(12):
            yield Request(f"data:,{number}")

    async def parse(self, response: Any) -> Any:
        if self.killed_at and int(response.text) >= self.killed_at:
            while not (feed := Path("out/items.jsonl")).exists() or not feed.stat().st_size:
                await asyncio.sleep(0.01)
            os._exit(KILLED)
        yield {"page": response.text, "text": "x" * 100}


def settings(folder: Path) -> dict[str, Any]:
    gzip = "scrapy.extensions.postprocessing.GzipPlugin"
    return {
        "ADDONS": {"scrapy_resume.Addon": 500},
        "RESUME_STORE": str(folder / "store"),
        "RESUME_JOB": "pages",
        "RESUME_EVENT_LOG": True,
        "RESUME_COMMIT_INTERVAL": 0.01,
        "CONCURRENT_REQUESTS": 1,
        "TELNETCONSOLE_ENABLED": False,
        "LOG_LEVEL": "WARNING",
        "FEEDS": {
            str(folder / "out/items.jsonl"): {"format": "jsonlines"},
            str(folder / "out/whole.json"): {"format": "json"},
            str(folder / "out/items.jsonl.gz"): {"format": "jsonlines", "postprocessing": [gzip]},
        },
    }


def crawl(folder: Path, **arguments: Any) -> None:
    from scrapy_resume.events import log_writer

    # Small files, so that some are compressed.
    log_writer.EventLogWriter.__init__.__defaults__ = (600,)
    process = CrawlerProcess(settings(folder))
    process.crawl(Pages, **arguments)
    process.start()


def go_on(folder: Path) -> None:
    """Somebody else has added to the feed; what the crawl and commands then write."""
    feed = folder / "out" / "items.jsonl"
    feed.write_bytes(feed.read_bytes() + b'{"page": "of another"}\n')
    crawl(folder)
    for words in (
        ["export", "-o", "out/items.csv", "--overwrite"],
        ["backup", "pages", "out/pages.backup", "--overwrite"],
        ["report", "-o", "out/report.html", "--overwrite"],
        ["requests", "-o", "out/requests.csv", "--overwrite"],
        ["reset", "pages", "--yes"],
        ["restore", "out/pages.backup"],
    ):
        try:
            execute(["scrapy", "resume", *words], Settings({"RESUME_STORE": str(folder / "store")}))
        except SystemExit:
            continue


def in_child(folder: Path, call: Callable[[Path], None], *, record: Path | None = None) -> int:
    """Call it in a child in the folder; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(folder)
            signal.alarm(LIMIT_SECONDS)
            log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if record is not None:
                record_opens(folder, record)
            call(folder)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def record_opens(folder: Path, to: Path) -> None:
    """Append every path in the folder that is opened for writing, created or renamed to."""
    log = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    inside = f"{folder}/"

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        path: Any = None
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            path = arguments[0]
        elif event in ("os.rename", "os.link", "os.symlink"):
            path = arguments[1]
        elif event == "os.mkdir":
            path = arguments[0]
        if path is not None and not isinstance(path, int):
            text = os.path.abspath(os.fsdecode(path))
            if text.startswith(inside):
                os.write(log, text.removeprefix(inside).encode() + b"\n")

    sys.addaudithook(hook)


def guessable(folder: Path) -> list[str]:
    """What is written in two runs from the same beginning, but for names that a user gave."""
    template = folder / "template"
    (template / "out").mkdir(parents=True)
    assert in_child(template, lambda place: crawl(place, killed_at=6)) == KILLED
    found: list[set[str]] = []
    for number in range(2):
        place = folder / f"recorded{number}"
        shutil.copytree(template, place)
        assert in_child(place, go_on, record=folder / f"opens{number}") == 0
        found.append(set((folder / f"opens{number}").read_text().split("\n")) - {""})
        assert (place / "out" / "pages.backup").exists()
    job = "store/pages#1.sqlite3"
    paths = (found[0] & found[1]) | {job + suffix for suffix in BY_SQLITE}
    # What the user names: a link of theirs is followed, as Scrapy does.
    given = re.compile(r"out(/[^.][^/]*)?|store(/events)?|log")
    return sorted(path for path in paths if not (RANDOM.search(path) or given.fullmatch(path)))


def plant_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def plant_hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def plant_fifo(path: Path, victim: Path) -> None:
    os.mkfifo(path)


PLANTED = (plant_link, plant_hard_link, plant_fifo)


def attack(template: Path, place: Path, paths: Sequence[str], plant: Callable[..., None]) -> str:
    """Take the paths, and let the crawl go on; what it said."""
    shutil.copytree(template, place)
    victims = [place / f"victim{number}" for number in range(len(paths))]
    for path, victim in zip(paths, victims, strict=True):
        victim.write_bytes(VICTIM)
        taken = place / path
        taken.parent.mkdir(parents=True, exist_ok=True)
        taken.unlink(missing_ok=True)
        plant(taken, victim)
    code = in_child(place, go_on)
    said = (place / "log").read_text(errors="replace")
    assert code == 0, (paths, plant.__name__, code, said[-2000:])
    for path, victim in zip(paths, victims, strict=True):
        assert victim.read_bytes() == VICTIM, (path, plant.__name__, said[-2000:])
    return said


def attacks_on_each(folder: Path) -> Iterator[str]:
    for path in guessable(folder):
        for plant in PLANTED:
            place = folder / "attacked"
            attack(folder / "template", place, [path], plant)
            shutil.rmtree(place)
            yield f"{path} {plant.__name__}"


def attacks_together(folder: Path) -> Iterator[str]:
    paths = [path for path in guessable(folder) if not OPENED_AGAIN.search(path)]
    assert len(paths) > 10, paths
    for plant in PLANTED:
        place = folder / plant.__name__
        said = attack(folder / "template", place, paths, plant)
        # The folder is a copy, so nothing proves what the crawl wrote last: the other's line goes.
        assert len((place / "out" / "items.jsonl").read_text().splitlines()) == 12, said
        assert "behind what is committed are removed" in said
        assert (place / "out" / "pages.backup").exists(), said
        yield f"{len(paths)} paths {plant.__name__}"


if __name__ == "__main__":
    attacks = {"each": attacks_on_each, "together": attacks_together}[sys.argv[2]]
    for line in attacks(Path(sys.argv[1])):
        print(line, flush=True)
