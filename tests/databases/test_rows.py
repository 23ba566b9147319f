"""What becomes a row, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
import scrapy

from scrapy_resume.errors import (
    DatabaseFeedError,
    RowsNotWrittenError,
    TooManyRemovalsError,
)

from .following import Job, follow
from .shelf import Shelf

ZONED = datetime(2026, 3, 1, 12, 30, tzinfo=timezone(timedelta(hours=2)))
UNIQUE = UUID("12345678-1234-5678-1234-567812345678")


class Color(Enum):
    red = "red"


class Book(scrapy.Item):
    title = scrapy.Field()
    price = scrapy.Field(serializer=str)


@dataclass
class Offer:
    title: str
    price: int


def job_with(*items: Any) -> Job:
    job = Job()
    for number, item in enumerate(items):
        job.put(item, number)
    return job


def test_values_of_all_kinds_come_back_as_they_were(database: Shelf) -> None:
    item = {
        "text": "é\n'\"%(x)s",
        "integer": 2**62,
        "real": 1.5,
        "boolean": True,
        "decimal": Decimal("12.30"),
        "day": date(2026, 3, 1),
        "naive": datetime(2026, 3, 1, 12, 30),
        "zoned": ZONED,
        "binary": b"\x00\xff",
        "unique": UNIQUE,
        "nested": {"a": [1, {"b": None}]},
        "color": Color.red,
        "huge": 2**70,
        "nothing": None,
    }
    feed = follow(database.uri(), job_with(item))
    assert feed.delivered
    (row,) = database.rows()
    if database.dialect == "sqlite":
        row["nested"] = json.loads(row["nested"])
        row["boolean"] = bool(row["boolean"])
        item |= {
            "decimal": "12.30",
            "day": "2026-03-01",
            "naive": "2026-03-01T12:30:00",
            "zoned": "2026-03-01T12:30:00+02:00",
            "unique": str(UNIQUE),
            "huge": str(2**70),
        }
    assert row == {**item, "color": "red"}


def test_a_column_that_was_empty_gets_the_type_of_its_first_value(database: Shelf) -> None:
    job = job_with({"a": None, "b": 1})
    assert follow(database.uri(), job).delivered
    job.put({"a": 5, "b": 2}, 8)
    assert follow(database.uri(), job).delivered
    assert {row["a"] for row in database.rows()} == {None, 5}


def test_types_widen_from_integer_to_float_to_text(database: Shelf) -> None:
    job = job_with({"x": 1, "n": 1}, {"x": 2.5, "n": 2})
    assert follow(database.uri(), job).delivered
    assert sorted(row["x"] for row in database.rows()) == [1, 2.5]
    job.put({"x": "007", "n": 3}, 8)
    feed = follow(database.uri(), job)
    assert feed.delivered, feed.error
    found = {row["n"]: row["x"] for row in database.rows()}
    assert found[3] == "007"
    assert found[2] == "2.5"
    assert float(found[1]) == 1


def test_rows_of_items_that_come_again_are_replaced_and_those_that_do_not_are_kept(
    database: Shelf,
) -> None:
    job = job_with({"n": 1}, {"n": 2}, {"n": 3})
    follow(database.uri(), job)
    job.put({"n": 20}, 1)
    job.take_back(2)
    assert follow(database.uri(), job).delivered
    assert sorted(row["n"] for row in database.rows()) == [1, 3, 20]
    job.put({"n": 30}, 2)
    assert follow(database.uri(), job).delivered
    assert sorted(row["n"] for row in database.rows()) == [1, 20, 30]


@pytest.mark.parametrize("key", [None, "n"])
def test_removed_rows_are_deleted_or_marked(database: Shelf, key: str | None) -> None:
    for way in ("delete", "mark"):
        job, table = job_with(*({"n": n} for n in range(20))), f"items_{way}"
        job.uid = way
        how = {"on_removed": way, "primary_key": key}
        follow(database.uri(table), job, **how)
        job.take_back(3)
        assert follow(database.uri(table), job, **how).delivered
        if way == "delete":
            assert sorted(row["n"] for row in database.rows(table)) == [
                n for n in range(20) if n != 3
            ]
            continue
        marked = database.execute(f"SELECT n FROM {table} WHERE removed_at IS NOT NULL")
        assert [n for (n,) in marked] == [3]
        job.put({"n": 3}, 3)
        assert follow(database.uri(table), job, **how).delivered
        assert not database.execute(f"SELECT n FROM {table} WHERE removed_at IS NOT NULL")


def test_more_removals_than_the_limit_stop_the_feed_and_remove_nothing(database: Shelf) -> None:
    job = job_with(*({"n": n} for n in range(20)))
    follow(database.uri(), job, on_removed="delete")
    for request in range(3):
        job.take_back(request)
    feed = follow(database.uri(), job, on_removed="delete")
    assert not feed.delivered
    assert isinstance(feed.error, TooManyRemovalsError)
    assert "RESUME_REMOVAL_LIMIT" in str(feed.error)
    assert len(database.rows()) == 20
    assert follow(database.uri(), job, on_removed="delete", limit=1).delivered
    assert len(database.rows()) == 17


def test_fields_filters_and_serializers_are_scrapys(database: Shelf) -> None:
    job = job_with(Book(title="a", price=1), Offer("b", 2), {"title": "c", "price": 3})
    follow(database.uri("books"), job, item_classes=[Book])
    assert database.rows("books") == [{"title": "a", "price": "1"}]
    follow(database.uri("names"), job, fields={"title": "name"})
    assert sorted(row["name"] for row in database.rows("names")) == ["a", "b", "c"]
    follow(database.uri("prices"), job, fields=["price"], item_classes=[Offer])
    assert database.rows("prices") == [{"price": 2}]


def test_an_item_that_a_filter_takes_no_more_loses_its_row(database: Shelf) -> None:
    job = job_with(*(Book(title=str(n)) for n in range(3)))
    follow(database.uri(), job, item_classes=[Book])
    job.put(Offer("x", 1), 1)
    assert follow(database.uri(), job, item_classes=[Book]).delivered
    assert sorted(row["title"] for row in database.rows()) == ["0", "2"]


def test_with_changed_options_all_rows_are_written_again(database: Shelf) -> None:
    job = job_with({"a": 1, "b": 2}, {"a": 3, "b": 4})
    follow(database.uri(), job, fields=["a"])
    assert follow(database.uri(), job, fields=["a", "b"]).delivered
    assert sorted((row["a"], row["b"]) for row in database.rows()) == [(1, 2), (3, 4)]


# ---- keys


def test_the_last_of_equal_keys_is_the_row_and_nothing_of_the_others_is_left(
    database: Shelf,
) -> None:
    job = job_with({"id": 1, "a": 1}, {"id": 1, "b": 2})
    assert follow(database.uri(), job, primary_key="id").delivered
    assert database.rows() == [{"id": 1, "a": None, "b": 2}]


def test_fill_keeps_what_the_new_item_lacks(database: Shelf) -> None:
    job = job_with({"id": 1, "a": "x", "b": "y"}, {"id": 1, "a": "", "b": "z"}, {"id": 1, "c": 3})
    assert follow(database.uri(), job, primary_key="id", on_conflict="fill").delivered
    assert database.rows() == [{"id": 1, "a": "x", "b": "z", "c": 3}]


def test_ignore_leaves_a_row_of_somebody_else_and_changes_its_own(database: Shelf) -> None:
    database.execute("CREATE TABLE items (id BIGINT PRIMARY KEY, a TEXT)")
    database.execute("INSERT INTO items VALUES (1, 'theirs')")
    job = job_with({"id": 1, "a": "ours"}, {"id": 2, "a": "ours"}, {"id": 2, "a": "ours, later"})
    how = {"primary_key": "id", "on_conflict": "ignore", "on_removed": "delete", "limit": 1}
    assert follow(database.uri(), job, **how).delivered
    assert sorted(row["a"] for row in database.rows()) == ["ours, later", "theirs"]
    for request in range(3):
        job.take_back(request)
    assert follow(database.uri(), job, **how).delivered
    assert [row["a"] for row in database.rows()] == ["theirs"]


def test_a_key_of_several_fields(database: Shelf) -> None:
    job = job_with(
        {"a": "x", "b": 1, "c": 1}, {"a": "x", "b": 2, "c": 2}, {"a": "x", "b": 1, "c": 3}
    )
    how = {"primary_key": ["a", "b"], "on_removed": "delete", "limit": 1}
    assert follow(database.uri(), job, **how).delivered
    assert sorted((row["b"], row["c"]) for row in database.rows()) == [(1, 3), (2, 2)]
    job.take_back(1)
    assert follow(database.uri(), job, **how).delivered
    assert [(row["b"], row["c"]) for row in database.rows()] == [(1, 3)]


def test_a_row_that_two_items_have_given_shows_the_one_that_is_left(database: Shelf) -> None:
    job = job_with({"id": 1, "a": "first"}, {"id": 1, "a": "second"})
    how = {"primary_key": "id", "on_removed": "delete"}
    follow(database.uri(), job, **how)
    job.take_back(1)
    assert follow(database.uri(), job, **how).delivered
    assert database.rows() == [{"id": 1, "a": "first"}]


def test_an_item_whose_key_changes_has_one_row(database: Shelf) -> None:
    job = job_with({"id": 1, "a": "x"})
    follow(database.uri(), job, primary_key="id")
    job.put({"id": 2, "a": "x"}, 0)
    assert follow(database.uri(), job, primary_key="id").delivered
    assert database.rows() == [{"id": 2, "a": "x"}]


def test_jobs_share_a_table_and_remove_only_what_is_theirs_alone(database: Shelf) -> None:
    first, second = job_with({"id": 1}, {"id": 2}), Job("job-2", "others#1")
    second.put({"id": 2}, 0)
    second.put({"id": 3}, 1)
    how = {"primary_key": "id", "on_removed": "delete", "limit": 1}
    follow(database.uri(), first, **how)
    follow(database.uri(), second, **how)
    first.take_back(0)
    first.take_back(1)
    assert follow(database.uri(), first, **how).delivered
    assert sorted(row["id"] for row in database.rows()) == [2, 3]


def test_a_table_without_that_key_is_refused(database: Shelf) -> None:
    database.execute("CREATE TABLE items (id BIGINT, a TEXT)")
    feed = follow(database.uri(), job_with({"id": 1}), primary_key="id")
    assert isinstance(feed.error, DatabaseFeedError)
    assert "unique index" in str(feed.error)


# ---- schema


def test_a_frozen_schema_refuses_what_it_does_not_know_and_takes_the_rest(
    database: Shelf,
) -> None:
    database.execute("CREATE TABLE items (id BIGINT PRIMARY KEY, a TEXT)")
    job = job_with({"id": 1, "a": "x"}, {"id": 2, "b": "y"})
    feed = follow(database.uri(), job, primary_key="id", schema="freeze")
    assert isinstance(feed.error, RowsNotWrittenError)
    assert "'b'" in str(feed.error)
    assert database.rows() == [{"id": 1, "a": "x"}]


def test_a_schema_that_discards_leaves_unknown_fields_out(database: Shelf) -> None:
    database.execute("CREATE TABLE items (id BIGINT PRIMARY KEY, a TEXT)")
    job = job_with({"id": 1, "a": "x", "b": 1})
    assert follow(database.uri(), job, primary_key="id", schema="discard").delivered
    assert database.rows() == [{"id": 1, "a": "x"}]


def test_300_columns_and_values_of_10_megabytes(database: Shelf) -> None:
    item = {f"field {n}": n for n in range(300)}
    job = job_with(item, {"big": "x" * 10_000_000})
    assert follow(database.uri(), job).delivered
    assert len(database.columns()) == 301
    assert max(len(row["big"] or "") for row in database.rows()) == 10_000_000


HOSTILE = [
    'quote"in it',
    "select",
    "Case",
    "a; DROP TABLE items; --",
    "per%cent %(x)s %s",
    "colon:name :x",
    "brackets[0](1)",
    " spaces ",
    "new\nline",
    "über ☃",
    "x" * 200,
    "back\\slash",
    "'single'",
    "c_1",
    "rowid",
    "ctid",
    "0",
    "",
    "nul\x00",
    "\ud800",
    "scrapy_resume_id",
]


def test_hostile_names_are_quoted_or_refused_by_name(database: Shelf) -> None:
    job = Job()
    for number, name in enumerate(HOSTILE):
        job.put({"n": number, name: "value"}, number)
    feed = follow(database.uri(), job)
    written = {row["n"]: row for row in database.rows()}
    assert isinstance(feed.error, RowsNotWrittenError)
    refused = {row["error"] for row in database.side_rows() if row["state"] == 2}
    for number, name in enumerate(HOSTILE):
        if number in written:
            assert "value" in written[number].values(), name
        else:
            assert any(f"field {name!r}" in error for error in refused), (name, refused)
    assert len(written) >= len(HOSTILE) - 6
    assert len(written) + len(refused) == len(HOSTILE)


def test_hostile_tables(database: Shelf) -> None:
    for table in ('quote"in it', "sel ect", "Über", "per%cent"):
        uri = database.uri(table.replace("%", "%25").replace(" ", "%20"))
        job = job_with({"n": 1})
        job.uid = table
        feed = follow(uri, job)
        assert feed.delivered, feed.error
        assert database.rows(table) == [{"n": 1}]


def test_values_that_no_row_can_hold_are_owed_and_the_rest_is_written(database: Shelf) -> None:
    job = job_with(
        {"n": 0}, {"n": 1, "bad": "half \ud800"}, {"n": 2, "bad": {1, object()}}, {"n": 3}
    )
    if database.dialect == "postgresql":
        job.put({"n": 4, "bad": "nul \x00"}, 9)
    feed = follow(database.uri(), job)
    assert sorted(row["n"] for row in database.rows()) == [0, 3]
    assert isinstance(feed.error, RowsNotWrittenError)
    assert "field 'bad'" in str(feed.error)
    feed = follow(database.uri(), job)
    assert isinstance(feed.error, RowsNotWrittenError)
    job.put({"n": 1, "bad": "whole"}, 1)
    job.put({"n": 2, "bad": "whole"}, 2)
    job.take_back(9)
    assert follow(database.uri(), job).delivered
    assert sorted(row["n"] for row in database.rows()) == [0, 1, 2, 3]


def test_names_that_differ_by_case(database: Shelf) -> None:
    job = job_with({"name": "a"}, {"Name": "b"})
    feed = follow(database.uri(), job)
    if database.dialect == "postgresql":
        assert feed.delivered
        assert set(database.columns()) == {"name", "Name"}
    else:
        assert "'Name'" in str(feed.error)
        assert len(database.rows()) == 1


# ---- over numbers, and over backups


def test_overwrite_takes_what_earlier_numbers_have_written_and_nothing_else(
    database: Shelf,
) -> None:
    for key in (None, "n"):
        table = f"items_{key}"
        how = {"overwrite": True, "primary_key": key}
        first, second = job_with({"n": 1}, {"n": 2}), Job("job-2", "books#2")
        other = Job("other", "other#1")
        other.put({"n": 9}, 0)
        follow(database.uri(table), other, primary_key=key)
        follow(database.uri(table), first, **how)
        second.put({"n": 3}, 0)
        assert follow(database.uri(table), second, earlier=("job-1",), **how).delivered
        assert sorted(row["n"] for row in database.rows(table)) == [3, 9]
        second.put({"n": 4}, 1)
        assert follow(database.uri(table), second, earlier=("job-1",), **how).delivered
        assert sorted(row["n"] for row in database.rows(table)) == [3, 4, 9]


def test_an_older_job_beside_a_newer_database_is_compared_row_by_row(database: Shelf) -> None:
    for key in (None, "n"):
        table, how = f"items_{key}", {"primary_key": key}
        newer = job_with(*({"n": n} for n in range(30)))
        follow(database.uri(table), newer, **how)
        older = job_with(*({"n": n} for n in range(10)))
        older.is_of_history = lambda position: not position
        feed = follow(database.uri(table), older, nothing_open=False, **how)
        assert feed.delivered, feed.error
        older.is_of_history = lambda position: True
        for n in reversed(range(10, 30)):  # its pages are found in another order
            older.put({"n": n}, 40 - n)
        assert follow(database.uri(table), older, limit=1, **how).delivered
        assert sorted(row["n"] for row in database.rows(table)) == list(range(30))


def test_a_newer_job_beside_an_older_database_delivers_what_is_missing(
    database: Shelf,
) -> None:
    job = job_with({"n": 1}, {"n": 2})
    follow(database.uri(), job)
    database.execute("DELETE FROM items")
    database.execute("DELETE FROM scrapy_resume_row")
    database.execute("UPDATE scrapy_resume_feed SET position = '[]', delivery = 1")
    job.put({"n": 3}, 5)
    assert follow(database.uri(), job).delivered
    assert sorted(row["n"] for row in database.rows()) == [1, 2, 3]


def test_a_job_of_the_same_name_is_not_taken_for_it(database: Shelf) -> None:
    follow(database.uri(), job_with({"n": 1}))
    another = Job("of-another-store")
    another.put({"n": 2}, 0)
    assert follow(database.uri(), another).delivered
    assert sorted(row["n"] for row in database.rows()) == [1, 2]
