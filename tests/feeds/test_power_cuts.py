"""A crawl whose feeds, notes and store a power cut has left as they were at different moments.

The states are copies of one crawl's files at two moments, damaged in the ways of a file system.
Each feed of the crawl has a state of its own; one resume has to make all of them whole.
"""

from __future__ import annotations

import itertools
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import NewCrawl
from .runs import GZIP, Crawl, Live, parsed

BLOCK = 4_096
EARLIER, LATER = "earlier", "later"

FORMS: dict[str, dict[str, Any]] = {
    "jsonl": {"format": "jsonlines"},
    "json": {"format": "json", "indent": 1},
    "csv": {"format": "csv"},
    "xml": {"format": "xml"},
    "over": {"format": "jsonlines", "overwrite": True},
    "gz": {"format": "jsonlines", "postprocessing": [GZIP]},
}

Damage = Callable[[bytes, bytes], bytes]
"""What is left of a feed, of which there was less at the earlier moment."""

FEEDS: dict[str, Damage] = {
    "as-it-was": lambda earlier, later: later,
    "earlier": lambda earlier, later: earlier,
    "cut": lambda earlier, later: later[: len(earlier) // 2],
    "blank-end": lambda earlier, later: later[: len(later) - BLOCK].ljust(len(later), b"\0"),
    "blank-block": lambda earlier, later: (
        later[: len(earlier) // BLOCK * BLOCK]
        + b"\0" * BLOCK
        + later[len(earlier) // BLOCK * BLOCK + BLOCK :]
    ),
    "old": lambda earlier, later: b'{"old": 1}\n' * 9 + later[99:],
}

NOTES: dict[str, Damage] = {
    "as-it-was": lambda earlier, later: later,
    "earlier": lambda earlier, later: earlier,
    "torn": lambda earlier, later: later[:500] + earlier[500:],
    "blank": lambda earlier, later: b"\0" * len(later),
}


def cases() -> Iterator[tuple[str, str, str]]:
    """All combinations of a feed and a note, each with some of the formats. What was overwritten
    comes back in feeds that overwrite alone."""
    forms = itertools.cycle(["jsonl", "json", "csv", "xml", "over"])
    for feed, note in itertools.product(FEEDS, NOTES):
        yield "over" if feed == "old" else next(forms), feed, note
    yield "gz", "as-it-was", "earlier"


def name_of(form: str, feed: str, note: str) -> str:
    return f"out/{form}.{feed}.{note}"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, launcher: Any) -> Crawl:
    """A crawl that was killed. Its folder has copies of two moments, the earlier one before the
    kill."""
    feeds = {name_of(*case): FORMS[case[0]] for case in cases()}
    settings = {"FEEDS": json.dumps(feeds), "DOWNLOAD_DELAY": 0.03}
    folder = tmp_path_factory.mktemp("power") / "killed"
    crawl = Crawl(folder, launcher, settings=settings, arguments={"pages": 120})
    (crawl.folder / "out").mkdir(parents=True)
    for form, feed, note in cases():
        if form == "over":
            (crawl.folder / name_of(form, feed, note)).write_bytes(b'{"old": 1}\n' * 2_000)

    def has_all(size: int) -> bool:
        feeds = [crawl.folder / name_of(*case) for case in cases() if case[0] not in ("gz", "over")]
        notes = list((crawl.folder / "out").glob(".*.resume"))
        return len(notes) == len(set(cases())) and all(
            feed.exists() and feed.stat().st_size >= size for feed in feeds
        )

    def kept(live: Live) -> None:
        for moment, size in ((EARLIER, 2_500), (LATER, 7_000)):
            live.until(lambda size=size: has_all(size))
            live.send(signal.SIGSTOP)
            for folder in ("out", "store"):
                shutil.copytree(crawl.folder / folder, crawl.folder / moment / folder)
            live.send(signal.SIGCONT)
        live.send()

    crawl.run(kill=kept)
    assert not crawl.is_completed()
    return crawl


def put_back(killed: Crawl, crawl: Crawl, record: str) -> None:
    """Have the crawl's folder hold what a power cut has left of the other's."""
    earlier, later = killed.folder / EARLIER, killed.folder / LATER
    shutil.copytree(killed.folder / record / "store", crawl.folder / "store")
    (crawl.folder / "out").mkdir()
    notes = {path.name: path for path in (later / "out").glob(".*.resume")}
    for case in cases():
        _, feed, note = case
        name = Path(name_of(*case)).name
        if case[0] != "gz":  # a placed file is not there yet
            content = FEEDS[feed](
                (earlier / "out" / name).read_bytes(), (later / "out" / name).read_bytes()
            )
            (crawl.folder / "out" / name).write_bytes(content)
        (beside,) = [found for found in notes if found.startswith(f".{name}.")]
        content = NOTES[note](
            (earlier / "out" / beside).read_bytes(), (later / "out" / beside).read_bytes()
        )
        (crawl.folder / "out" / beside).write_bytes(content)


@pytest.mark.sqlite("a feed grows while it is crawled on SQLite alone")
@pytest.mark.parametrize("record", [EARLIER, LATER])
def test_feeds_become_whole_whatever_a_power_cut_has_left(
    new_crawl: NewCrawl, killed: Crawl, record: str
) -> None:
    crawl = new_crawl(settings={"FEEDS": killed.settings["FEEDS"]}, arguments=killed.arguments)
    crawl.folder.mkdir()
    put_back(killed, crawl, record)
    log = crawl.run_to_the_end()
    plain = new_crawl(
        "plain", settings={"FEEDS": json.dumps(plain_feeds())}, arguments=killed.arguments
    )
    plain.run(plain=True)
    wrong = []
    for case in cases():
        options = FORMS[case[0]]
        found = counted(crawl.folder / name_of(*case), options)
        if found != counted(plain.folder / f"out/{case[0]}", options):
            wrong.append(case)
    assert wrong == [], log[-3_000:]
    assert {path.name for path in (crawl.folder / "out").iterdir()} == {
        Path(name_of(*case)).name for case in cases()
    }


def plain_feeds() -> dict[str, dict[str, Any]]:
    return {f"out/{form}": options for form, options in FORMS.items()}


def counted(path: Path, options: dict[str, Any]) -> list[str]:
    import gzip

    content = path.read_bytes()
    if "postprocessing" in options:
        content = gzip.decompress(content)
    return sorted(parsed(content, options["format"]))
