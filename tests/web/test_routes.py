"""Pages and documents, by Starlette's client."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from scrapy_resume.model import JobKey, StepState
from tests.commands.conftest import Shelf
from tests.commands.step_jobs import end, give_items
from tests.support import schemas

from .jobs import shop, with_log

SUBPAGES = ("", "/requests", "/failures", "/units", "/items", "/steps", "/workers", "/events")


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


@pytest.mark.parametrize("page", SUBPAGES)
@pytest.mark.parametrize("close", ["paused", None], ids=["paused", "live"])
def test_every_page_of_a_job_is_shown(
    shelf: Shelf, client: TestClient, page: str, close: str | None
) -> None:
    shop(shelf, close=close)
    with_log(shelf, JobKey("books", 1))
    answer = client.get(f"/jobs/books~1{page}")
    assert answer.status_code == 200, answer.text
    assert "books" in text_of(answer.text)


def test_the_list_has_the_latest_number_of_each_name_and_counts_statuses(
    shelf: Shelf, client: TestClient
) -> None:
    shop(shelf)
    shelf.close(shelf.begin("quotes"))
    shelf.close(shelf.begin("quotes", number=2))
    text = text_of(client.get("/").text)
    assert "quotes #2" in text
    assert "quotes #1" not in text
    assert "completed 1" in text
    assert "paused 1" in text
    assert "books" not in text_of(client.get("/?status=completed").text)
    assert "quotes" not in text_of(client.get("/?q=book").text)


def test_an_empty_store_says_what_to_do(client: TestClient) -> None:
    assert "There are no jobs yet" in client.get("/").text
    assert client.get("/api/jobs").json() == []


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("", "status"), ("/requests", "requests"), ("/failed", "failed"), ("/units", "units"),
        ("/items", "items"), ("/workers", "workers"), ("/events", "log"),
    ],
)  # fmt: skip
def test_a_document_of_the_api_is_that_of_the_command(
    shelf: Shelf, client: TestClient, path: str, schema: str
) -> None:
    shop(shelf, close=None)
    with_log(shelf, JobKey("books", 1))
    document = client.get(f"/api/jobs/books~1{path}").json()
    own = ("id", "request")
    bare = (
        [without(row, own) for row in document]
        if isinstance(document, list)
        else without(document, own)
    )
    assert document
    schemas.check(bare, schema)


def without(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def test_what_a_page_has_nothing_of_yet_has_its_place(shelf: Shelf, client: TestClient) -> None:
    """A live page takes new numbers over by the ids of its parts: all have to be there at first."""

    def parts(page: str) -> list[str]:
        html = client.get(f"/jobs/cars~1{page}").text
        return re.findall(r'id="([a-z-]+)"[^>]* data-live', html)

    job = shelf.begin("cars")
    before = {page: parts(page) for page in SUBPAGES}
    give_items(job, {"k": "a"})
    end(job, "vin", StepState.failed, error="ValueError")
    end(job, "photos", StepState.done)
    shelf.crawl(job, done=[[{"title": "a"}]], failed=["timed out"], leased=1, pending=2)
    assert "ValueError" in client.get("/jobs/cars~1/steps").text
    assert {page: parts(page) for page in SUBPAGES} == before
    assert all(before.values())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "no parameter 'sort'; there are none here"),
        ("/books~1", "there are none here"),
        ("/books~1/requests", "there are state, host, "),
        ("/books~1/failed", "there are examples"),
        ("/books~1/units", "there are state, after, limit"),
        ("/books~1/steps", "there are none here"),
        ("/books~1/items", ", limit, q"),
        ("/books~1/workers", "there are none here"),
        ("/books~1/events", "there are type, limit"),
        ("/books~1/timeseries", "there are none here"),
    ],
)
def test_a_misspelt_parameter_of_the_api_does_not_show_all_rows(
    shelf: Shelf, client: TestClient, path: str, words: str
) -> None:
    shop(shelf)
    assert client.get(f"/api/jobs{path}").status_code == 200
    answer = client.get(f"/api/jobs{path}", params={"sort": "up"})
    assert answer.status_code == 400
    assert words in answer.json()["error"]
