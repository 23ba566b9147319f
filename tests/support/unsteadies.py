"""Runs of the spider in ``unsteady.py``, alone or of several workers, and what came of them."""

from __future__ import annotations

import csv
import json
import marshal
import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from scrapy_resume import open_store
from tests.support.kills import Kill, Process
from tests.support.launcher import Launcher
from tests.support.runs import Run, Workplace, options_of, started, watched
from tests.support.site import REPO, Site
from tests.support.unsteady import ITEMS_OF_A_PAGE

JOB = "unsteady"
PLACES = 16
FIELDS = (
    "n", "seed", "stock", "stock_merges", "price", "price_merges", "text", "text_merges", "length",
)  # fmt: skip
SETTINGS: dict[str, Any] = {
    "ADDONS": '{"scrapy_resume.Addon": 500}',
    "RESUME_JOB": JOB,
    "RESUME_STEPS": json.dumps({"unsteady.stock": 1, "unsteady.price": 2, "unsteady.Text": 3}),
    "RESUME_RETRY_DELAY": 0.05,
    "RESUME_STEP_CONCURRENCY": PLACES,
}
Row = tuple[str, ...]


class Unsteadies:
    """One job's runs."""

    def __init__(
        self,
        site: Site,
        place: Workplace,
        launcher: Launcher,
        location: str,
        *,
        seed: int,
        count: int,
    ) -> None:
        self.site = site
        self.place = place
        self.launcher = launcher
        self.location = location
        self.count = count
        self.pages = len(range(count // 10, count, ITEMS_OF_A_PAGE))
        self.arguments = {"seed": seed, "count": count, "site": site.url}
        place.path.mkdir(exist_ok=True)
        shutil.copy(REPO / "tests" / "support" / "unsteady.py", place.path / "unsteady.py")

    def words(self, **settings: Any) -> list[str]:
        """The words after ``scrapy``, with a feed of every format."""
        feeds = {name: {"format": name, "fields": FIELDS} for name in READERS}
        given = {"RESUME_STORE": self.location, "FEEDS": json.dumps(feeds), **SETTINGS, **settings}
        words = ["runspider", "unsteady.py", *options_of("-s", given)]
        return [*words, *options_of("-a", self.arguments)]

    def run(self, kill: Kill | None = None, **settings: Any) -> Run:
        return watched(
            self.words(**settings),
            site=self.site,
            log=self.place.next_log(),
            folder=self.place.path,
            launcher=self.launcher,
            kill=kill,
        )

    def start(self, **settings: Any) -> tuple[Process, Path]:
        """Starts a run beside others: the process, and its log."""
        log = self.place.next_log()
        words = self.words(**settings)
        return started(words, site=self.site, log=log, folder=self.place.path), log

    def called(self) -> int:
        """How many attempts have begun."""
        folder = self.place.path / "calls"
        return sum(file.stat().st_size for file in folder.glob("*"))

    # ---- what came of them

    def states(self) -> dict[int, dict[str, tuple[str, str | None]]]:
        """The number of each item → its steps' states and errors."""
        records = list(open_store(self.location).item_records(f"{JOB}#1"))
        found = {
            record["item"]["n"]: {
                one["step"]: (one["state"], one["error"]) for one in record["steps"]
            }
            for record in records
        }
        assert len(found) == len(records)
        return found

    def stored(self) -> Counter[Row]:
        return Counter(map(row_of, open_store(self.location).items(f"{JOB}#1")))

    def feeds(self) -> dict[str, Counter[Row]]:
        """The items of each feed, by its format."""
        return {
            name: Counter(map(row_of, read(self.place.path / name)))
            for name, read in READERS.items()
        }

    def done_pages(self) -> set[str]:
        """The URLs of pages that are committed as done."""
        rows = open_store(self.location).requests(f"{JOB}#1", state="done")
        return {row["url"] for row in rows}

    def fetched(self) -> Counter[str]:
        """How often the site was asked for each page."""
        return Counter(hit.url for hit in self.site.log.hits() if "/leaf/" in hit.url)


def row_of(item: Any) -> Row:
    """An item's fields as text, which is what they are in some of the formats."""
    return tuple("" if item.get(name) is None else str(item[name]) for name in FIELDS)


def _marshalled(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        while file.peek(1):  # type: ignore[attr-defined]
            yield marshal.load(file)


def _pickled(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        while file.peek(1):  # type: ignore[attr-defined]
            yield pickle.load(file)


def _of_xml(path: Path) -> Iterator[Any]:
    for item in ElementTree.parse(path).getroot():
        yield {field.tag: field.text for field in item}


READERS: dict[str, Callable[[Path], Iterator[Any]]] = {
    "jsonlines": lambda path: map(json.loads, path.read_text().splitlines()),
    "json": lambda path: iter(json.loads(path.read_text())),
    "csv": lambda path: csv.DictReader(path.read_text().splitlines()),
    "xml": _of_xml,
    "pickle": _pickled,
    "marshal": _marshalled,
}
