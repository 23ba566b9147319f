"""What a request consists of comes back as it was, however it is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.model import Selection, State
from scrapy_resume.store.sqlite.reader import reading
from scrapy_resume.store.sqlite.shared_text import REMEMBERED, SharedTexts

from .conftest import Place
from .records import BOOKS, PAYLOAD, admission, continuation, finish

OTHER = json.dumps({"callback": "parse_author", "method": "POST"})


def payloads(place: Place) -> list[str]:
    """What the next run is handed, by id."""
    run = place.resume()
    rows = sorted(run.lease(count=100), key=lambda row: row.id)
    run.die()
    return [row.payload for row in rows]


def test_equal_and_unequal_payloads_come_back(place: Place) -> None:
    run = place.begin()
    given = [PAYLOAD, OTHER, PAYLOAD, '{"meta":{"n":4}}', OTHER, PAYLOAD]
    run.admit(*(admission(row, payload=text) for row, text in enumerate(given, 1)))
    run.admit(admission(7), admission(8, payload="{}"))
    run.die()
    assert payloads(place) == [*given, PAYLOAD, "{}"]


def test_readers_see_the_callback_and_the_method(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, payload=OTHER) for row in (1, 2)), admission(3))
    rows = place.rows()
    assert [rows[name]["callback"] for name in "123"] == ["parse_author"] * 2 + ["parse"]
    assert [rows[name]["method"] for name in "123"] == ["POST", "POST", "GET"]
    found = place.reader.requests(BOOKS, Selection(callback="parse_author"))
    assert len(list(found)) == 2


def test_what_goes_on_as_another_request_leaves_its_siblings_as_they_were(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=row == 1) for row in (1, 2, 3)))
    run.admit(continuation(1, "moved", payload=OTHER, lease=False))
    run.die()
    assert payloads(place) == [OTHER, PAYLOAD, PAYLOAD]


def test_retries_are_taken_out_of_one_without_changing_the_others(place: Place) -> None:
    text = json.dumps({"callback": "parse_city", "meta": {"retry_times": 2, "kept": 1}})
    run = place.begin()
    run.admit(*(admission(row, payload=text, lease=row == 1) for row in (1, 2)))
    run.finish(finish(1, state=State.failed, error="HttpError"))
    run.close()
    place.retry_closed(1)
    first, second = payloads(place)
    assert json.loads(first) == {"callback": "parse_city", "meta": {"kept": 1}}
    assert second == text


def test_sqlite_keeps_what_many_have_in_common_once(
    directory: Path, exclusive_place: Place
) -> None:
    path = directory / "books#1.sqlite3"
    run = exclusive_place.begin()
    for batch in range(5):
        run.admit(*(admission(10 * batch + row) for row in range(1, 11)))
    with reading(path) as connection:
        assert connection.execute("SELECT text FROM payload").fetchall() == [(PAYLOAD,)]
        query = "SELECT count(*) FROM request WHERE payload = '' AND shared = 1"
        assert connection.execute(query).fetchone() == (50,)


def test_sqlite_takes_nothing_for_kept_that_was_rolled_back(exclusive_place: Place) -> None:
    run = exclusive_place.begin()
    run.admit(admission(1))
    connection = run.job._connection  # type: ignore[attr-defined]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    large = [json.dumps({"callback": "parse", "meta": {"text": letter * 5000}}) for letter in "ab"]
    for text in large:
        with pytest.raises(StoreUnavailableError, match="the disk is full"):
            run.admit(admission(2, payload=text), admission(3, payload=text))
    connection.execute("PRAGMA max_page_count = 100000").fetchall()
    run.admit(admission(2, payload=large[1]), admission(3, payload=large[1]))
    run.admit(admission(4, payload=large[0]), admission(5, payload=large[0]))
    run.die()
    assert payloads(exclusive_place) == [PAYLOAD, large[1], large[1], large[0], large[0]]


def test_so_many_are_remembered_and_the_rest_is_written_once_more() -> None:
    shared = SharedTexts()
    written: list[str] = []

    def add(text: str) -> int:
        written.append(text)
        return len(written)

    texts = [f"a payload with the number {number}" for number in range(REMEMBERED + 1)]
    for text in texts:
        assert shared.ids([text, text, "alone, and of some length"], add) == {text: len(written)}
    assert shared.ids([texts[-1]], add) == {texts[-1]: len(written)}
    assert shared.ids([texts[0]], add) == {}
    assert shared.ids([texts[0]] * 2, add) == {texts[0]: len(written)}
    assert len(written) == len(texts) + 1
    assert shared.ids(["short"] * 9, add) == {}
