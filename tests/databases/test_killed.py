"""Crawls that are killed: without a key the table holds what plain Scrapy gives, with one a row a
key."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.feeds.runs import at_random, retry

from .conftest import NewCrawl
from .shelf import Shelf

KILLS = 3
SQLITE_FIRST = ["sqlite", pytest.param("postgresql", marks=pytest.mark.soak)]


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 11))]
)
def test_killed_at_any_moment_each_item_is_one_row(
    new_crawl: NewCrawl, database: Shelf, whole: Counter[str], seed: int
) -> None:
    chance = random.Random(seed)
    crawl = new_crawl(feed=database.uri(), options={"format": "sql", "batch_size": 7})
    for _ in range(KILLS):
        crawl.run_killed(at_random(chance))
    crawl.run_to_the_end()
    assert database.items() == whole
    assert len(database.side_rows()) == sum(whole.values())


@pytest.mark.parametrize("dialect", SQLITE_FIRST)
@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 6))]
)
def test_killed_at_any_moment_each_key_has_one_row_that_is_an_item(
    new_crawl: NewCrawl, database: Shelf, whole: Counter[str], seed: int
) -> None:
    chance = random.Random(seed)
    options = {"format": "sql", "primary_key": "place", "batch_size": 5}
    crawl = new_crawl(feed=database.uri(), options=options)
    for _ in range(KILLS):
        crawl.run_killed(at_random(chance))
    crawl.run_to_the_end()
    rows = database.items()
    assert sorted(row["place"] for row in database.rows()) == [0, 1, 2]
    assert rows.keys() <= whole.keys()


@pytest.mark.parametrize("dialect", SQLITE_FIRST)
def test_what_a_retry_replaces_is_replaced(new_crawl: NewCrawl, database: Shelf) -> None:
    how = {"variables": {"FEEDING_FAIL": "7"}}
    plain = new_crawl("plain", **how)
    plain.run(plain=True)
    crawl = new_crawl(feed=database.uri(), options={"format": "sql"}, **how)
    crawl.run()
    assert database.items() == plain.items()
    retry(crawl)
    crawl.variables = {}
    crawl.run_to_the_end()
    assert database.items() == plain.items()
