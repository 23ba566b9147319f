"""What people do to a job here: with a preview, an expected number, and a name in the log."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.events.action_log import read_actions
from scrapy_resume.events.log_files import remove_events
from scrapy_resume.model import JobKey
from tests.commands.conftest import Shelf, call
from tests.support import schemas

from .conftest import MARK, board_of, client_of
from .jobs import shop

__all__ = ["call"]

BOOKS = JobKey("books", 1)


def post(client: TestClient, action: str, job: str = "books~1", **body: Any) -> Any:
    return client.post(f"/api/jobs/{job}/{action}", headers=MARK, json=body)


def counts(client: TestClient) -> dict[str, int]:
    found: dict[str, int] = client.get("/api/jobs/books~1").json()["requests"]
    return found


def test_a_preview_changes_nothing_and_says_how_many_and_which(
    shelf: Shelf, client: TestClient
) -> None:
    shop(shelf)
    before = counts(client)
    document = post(client, "retry", dry_run=True, error="HttpError").json()
    assert document["requests"] == 9
    assert document["dry_run"] is True
    assert len(document["urls"]) == 9
    assert counts(client) == before
    assert list(read_actions(shelf.directory / "events", BOOKS)) == []


@pytest.mark.parametrize(
    ("action", "body", "state", "number"),
    [
        ("retry", {}, "pending", 59), ("park", {"state": "failed"}, "parked", 9),
        ("skip", {"state": ["failed"]}, "ignored", 13),
        ("retry", {"state": "ignored"}, "pending", 54),
        ("park", {"url": "*/page/*", "limit": 2}, "parked", 2),
    ],
)  # fmt: skip
def test_an_action_takes_the_filters_of_its_command(
    shelf: Shelf, client: TestClient, action: str, body: dict[str, Any], state: str, number: int
) -> None:
    shop(shelf)
    assert post(client, action, **body).status_code == 200
    assert counts(client)[state] == number


def test_chosen_rows_are_changed_and_no_others(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    rows = client.get("/api/jobs/books~1/requests?state=failed&limit=2").json()
    ids = [row["id"] for row in rows]
    assert post(client, "retry", ids=ids, state=["failed"], expect=2).json()["requests"] == 2
    left = client.get("/api/jobs/books~1/requests?state=failed").json()
    assert len(left) == 7
    assert not {row["id"] for row in left} & set(ids)


def test_another_number_than_was_expected_changes_nothing(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    refused = post(client, "retry", expect=8)
    assert refused.status_code == 409
    assert refused.json()["requests"] == 9
    assert counts(client)["failed"] == 9
    assert post(client, "retry", expect=9).json()["requests"] == 9
    assert post(client, "retry", expect=9).status_code == 409


def test_what_arrives_after_the_second_look_is_not_changed(
    shelf: Shelf, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number that was agreed to is a limit, too."""
    from scrapy_resume.web import actions

    shop(shelf)
    retry, choose = actions.CHANGES["retry"]

    def looks_at_fewer(*args: Any, dry_run: bool = False, **filters: Any) -> int:
        if dry_run:
            return 4  # five more have failed since
        return retry(*args, dry_run=dry_run, **filters)

    monkeypatch.setattr(actions, "CHANGES", {"retry": (looks_at_fewer, choose)})
    assert post(client, "retry", expect=4).json()["requests"] == 4
    assert counts(client)["failed"] == 5


