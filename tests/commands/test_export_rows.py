"""``scrapy resume export`` into a database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.model import JobKey

OUT = "postgresql://me:topsecret@127.0.0.1:1/shop#items"
TABLE = "sqlite:///shop.db#books"


@pytest.fixture(autouse=True)
def loop_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the tests has pytest-twisted's."""
    ordinary: Callable[[Coroutine[Any, Any, Any]], Any] = asyncio.run

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(ordinary, coroutine).result()

    monkeypatch.setattr(asyncio, "run", run)


def rows(folder: Path, columns: str = "n") -> list[Any]:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        return sorted(connection.execute(f"SELECT {columns} FROM books"))


def resumed(shelf: Any) -> Any:
    job = shelf.store.resume(JobKey("books", 1), shelf.opening())
    shelf.open_jobs.append(job)
    return job


def numbers(shelf: Any, keyed: str | None = None) -> None:
    for number, prices in ((1, {"a": 1, "b": 1}), (2, {"b": 2}), (10, {"a": 3, "c": 3})):
        job = shelf.begin("books", number)
        items = [{"id": key, "price": price} for key, price in prices.items()]
        shelf.crawl(job, done=[items], keyed=keyed)
        shelf.close(job)


def test_the_export_of_a_job_that_is_over_can_be_repeated(shelf, call, tmp_path):
    job = shelf.begin()
    shelf.crawl(job, done=[[{"n": 1}, {"n": 1}], [{"n": 2}]])
    shelf.close(job)
    for _ in range(2):
        answer = call("export", "-o", f"{TABLE}:sql", "--json")
        assert (answer.code, answer.err) == (0, "")
        found = json.loads(answer.out)
        assert (found["items"], found["format"], found["file"]) == (3, "sql", TABLE)
        assert rows(tmp_path) == [(1,), (1,), (2,)]


def test_a_database_that_is_out_is_one_line_without_its_password(shelf, call):
    shelf.close(shelf.begin())
    answer = call("export", "-o", f"{OUT}:sql")
    assert answer.code == 1
    assert answer.err.startswith("scrapy resume: connection")
    assert len(answer.err.splitlines()) == 1
    assert "topsecret" not in answer.out + answer.err


def test_numbers_add_their_rows_and_overwrite_takes_those_of_earlier_ones(shelf, call, tmp_path):
    numbers(shelf)
    for number in (1, 2):
        assert call("export", f"books#{number}", "-o", f"{TABLE}:sql").code == 0
    assert rows(tmp_path, "id, price") == [("a", 1), ("b", 1), ("b", 2)]
    assert call("export", "books#10", "--overwrite", "-o", f"{TABLE}:sql").code == 0
    assert rows(tmp_path, "id, price") == [("a", 3), ("c", 3)]


def test_all_numbers_are_rows(shelf, call, tmp_path):
    numbers(shelf)
    for _ in range(2):
        answer = call("export", "books", "--all-numbers", "-o", f"{TABLE}:sql")
        assert answer.out == f"5 items of all numbers of books are in {TABLE} (sql)\n"
        assert rows(tmp_path, "id, price") == [("a", 1), ("a", 3), ("b", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize("latest_first", [False, True])
@pytest.mark.parametrize("by", ["item key", "primary key"])
def test_of_each_key_the_latest_of_all_numbers_is_the_row(shelf, call, tmp_path, by, latest_first):
    numbers(shelf, "id" if by == "item key" else None)
    options = {"format": "sql", "overwrite": True}  # that of one number has no part in it
    if by == "primary key":
        options["primary_key"] = "id"
    settings = {"FEEDS": {TABLE: options}}
    if latest_first:  # as the feed of its crawl would have
        assert call("export", "books#10", "-o", f"{TABLE}:sql", **settings).code == 0
    for _ in range(2):
        answer = call("export", "books", "--all-numbers", "-o", f"{TABLE}:sql", **settings)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out == f"3 items of all numbers of books are in {TABLE} (sql)\n"
        assert rows(tmp_path, "id, price") == [("a", 3), ("b", 2), ("c", 3)]


def test_all_numbers_don_t_overwrite(shelf, call, tmp_path):
    numbers(shelf)
    answer = call("export", "books", "--all-numbers", "--overwrite", "-o", f"{TABLE}:sql")
    assert answer.code == 2
    assert "drop the table" in answer.err
    assert not (tmp_path / "shop.db").exists()


@pytest.mark.parametrize("key", [None, "n"])
def test_an_older_copy_of_the_job_beside_a_newer_table_is_compared_and_said(
    shelf, call, tmp_path, key, caplog
):
    settings = {"FEEDS": {TABLE: {"format": "sql", "primary_key": key}}}
    export = ("export", "-o", f"{TABLE}:sql")
    job = shelf.begin()
    shelf.crawl(job, done=[[{"n": 1}, {"n": 2}]])
    shelf.close(job, "paused")
    older = {path: path.read_bytes() for path in shelf.directory.glob("*.sqlite3")}
    job = resumed(shelf)
    shelf.crawl(job, done=[[{"n": 3}], [{"n": 4}]])
    shelf.close(job)
    assert call(*export, **settings).code == 0
    assert rows(tmp_path) == [(1,), (2,), (3,), (4,)]
    for path in shelf.directory.glob("*.sqlite3*"):
        path.unlink()
    for path, content in older.items():
        path.write_bytes(content)
    answer = call(*export, **settings)
    assert answer.code == 0, answer.err
    assert "was restored from an older copy" in answer.err + caplog.text
    assert rows(tmp_path) == [(1,), (2,), (3,), (4,)]  # the crawl may give them yet
    job = resumed(shelf)
    shelf.crawl(job, done=[[{"n": 4}], [{"n": 5}]])
    shelf.close(job)
    answer = call(*export, RESUME_REMOVAL_LIMIT=1, **settings)
    assert answer.code == 0, answer.err
    assert rows(tmp_path) == [(1,), (2,), (4,), (5,)]


@pytest.mark.parametrize("key", [None, "n"])
def test_a_newer_job_beside_an_older_table_gives_it_what_is_missing(shelf, call, tmp_path, key):
    settings = {"FEEDS": {TABLE: {"format": "sql", "primary_key": key}}}
    export = ("export", "-o", f"{TABLE}:sql")
    job = shelf.begin()
    shelf.crawl(job, done=[[{"n": 1}], [{"n": 2}]])
    shelf.close(job, "paused")
    assert call(*export, **settings).code == 0
    older = (tmp_path / "shop.db").read_bytes()
    job = resumed(shelf)
    shelf.crawl(job, done=[[{"n": 3}]])
    shelf.close(job)
    assert call(*export, **settings).code == 0
    (tmp_path / "shop.db").write_bytes(older)
    assert rows(tmp_path) == [(1,), (2,)]
    assert call(*export, **settings).code == 0
    assert rows(tmp_path) == [(1,), (2,), (3,)]
