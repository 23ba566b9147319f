"""G3 in feeds: every format, with and without post-processing and batches, through kills."""

from __future__ import annotations

import itertools
import random
import signal
from typing import Any

import pytest

from tests.support.stores import on_postgres

from .conftest import NewCrawl
from .runs import BZ2, GZIP, LZMA, Live, at_random

FORMATS = ["jsonlines", "json", "csv", "xml", "pickle", "marshal"]
PROCESSED: dict[str, dict[str, Any]] = {
    "": {},
    ".gz": {"postprocessing": [GZIP], "gzip_mtime": 0},
    ".bz2": {"postprocessing": [BZ2]},
    ".xz": {"postprocessing": [LZMA]},
}
BATCHES = [0, 7]
OVERWRITE = [False, True]

EVERY = list(itertools.product(FORMATS, PROCESSED, BATCHES, OVERWRITE))

# Every pair of values of two options is among them.
PAIRWISE = [
    ("jsonlines", "", 0, False),
    ("jsonlines", ".gz", 7, True),
    ("jsonlines", ".bz2", 0, True),
    ("jsonlines", ".xz", 7, False),
    ("json", "", 7, True),
    ("json", ".gz", 0, False),
    ("json", ".bz2", 7, False),
    ("json", ".xz", 0, True),
    ("csv", "", 7, False),
    ("csv", ".gz", 0, True),
    ("csv", ".bz2", 7, True),
    ("csv", ".xz", 0, False),
    ("xml", "", 0, True),
    ("xml", ".gz", 7, False),
    ("xml", ".bz2", 0, False),
    ("xml", ".xz", 7, True),
    ("pickle", "", 7, True),
    ("pickle", ".gz", 0, False),
    ("pickle", ".bz2", 7, True),
    ("pickle", ".xz", 0, True),
    ("marshal", "", 0, False),
    ("marshal", ".gz", 7, True),
    ("marshal", ".bz2", 0, False),
    ("marshal", ".xz", 7, False),
]


# In these, every format and every coding meets every value of the two options beside it. What a
# format writes does not depend on the coding that it is sent through.
KILLED = [
    ("jsonlines", "", 0, False),
    ("jsonlines", ".gz", 7, True),
    ("json", ".bz2", 7, False),
    ("json", ".xz", 0, True),
    ("csv", ".bz2", 7, True),
    ("csv", ".xz", 0, False),
    ("xml", ".bz2", 0, False),
    ("xml", ".xz", 7, True),
    ("pickle", "", 7, True),
    ("pickle", ".gz", 0, False),
    ("marshal", "", 0, False),
    ("marshal", ".gz", 7, True),
]

# In these, every format, every coding and every value of the options is met.
LEFT_ALONE = [
    ("jsonlines", "", 0, False),
    ("json", ".bz2", 7, False),
    ("json", ".xz", 0, True),
    ("csv", ".bz2", 7, True),
    ("xml", ".xz", 7, True),
    ("pickle", "", 7, True),
    ("pickle", ".gz", 0, False),
    ("marshal", ".gz", 7, True),
]


def pairwise(short: list[tuple[str, str, int, bool]]) -> list[Any]:
    """``PAIRWISE``; what is not in the short list is left to the soak."""
    return [pytest.param(*one, marks=[] if one in short else pytest.mark.soak) for one in PAIRWISE]


def how(form: str, suffix: str, batch: int, overwrite: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"format": form, **PROCESSED[suffix]}
    if overwrite:
        options["overwrite"] = True
    if batch:
        options["batch_item_count"] = batch
    name = f"out/items{'-%(batch_id)d' if batch else ''}.{form}{suffix}"
    return {"feed": name, "options": options}


def expected(new_crawl: NewCrawl, **options: Any) -> Any:
    plain = new_crawl("plain", **options)
    plain.run(plain=True)
    return plain


@pytest.mark.parametrize(("form", "suffix", "batch", "overwrite"), pairwise(KILLED))
def test_a_feed_killed_at_random_holds_every_item_once(
    new_crawl: NewCrawl, form: str, suffix: str, batch: int, overwrite: bool
) -> None:
    killed_at_random(new_crawl, (form, suffix, batch, overwrite), seed=1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("form", "suffix", "batch", "overwrite"), EVERY)