@pytest.mark.parametrize(
    ("action", "body", "words"),
    [
        ("retry", {"colour": "red"}, "no filter 'colour'"),
        ("retry", {"state": "broken"}, "unknown state"),
        ("retry", {"state": "leased"}, "cannot be retried"), ("park", {}, "at least one filter"),
        ("skip", {"limit": 3}, "at least one filter"),
        ("retry", {"status": "500"}, "list of numbers"),
        ("retry", {"ids": ["1"]}, "list of numbers"), ("retry", {"ids": [-1]}, "no id"),
        ("retry", {"ids": [True]}, "list of numbers"), ("retry", {"limit": -1}, "whole number"),
        ("retry", {"expect": "9"}, "number of requests"),
        ("retry", {"dry_run": 1}, "true or false"),
        ("retry", {"urls": ["books"]}, "no URL"), ("stop", {"state": "failed"}, "no filters"),
        ("retry", {"dead": True}, "no dead letters"),
        ("retry", {"host": [["a"]]}, "list of texts"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_in_words(
    shelf: Shelf, client: TestClient, action: str, body: dict[str, Any], words: str
) -> None:
    shop(shelf)
    before = counts(client)
    answer = post(client, action, **body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert counts(client) == before


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000, b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_refused(shelf: Shelf, client: TestClient, body: bytes) -> None:
    shop(shelf)
    assert client.post("/api/jobs/books~1/retry", headers=MARK, content=body).status_code == 400


def test_a_body_without_an_end_is_refused(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    body = b'{"url": "' + b"x" * 2_000_000 + b'"}'
    answer = client.post("/api/jobs/books~1/retry", headers=MARK, content=body)
    assert answer.status_code == 400
    assert "too long" in answer.json()["error"]


def test_a_live_crawl_is_asked_to_stop(shelf: Shelf, client: TestClient) -> None:
    job = shop(shelf, close=None)
    with shelf.listening(job) as heard:
        document = post(client, "stop").json()
    assert document["asked"] == ["host:8"]
    assert any(orders.stop for orders in heard)
    assert post(client, "stop").json()["asked"] == []


def test_a_live_crawl_retries_itself(shelf: Shelf, client: TestClient) -> None:
    job = shop(shelf, close=None)
    with shelf.listening(job):
        assert post(client, "retry", expect=9).json()["requests"] == 9
    assert counts(client)["failed"] == 0


def test_an_owner_that_does_not_answer_is_said(
    shelf: Shelf, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scrapy_resume.web import actions

    def silent(*args: Any, **filters: Any) -> int:
        raise StoreUnavailableError("its owner does not answer")

    monkeypatch.setattr(actions, "CHANGES", {"retry": (silent, actions.CHANGES["retry"][1])})
    shop(shelf, close=None)
    answer = post(client, "retry")
    assert answer.status_code == 503
    assert counts(client)["failed"] == 9


def test_what_a_dead_worker_held_is_taken_back(shelf: Shelf, client: TestClient) -> None:
    shelf.crash(shop(shelf, close=None))
    assert client.get("/api/jobs/books~1").json()["status"] == "crashed"
    assert post(client, "recover").json()["requests"] == 3
    assert client.get("/api/jobs/books~1").json()["status"] == "paused"


def test_each_action_is_written_down_with_who_and_what(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    headers = {**MARK, "X-Forwarded-User": "maria\x1b"}
    url = "/api/jobs/books~1/park"
    client.post(url, headers=headers, json={"state": ["failed"], "limit": 3})
    (event,) = read_actions(shelf.directory / "events", BOOKS)
    assert event["action"] == "park"
    assert event["filters"] == {"state": ["failed"], "limit": 3}
    assert event["requests"] == 3
    assert event["by"].startswith("maria")
    assert "testclient" in event["by"]
    page = client.get("/jobs/books~1/events").text
    assert "park" in page
    assert "maria" in page


def test_what_was_done_to_a_job_goes_with_it(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    post(client, "retry")
    directory = shelf.directory / "events"
    remove_events(directory, BOOKS)
    assert list(read_actions(directory, BOOKS)) == []
    assert list(directory.iterdir()) == []


def test_an_action_is_done_where_it_cannot_be_written_down(shelf: Shelf, caplog: Any) -> None:
    shop(shelf)
    nowhere = shelf.directory / "file"
    nowhere.write_text("no directory")
    with client_of(board_of(shelf, events=nowhere)) as client:
        assert post(client, "retry").json()["requests"] == 9
    assert "could not be written" in caplog.text


@pytest.mark.parametrize("harm", ["damage", "make_newer"])
def test_a_job_that_cannot_be_read_is_not_changed(
    shelf: Shelf, client: TestClient, harm: str
) -> None:
    shop(shelf)
    getattr(shelf, harm)("books")
    (file,) = shelf.directory.glob("books#*.sqlite3")
    before = file.read_bytes()
    for action in ("retry", "stop", "recover"):
        assert post(client, action).status_code == 409
    assert file.read_bytes() == before
    page = client.get("/jobs/books~1")
    assert page.status_code == 200
    assert "cannot be read" in page.text
    assert client.get("/api/jobs/books~1").json()["status"] in ("damaged", "unreadable")
    assert client.get("/jobs/books~1/requests").status_code == 409
    assert "books" in client.get("/").text


def test_a_job_that_is_deleted_while_its_page_is_open_is_said_to_be_gone(
    shelf: Shelf, client: TestClient
) -> None:
    shop(shelf)
    assert client.get("/jobs/books~1").status_code == 200
    shelf.store.delete(BOOKS)
    answer = client.get("/jobs/books~1")
    assert answer.status_code == 404
    assert "may have been deleted" in answer.text
    assert post(client, "retry").status_code == 404
    assert client.get("/api/jobs").json() == []


def test_the_log_has_what_was_done_here(shelf: Shelf, client: TestClient, call: Any) -> None:
    shop(shelf)
    post(client, "park", state="failed", limit=1)
    document = call("log", "books", "--json", "--type", "action").out
    assert '"action": "park"' in document
    assert "park" in call("log", "books").out
    (event,) = client.get("/api/jobs/books~1/events").json()
    schemas.check([event], "log")
