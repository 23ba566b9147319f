"""Crawls of the feeding spider, through kills, and what their feeds hold."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import marshal
import os
import pickle
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.support.launcher import Launcher
from tests.support.site import REPO
from tests.support.stores import has_jobs, location

SPIDER = REPO / "tests" / "feeds" / "spider.py"
ADDON = json.dumps({"scrapy_resume.Addon": 500})
LIMIT_SECONDS = 60.0

GZIP = "scrapy.extensions.postprocessing.GzipPlugin"
BZ2 = "scrapy.extensions.postprocessing.Bz2Plugin"
LZMA = "scrapy.extensions.postprocessing.LZMAPlugin"

_OPENED = {GZIP: gzip.decompress, BZ2: bz2.decompress, LZMA: lzma.decompress}


@dataclass
class Crawl:
    """A feed, and the crawl that fills it, in a folder of its own."""

    folder: Path
    launcher: Launcher
    feed: str = "out/items.jsonl"
    options: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    runs: int = 0

    def words(self, *, plain: bool) -> list[str]:
        settings: dict[str, Any] = {
            "FEEDS": json.dumps({self.feed: {"format": self.path.suffix[1:], **self.options}}),
            "TELNETCONSOLE_ENABLED": False,
            "LOG_LEVEL": "INFO",
            "DOWNLOAD_DELAY": 0.01,
            "RANDOMIZE_DOWNLOAD_DELAY": False,
            "PERIODIC_LOG_STATS": False,
            **self.settings,
        }
        if not plain:
            settings |= {"ADDONS": ADDON, "RESUME_STORE": location(self.folder / "store")}
        words = ["runspider", str(SPIDER)]
        for name, value in settings.items():
            words += ["-s", f"{name}={value}"]
        for name, value in self.arguments.items():
            words += ["-a", f"{name}={value}"]
        return words

    def run(
        self, *, plain: bool = False, kill: Callable[[Live], None] | None = None, code: int = 0
    ) -> str:
        """One process; returns its log. Without a kill it must end with the exit code."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.runs += 1
        log = self.folder / f"{self.runs}.log"
        variables = {**os.environ, **self.variables, "PYTHONPATH": str(REPO)}
        process = self.launcher.start(self.words(plain=plain), self.folder, variables, log)
        try:
            if kill is not None:
                kill(Live(process, log, self.folder))
            found = process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {log.read_text()[-6000:]}") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        text = log.read_text()
        if kill is None:
            assert found == code, text[-6000:]
            assert "Unhandled" not in text, text[-6000:]
            assert "never retrieved" not in text, text[-6000:]
        return text

    def run_to_the_end(self) -> str:
        """Again until the job is completed; it may be by the kill's run already."""
        if self.is_completed():
            return ""
        text = self.run()
        assert self.is_completed(), text[-6000:]
        return text

    def is_completed(self) -> bool:
        from scrapy_resume import open_store

        if not has_jobs(self.folder / "store"):
            return False
        return [job["status"] for job in open_store(location(self.folder / "store")).jobs()] == [
            "completed"
        ]

    def items_stored(self) -> int:
        """Of the latest job, so far."""
        from scrapy_resume import open_store

        if not has_jobs(self.folder / "store"):
            return 0
        jobs = open_store(location(self.folder / "store")).jobs()
        return int(jobs[0]["items"]["stored"]) if jobs else 0

    def run_killed(self, kill: Callable[[Live], None]) -> None:
        """One process that is killed; none if the job is completed: it would begin the next."""
        if not self.is_completed():
            self.run(kill=kill)

    # ---- what is in the feed

    @property
    def path(self) -> Path:
        return self.folder / self.feed

    def files(self) -> list[Path]:
        """All files of the feed, the first batch first."""
        pattern = Path(self.feed.replace("%(batch_id)d", "*").replace("%(batch_time)s", "*"))
        return sorted((self.folder / pattern.parent).glob(pattern.name))

    def contents(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.files())

    def items(self) -> Counter[str]:
        return Counter(text for path in self.files() for text in self.parsed(path.read_bytes()))

    def parsed(self, content: bytes) -> Iterator[str]:
        for plugin in reversed(self.options.get("postprocessing", [])):
            content = _OPENED[plugin](content)
        return parsed(content, self.options.get("format") or self.path.suffix[1:])

    def leftovers(self) -> list[str]:
        """What stands in the feed's folder beside the feed."""
        found = {path.name for path in (self.folder / self.feed).parent.iterdir()}
        return sorted(found - {path.name for path in self.files()})


@dataclass
class Live:
    """A crawl under way."""

    process: Any
    log: Path
    folder: Path

    def until(self, condition: Callable[[], bool]) -> None:
        while self.process.poll() is None and not condition():
            time.sleep(0.002)

    def logged(self, text: str) -> None:
        self.until(lambda: text.encode() in self.log.read_bytes())

    def wait(self, seconds: float) -> None:
        moment = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= moment)

    def send(self, signum: signal.Signals = signal.SIGKILL) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signum)


def at_random(chance: random.Random) -> Callable[[Live], None]:
    """While the crawl runs, or as it closes."""

    def kill(live: Live) -> None:
        if chance.random() < 0.3:
            live.logged("Closing spider")
            live.wait(chance.uniform(0, 0.03))
        else:
            live.logged("Spider opened")
            live.wait(chance.uniform(0, 0.4))
        live.send()

    return kill


def when_holding(
    path: str, size: int, signum: signal.Signals = signal.SIGKILL
) -> Callable[[Live], None]:
    """When a file has so many bytes."""

    def kill(live: Live) -> None:
        file = live.folder / path
        live.until(lambda: file.exists() and file.stat().st_size >= size)
        live.send(signum)

    return kill


def retry(crawl: Crawl) -> None:
    """The failed requests of a job that nobody crawls."""
    from scrapy_resume import steering

    assert steering.retry(location(crawl.folder / "store"))


def parsed(content: bytes, form: str) -> Iterator[str]:
    """The items of a file, as canonical text; fails if it is not whole."""
    return (json.dumps(item, sort_keys=True) for item in _READERS[form](content))


def _lines(content: bytes) -> Iterator[Any]:
    assert content[-1:] in (b"", b"\n")
    return (json.loads(line) for line in content.splitlines())


def _csv(content: bytes) -> Iterator[Any]:
    return iter(csv.DictReader(io.StringIO(content.decode(), newline="")))


def _xml(content: bytes) -> Iterator[Any]:
    for item in ElementTree.fromstring(content):
        yield {element.tag: element.text for element in item}


def _loaded(load: Callable[[Any], Any]) -> Callable[[bytes], Iterator[Any]]:
    def read(content: bytes) -> Iterator[Any]:
        file = io.BytesIO(content)
        while file.tell() < len(content):
            yield load(file)

    return read


_READERS: dict[str, Callable[[bytes], Iterator[Any]]] = {
    "jsonlines": _lines,
    "jsonl": _lines,
    "json": lambda content: iter(json.loads(content)),
    "csv": _csv,
    "xml": _xml,
    "pickle": _loaded(pickle.load),
    "marshal": _loaded(marshal.load),
}
