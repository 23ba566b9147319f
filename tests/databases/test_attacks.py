"""Items that are made to break a table: a row each, or an error that names item and field; and the
feed goes on with the rest."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from scrapy_resume.errors import RowsNotWrittenError

from .conftest import NewCrawl
from .following import Job, follow
from .shelf import OWN, Shelf
from .test_crawls import status_of

WORDS = "select table user order group check column default primary null oid ctid xmin rowid"
PIECES = (
    "\" ' ` [ ] % %s %(x)s :a ? \\ \n \t . ; -- /* é ß İ \u0131 漢 🙂 \u0301 \u202e \x01 \x7f a A"
    " _ $ 0 ( ) , ="
)
OWNED = [
    "scrapy_resume_id",
    "removed_at",
    "scrapy_resume_spare",
    "c_0",
    "c_1",
    "key_c_0",
    "excluded",
]
BROKEN = ["", "\x00", "a\x00b", "\ud800", "x\udfff"]


def hostile_name(chance: random.Random) -> str:
    kind = chance.randrange(6)
    if kind == 0:
        word = chance.choice(WORDS.split())
        return chance.choice([word, word.upper(), word.title(), f"{word} "])
    if kind == 1:
        return "".join(chance.choices([*PIECES.split(" "), " "], k=chance.randint(1, 8)))
    if kind == 2:  # cut by PostgreSQL to what others are cut to
        return "x" * chance.choice([62, 63, 64, 65, 199]) + chance.choice("ab")
    if kind == 3:
        return "é" * chance.randint(28, 40) + chance.choice("ab")
    if kind == 4:
        return chance.choice(["name", "Name", "NAME", "straße", "STRASSE", "Éa", "éa"])
    return chance.choice([*OWNED, *BROKEN])


@pytest.mark.parametrize("key", [None, "n"])
@pytest.mark.parametrize(
    ("seed", "count"),
    [(1, 60), *(pytest.param(seed, 1_000, marks=pytest.mark.soak) for seed in (2, 3, 4))],
)
def test_hostile_names_are_a_row_or_an_error_that_names_item_and_field(
    database: Shelf, key: str | None, seed: int, count: int
) -> None:
    chance = random.Random(seed)
    names = [hostile_name(chance) for _ in range(count)]
    job = Job()
    for number, name in enumerate(names):
        job.put({"n": number, name: f"v{number}"}, number)
    feed = follow(database.uri(), job, primary_key=key, on_removed="mark")
    assert isinstance(feed.error, RowsNotWrittenError)
    with database.engine.begin() as connection:
        rows = {
            row["n"]: row for row in connection.exec_driver_sql("SELECT * FROM items").mappings()
        }
    owed = {row["item"]: row["error"] for row in database.side_rows() if row["state"] == 2}
    own = OWN if key is None else ("removed_at",)  # with a key, rows need no id of the feed's
    for number, name in enumerate(names):
        if number in rows:
            assert f"v{number}" in [rows[number][one] for one in rows[number] if one not in own]
        else:
            assert f"item {number}.0, field {name!r}" in owed[f"{number}.0"]
        if name in (*BROKEN, *own):
            assert number not in rows
    assert len(rows) + len(owed) == count
    assert len(rows) > count / 2
    job.put({"n": count}, count)  # nothing is stuck
    follow(database.uri(), job, primary_key=key, on_removed="mark")
    assert len(database.rows()) == len(rows) + 1


def test_an_error_shows_by_what_people_know_the_item(database: Shelf) -> None:
    item = {
        "text": "x" * 101,
        "tags": ["a"],
        "empty": "",
        "title": "Moby \ud83d Dick\n",
        "a b": 1.5,
        "huge": 2**64,
        3: True,
        "fourth": "not shown",
        "\x00": "the culprit",
    }
    job = Job()
    job.put(item, 1)
    job.put({"\x00": "alone"}, 2)
    feed = follow(database.uri(), job)
    assert isinstance(feed.error, RowsNotWrittenError)
    owed = {row["item"]: row["error"] for row in database.side_rows() if row["state"] == 2}
    assert owed["1.0"].endswith(r"(its title='Moby \ud83d Dick\n', 'a b'=1.5, '3'=True)")
    assert "(its" not in owed["2.0"]


def test_a_field_whose_name_is_no_text_is_a_column(database: Shelf) -> None:
    job = Job()
    job.put({"n": 1, 2: "two", None: "none"}, 1)
    job.put({"n": 2, 2.5: "more"}, 2)
    assert follow(database.uri(), job).error is None
    rows = database.rows()
    assert [row["n"] for row in rows] == [1, 2]
    assert (rows[0]["2"], rows[0]["None"], rows[1]["2.5"]) == ("two", "none", "more")


@pytest.mark.soak  # 2,000 columns, one by one
def test_items_of_more_fields_than_a_table_may_have_are_owed(database: Shelf) -> None:
    job = Job()
    job.put({"n": 0}, 0)
    job.put({f"field {number}": 1 for number in range(2_100)}, 1)
    job.put({"n": 2}, 2)
    feed = follow(database.uri(), job)
    assert isinstance(feed.error, RowsNotWrittenError)
    assert "item 1.0, field 'field " in str(feed.error)
    assert sorted(row["n"] for row in database.rows() if row["n"] is not None) == [0, 2]


def test_a_crawl_whose_items_no_row_can_hold_says_what_it_owes(
    new_crawl: NewCrawl, database: Shelf
) -> None:
    """The texts of one page of seven have characters that the frozen column refuses."""
    database.execute(
        "CREATE TABLE items (page BIGINT, place BIGINT, text TEXT CHECK (text NOT LIKE '%xxxxxx'))"
    )
    arguments = {"pages": 14, "pause_seconds": 0}
    crawl = new_crawl(feed=database.uri(), options={"format": "sql"}, arguments=arguments)
    log = crawl.run(code=1)
    status = status_of(crawl)
    assert (status["status"], status["undelivered"]) == ("paused", [database.uri()])
    assert status["error"]["class"] == "RowsNotWrittenError"
    assert "6 items cannot be written, all others are" in status["error"]["message"]
    assert len(database.rows()) == 36
    assert "constraint" in log
    database.execute("ALTER TABLE items RENAME TO refusing")
    database.execute("CREATE TABLE items (page BIGINT, place BIGINT, text TEXT)")
    crawl.run_to_the_end()
    assert len(database.rows()) == 42


@pytest.mark.soak  # 100 MB
@pytest.mark.parametrize("key", [None, "n"])
def test_ten_values_of_ten_megabytes(database: Shelf, key: str | None) -> None:
    job = Job()
    values: list[Any] = ["x" * 10_000_000, "\\" * 10_000_000, b"\x00" * 10_000_000]
    values.append({"a": ["é" * 5_000_000]})
    for number in range(10):
        job.put({"n": number, f"value {number % 4}": values[number % 4]}, number)
    for number in range(10, 40):
        job.put({"n": number}, number)
    feed = follow(database.uri(), job, primary_key=key)
    assert feed.delivered, feed.error
    rows = {row["n"]: row for row in database.rows()}
    assert len(rows) == 40
    for number in range(10):
        found = rows[number][f"value {number % 4}"]
        assert (json.loads(found) if number % 4 == 3 and isinstance(found, str) else found) == (
            values[number % 4]
        )
