"""A URL comes back as it was and is found as a whole, however it is kept."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.support.addresses import SHOP, Address, flat_url, product_url
from benchmarks.support.large_job import LargeJob
from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.model import Phase, Selection, State
from scrapy_resume.store.sqlite.reader import reading
from scrapy_resume.store.sqlite.shared_text import REMEMBERED, SharedBeginnings, origin_of
from scrapy_resume.store.transaction.queries import read_sql

from .conftest import Place
from .records import BOOKS, SLOT, Run, admission, continuation, finish

HATS = f"https://{SLOT}/catalogue/hats"
URLS = [
    f"{HATS}/red-1",
    f"{HATS}/blue-2?sort=/by/price",
    f"{HATS}/green-3#/reviews/1",
    f"{HATS}/straw-4/",
    f"{HATS}/?page=2",
    f"{HATS}/",
    HATS,
    f"https://{SLOT}/about/us",
    f"https://{SLOT}/",
    f"https://{SLOT}",
    f"https://{SLOT}//",
    f"https://{SLOT}/?",
    f"https://{SLOT}?next=/a/b/c",
    f"https://{SLOT}?next=/a/b/d",
    "http://user:pass@bücher.example:8080/straße/ä",
    "http://user:pass@bücher.example:8080/straße/ö",
    "http://other.example/alone",
    "about:blank",
    "data:text/html;charset=utf-8,<a href='/a/b'>",
    "data:text/html;charset=utf-8,<a href='/a/c'>",
    "file:///srv/www/pages/1.html",
    "file:///srv/www/pages/2.html",
    "javascript:open('https://shop.example/catalogue/hats/1')",
    f"{HATS}/{'x' * 3000}",
]


def admit_all(run: Run, urls: list[str] = URLS, **fields: Any) -> None:
    run.admit(*(admission(row, url=url, **fields) for row, url in enumerate(urls, run.next_id)))


def leased_urls(place: Place) -> list[str]:
    """What the next run is handed, by id."""
    run = place.resume()
    rows = sorted(run.lease(count=100), key=lambda row: row.id)
    run.die()
    return [row.url for row in rows]


def test_every_url_comes_back_to_the_letter(place: Place) -> None:
    run = place.begin()
    admit_all(run)
    for url in URLS:
        admit_all(run, [url])
    assert [row["url"] for row in place.reader.requests(BOOKS)] == URLS * 2
    run.die()
    assert leased_urls(place) == URLS * 2
    leased = place.reader.requests(BOOKS, Selection((State.leased,)))
    assert [row["url"] for row in leased] == URLS * 2
    assert place.store.verify(BOOKS).violations == []


def test_units_items_and_failures_have_whole_urls(place: Place) -> None:
    run = place.begin()
    admit_all(run, lease=True)
    run.finish(finish(1, ["{}"]), finish(2, state=State.failed, error="E"))
    units = {row["unit"]: row for row in place.reader.units(BOOKS)}
    assert set(units) == set(URLS)
    assert units[URLS[0]]["cursor"] == URLS[0]
    (failure,) = place.reader.failures(BOOKS, 5, 100)
    assert failure["examples"] == [URLS[1]]
    for row in range(3, len(URLS) + 1):
        run.job.mark(row, Phase.sent)
    run.commit()
    assert place.reader.in_flight_urls(BOOKS) == URLS[2:]
    assert [row["unit"] for row in place.reader.requests(BOOKS)] == URLS


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(url=f"https://{SLOT}/cat*/hats/red-?"), URLS[:1]),
        (Selection(url=f"{HATS}/s*"), [URLS[3]]),
        (Selection(url="*ogue/hats/*-?"), [URLS[0]]),
        (Selection(url="*/straße/ö"), [URLS[15]]),
        (Selection(host="bücher.example"), URLS[14:16]),
        (Selection(unit=URLS[1]), [URLS[1]]),
        (Selection((State.failed,), url="*hats/blue*"), [URLS[1]]),
        (Selection((State.failed,), url="blue*"), []),
    ],
)
def test_a_filter_is_on_the_whole_url(place: Place, selection: Selection, found: list[str]) -> None:
    run = place.begin()
    admit_all(run, lease=True)
    run.finish(finish(2, state=State.failed, error="E"))
    assert [row["url"] for row in place.reader.requests(BOOKS, selection)] == found


def test_requests_are_retried_and_parked_by_their_whole_url(place: Place) -> None:
    run = place.begin()
    admit_all(run, lease=True)
    run.finish(finish(1, state=State.failed, error="E"))
    run.close()
    assert place.store.steer(BOOKS, Selection((State.failed,), url=URLS[0]), State.pending) == 1
    meant = Selection((State.pending,), url=f"https://{SLOT}/about/*")
    assert place.store.steer(BOOKS, meant, State.parked) == 1
    assert [row["url"] for row in place.reader.requests(BOOKS)] == URLS


def test_what_goes_on_elsewhere_leaves_its_siblings_where_they_were(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, url=f"{HATS}/{row}", lease=True) for row in (1, 2, 3)))
    moved = f"https://{SLOT}/moved/1"
    run.admit(continuation(1, "moved", url=moved))
    run.admit(continuation(2, url=f"{HATS}/2", lease=False))
    run.die()
    assert leased_urls(place) == [moved, f"{HATS}/2", f"{HATS}/3"]


def test_runs_that_die_leave_whole_urls(place: Place) -> None:
    urls = []
    for number in range(4):
        run = place.resume() if number else place.begin()
        portion = [f"{HATS}/{number}-{row}" for row in range(3)]
        admit_all(run, portion)
        urls += portion
        run.die()
    assert leased_urls(place) == urls
    assert place.store.verify(BOOKS).violations == []


def test_a_copy_has_whole_urls(place: Place, tmp_path: Path) -> None:
    run = place.begin()
    admit_all(run)
    place.store.backup(BOOKS, tmp_path / "books.backup")
    run.close()
    place.store.delete(BOOKS)
    place.store.restore(tmp_path / "books.backup")
    assert [row["url"] for row in place.reader.requests(BOOKS)] == URLS
    assert leased_urls(place) == URLS


# In SQLite


def rows(path: Path, query: str) -> list[Any]:
    with reading(path) as connection:
        return connection.execute(query).fetchall()


def test_sqlite_keeps_what_urls_begin_with_once(exclusive_place: Place, directory: Path) -> None:
    run = exclusive_place.begin()
    for batch in range(5):
        admit_all(run, [f"{HATS}/{batch}-{row}" for row in range(10)])
    path = directory / "books#1.sqlite3"
    assert rows(path, "SELECT text FROM beginning") == [(f"{HATS}/",)]
    assert rows(path, "SELECT count(*) FROM request WHERE beginning = 1") == [(50,)]
    assert rows(path, "SELECT url FROM request WHERE id = 13") == [("1-2",)]


def test_people_sort_and_read_whole_urls(exclusive_place: Place, directory: Path) -> None:
    run = exclusive_place.begin()
    admit_all(run, lease=True)
    run.finish(*(finish(row, ["{}"]) for row in range(1, len(URLS) + 1)))
    path = directory / "books#1.sqlite3"
    in_order = [(url,) for url in sorted(URLS, key=str.encode)]
    assert rows(path, "SELECT url FROM requests ORDER BY url") == in_order
    assert rows(path, "SELECT url FROM items ORDER BY url") == in_order
    assert rows(path, "SELECT unit FROM items ORDER BY unit") == in_order


def test_sqlite_takes_no_beginning_for_kept_that_was_rolled_back(exclusive_place: Place) -> None:
    run = exclusive_place.begin()
    admit_all(run, ["about:blank"])
    connection = run.job._connection  # type: ignore[attr-defined]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    large = [[f"https://{letter * 5000}/dir/{row}" for row in (1, 2)] for letter in "ab"]
    for urls in large:
        with pytest.raises(StoreUnavailableError, match="the disk is full"):
            run.admit(*(admission(row, url=url) for row, url in enumerate(urls, 2)))
    connection.execute("PRAGMA max_page_count = 100000").fetchall()
    run.admit(*(admission(row, url=url) for row, url in enumerate(large[1], 2)))
    run.admit(*(admission(row, url=url) for row, url in enumerate(large[0], 4)))
    run.die()
    assert leased_urls(exclusive_place) == ["about:blank", *large[1], *large[0]]


@pytest.mark.parametrize("address", [product_url, flat_url])
def test_a_finished_url_of_60_characters_takes_150_bytes(directory: Path, address: Address) -> None:
    count = 20_000
    LargeJob(SHOP, count, 0, units=100, address=address).build(directory, "books")
    (path,) = directory.glob("*.sqlite3")
    assert {len(url) for (url,) in rows(path, "SELECT url FROM requests")} == {60}
    with contextlib.closing(sqlite3.connect(":memory:")) as empty:
        empty.executescript(read_sql("sqlite", "schema.sql"))
        ((pages,),) = empty.execute("PRAGMA page_count").fetchall()
    # What an empty job takes is no part of it: a page for each table and index.
    assert path.stat().st_size - 4_096 * pages <= 141 * count


# How they are parted


class Written(list[str]):
    """The beginnings of a store; the id is the place, from 1."""

    def add(self, text: str) -> int:
        self.append(text)
        return len(self)

    def join(self, parted: list[tuple[int | None, str]]) -> list[str]:
        return [rest if number is None else self[number - 1] + rest for number, rest in parted]


def test_a_directory_is_shared_by_two_and_an_origin_by_the_rest() -> None:
    shared, written = SharedBeginnings(), Written()
    urls = [f"{HATS}/1", f"{HATS}/2", f"https://{SLOT}/a/1", f"https://{SLOT}/b/1?x=/y/", URLS[16]]
    assert shared.parted(urls, written.add) == [
        (1, "1"),
        (1, "2"),
        (2, "a/1"),
        (2, "b/1?x=/y/"),
        (None, URLS[16]),
    ]
    assert written == [f"{HATS}/", f"https://{SLOT}/"]
    assert shared.parted(
        [f"{HATS}/3/", f"https://{SLOT}/c/9", f"https://{SLOT}/c"], written.add
    ) == [
        (1, "3/"),
        (2, "c/9"),
        (2, "c"),
    ]
    assert len(written) == 2


def test_a_directory_of_one_link_in_each_batch_is_shared_from_the_second_on() -> None:
    shared, written = SharedBeginnings(), Written()
    found = [shared.parted([f"{HATS}/{row}"], written.add)[0] for row in range(4)]
    assert found == [(None, f"{HATS}/0"), (1, "1"), (1, "2"), (1, "3")]


def test_only_so_many_beginnings_are_remembered() -> None:
    shared, written = SharedBeginnings(), Written()
    for number in range(2 * REMEMBERED):
        shared.parted([f"https://{number}.{SLOT}/once"], written.add)
    assert written == []
    assert len(shared._once) <= REMEMBERED
    for number in range(2 * REMEMBERED):
        urls = [f"https://{SLOT}/directory-{number}/{row}" for row in (1, 2)]
        assert written.join(shared.parted(urls, written.add)) == urls
    assert len(shared._ids) == REMEMBERED
    assert written[-1] in shared._ids


PARTS = st.lists(
    st.sampled_from(["http", "://", "/", "a", "shop.example", "?", "#", ":", "ä", "//", "\n"]),
    max_size=12,
).map("".join)


@given(st.lists(PARTS, max_size=8), st.lists(PARTS, max_size=8))
def test_parted_and_joined_every_text_is_what_it_was(first: list[str], second: list[str]) -> None:
    shared, written = SharedBeginnings(), Written()
    for urls in (first, first + second, second):
        assert written.join(shared.parted(urls, written.add)) == urls
    assert all("://" in text and text.endswith("/") for text in written)
    assert all(origin_of(text) for text in written)