def test_any_feed_killed_at_random_holds_every_item_once(
    new_crawl: NewCrawl, form: str, suffix: str, batch: int, overwrite: bool, seed: int
) -> None:
    killed_at_random(new_crawl, (form, suffix, batch, overwrite), seed)


def killed_at_random(new_crawl: NewCrawl, combination: tuple[Any, ...], seed: int) -> None:
    options = how(*combination)
    chance = random.Random(f"{combination} {seed}")
    plain = expected(new_crawl, **options)
    crawl = new_crawl(**options)
    for _ in range(3):
        crawl.run_killed(at_random(chance))
    crawl.run_to_the_end()
    assert crawl.items() == plain.items()
    assert len(crawl.files()) == len(plain.files())
    assert crawl.leftovers() == []


@pytest.mark.parametrize(("form", "suffix", "batch", "overwrite"), pairwise(LEFT_ALONE))
def test_an_uninterrupted_run_gives_the_bytes_of_plain_scrapy(
    new_crawl: NewCrawl, form: str, suffix: str, batch: int, overwrite: bool
) -> None:
    # One request at a time: the order of items is that of plain Scrapy.
    settings = {"CONCURRENT_REQUESTS": 1, "DOWNLOAD_DELAY": 0}
    options = {**how(form, suffix, batch, overwrite), "settings": settings}
    options["arguments"] = {"pause_seconds": 0}
    plain = expected(new_crawl, **options)
    crawl = new_crawl(**options)
    crawl.run()
    assert [path.name for path in crawl.files()] == [path.name for path in plain.files()]
    if on_postgres() and form == "marshal":
        # Marshal writes which objects are identical; these come out of the store.
        assert crawl.items() == plain.items()
        return
    assert [p.read_bytes() for p in crawl.files()] == [p.read_bytes() for p in plain.files()]


DIES = {"EXTENSIONS": '{"tests.feeds.parts.DiesAtFiles": 1}', "RESUME_COMMIT_INTERVAL": 1.0}
"""A commit interval that is long: what is not waited for is not committed yet."""


@pytest.mark.parametrize(
    ("overwrite", "suffix"),
    [
        (False, ""),
        (True, ".bz2"),
        pytest.param(False, ".bz2", marks=pytest.mark.soak),
        pytest.param(True, "", marks=pytest.mark.soak),
    ],
)
def test_a_death_as_the_note_beside_a_batch_goes_does_not_double_it(
    new_crawl: NewCrawl, suffix: str, overwrite: bool
) -> None:
    # A whole batch comes with a commit, and then nothing for a while.
    options = {**how("json", suffix, 7, overwrite)}
    options["settings"] = {**DIES, "CONCURRENT_REQUESTS": 1}
    options["arguments"] = {"pause_seconds": 0.2, "per_page": 7, "pages": 5}
    plain = expected(new_crawl, **options)
    crawl = new_crawl(**options, variables={"FEEDING_DIE": "forgotten"})
    for _ in range(3):
        crawl.run(code=9)
    crawl.variables = {}
    crawl.run_to_the_end()
    assert crawl.items() == plain.items()
    assert crawl.leftovers() == []


def paused(live: Live) -> None:
    live.logged("Spider opened")
    live.wait(0.2)
    live.send(signal.SIGTERM)


@pytest.mark.parametrize(
    ("overwrite", "batch"),
    [
        (False, 0),
        (True, 100),
        pytest.param(False, 100, marks=pytest.mark.soak),
        pytest.param(True, 0, marks=pytest.mark.soak),
    ],
)
def test_a_death_as_a_longer_file_takes_a_shorter_ones_place_does_not_double_it(
    new_crawl: NewCrawl, batch: int, overwrite: bool
) -> None:
    """What a pause has delivered is the job's, whatever the next run was about to put there."""
    options = {**how("json", ".bz2", batch, overwrite), "settings": DIES}
    plain = expected(new_crawl, **options)
    crawl = new_crawl(**options, variables={"FEEDING_DIE": "placed"})
    crawl.run(kill=paused)
    crawl.variables = {"FEEDING_DIE": "placing"}
    for _ in range(2):
        crawl.run(code=9)
    crawl.variables = {}
    crawl.run_to_the_end()
    assert crawl.items() == plain.items()
    assert crawl.leftovers() == []
