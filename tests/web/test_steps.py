"""Steps of items: what their page shows, and what can be done to them there."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from scrapy_resume.model import JobKey, StepState
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.steps.declared import DeclaredStep
from tests.commands.conftest import Shelf
from tests.commands.step_jobs import cars, end, give_items

from .conftest import MARK, board_of, client_of
from .test_routes import text_of

STEPS = "/jobs/cars~1/steps"


def post(client: TestClient, action: str, **body: Any) -> Any:
    return client.post(f"/api/jobs/cars~1/{action}", headers=MARK, json=body)


def states(shelf: Shelf, step: str) -> dict[str, str]:
    records = open_store(shelf.location).item_records("cars", step=step)
    return {
        record["key"]: one["state"]
        for record in records
        for one in record["steps"]
        if one["step"] == step
    }


def shown(client: TestClient, query: str = "") -> str:
    answer = client.get(STEPS + query)
    assert answer.status_code == 200, answer.text
    return text_of(answer.text)


def test_the_page_has_counts_days_errors_and_the_items_that_are_not_done(
    shelf: Shelf, client: TestClient
) -> None:
    cars(shelf)
    text = shown(client)
    assert "photos 0 0 3 1 0 0 75.0%" in text
    assert "vin 0 0 2 0 1 1 66.7%" in text
    assert "4 0 3 1 0 75.0%" in text  # photos by day
    assert "DownloadFailedError photos 1 no answer" in text
    assert "crash vin 1 1 parked the process died 4 times" in text
    # Of the first step with troubles, what is not done.
    html = client.get(STEPS).text
    assert html.count('data-pick="') == 1
    assert 'data-pick="d"' in html
    assert "photos failed vin parked" in text


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("?step=vin", ["d"]), ("?step=vin&state=done", ["b", "a"]), ("?step=vin&state=running", []),
        ("?step=vin&state=done&state=skipped", ["c", "b", "a"]), ("?step=vin&item=a", ["a"]),
        ("?step=vin&state=skipped&state=done&missing=vin", ["c"]), ("?step=photos", ["d"]),
        ("?step=vin&state=done&limit=1", ["b"]), ("?step=vin&item=nobody", []),
    ],
)  # fmt: skip
def test_items_are_found_by_the_state_of_a_step(
    shelf: Shelf, client: TestClient, query: str, keys: list[str]
) -> None:
    cars(shelf)
    html = client.get(STEPS + query).text
    assert [part.partition('"')[0] for part in html.split('data-pick="')[1:]] == keys


def test_what_is_no_step_or_no_state_is_said(shelf: Shelf, client: TestClient) -> None:
    cars(shelf)
    for query in ("?step=nothing", "?state=nothing", "?before=x"):
        assert client.get(STEPS + query).status_code == 400


def test_a_step_that_is_open_is_listed_and_its_item_is_said_to_be_hidden(
    shelf: Shelf, client: TestClient
) -> None:
    job = shelf.begin("cars")
    give_items(job, {"k": "a"}, {"k": "b"})
    end(job, "photos", StepState.done)
    text = shown(client, "?step=vin")
    assert "vin 2 0 0 0 0 0" in text
    html = client.get(f"{STEPS}/1").text
    assert "It is in no feed and no export yet" in html
    request = client.get("/api/jobs/cars~1/requests").json()[0]["id"]
    page = text_of(client.get(f"/jobs/cars~1/requests/{request}").text)
    assert "Steps of its items a open" in page
    end(job, "vin", StepState.done)
    assert "It is in no feed" not in client.get(f"{STEPS}/1").text
    (item,) = client.get("/api/jobs/cars~1/items").json()
    page = text_of(client.get(f"/jobs/cars~1/items/{item['id']}").text)
    assert "photos done 1" in page
    assert "vin done 1" in page
    assert client.get(f"{STEPS}/99").status_code == 404


def test_a_preview_of_steps_changes_nothing_and_says_how_many_and_which(
    shelf: Shelf, client: TestClient
) -> None:
    shelf.close(cars(shelf), "completed")
    before = states(shelf, "photos")
    document = post(client, "retry", step="photos", dry_run=True).json()
    assert (document["steps"], document["items"], document["dry_run"]) == (1, ["d"], True)
    assert states(shelf, "photos") == before


@pytest.mark.parametrize(
    ("action", "body", "changed"),
    [
        ("retry", {"step": "photos"}, {"d": "pending"}),
        ("retry", {"step": "vin", "items": ["a", "b"]}, {"a": "pending", "b": "pending"}),
        ("retry", {"step": "vin", "state": "skipped"}, {"c": "pending"}),
        ("retry", {"step": "vin", "missing": ["vin"]}, {"c": "pending", "d": "pending"}),
        ("skip", {"step": "vin"}, {"d": "skipped"}),
        ("skip", {"step": "photos", "items": ["a"]}, {}),
        ("retry", {"step": "vin", "state": ["done"], "limit": 1}, {"a": "pending"}),
    ],
)
def test_steps_are_changed_as_by_the_commands(
    shelf: Shelf, client: TestClient, action: str, body: dict[str, Any], changed: dict[str, str]
) -> None:
    shelf.close(cars(shelf), "completed")
    step = body["step"]
    before = states(shelf, step)
    document = post(client, action, **body).json()
    assert document["steps"] == len(changed)
    assert states(shelf, step) == {**before, **changed}
    (event,) = client.get("/api/jobs/cars~1/events?type=action").json()
    assert (event["action"], event["steps"], event["filters"]["step"]) == (
        action,
        len(changed),
        step,
    )


def test_another_number_than_was_expected_changes_nothing(shelf: Shelf, client: TestClient) -> None:
    shelf.close(cars(shelf), "completed")
    answer = post(client, "retry", step="vin", expect=2)
    assert (answer.status_code, answer.json()["requests"]) == (409, 1)
    assert states(shelf, "vin")["d"] == "parked"
    assert post(client, "retry", step="vin", expect=1).json()["steps"] == 1


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("park", {"step": "vin"}), ("retry", {"step": ""}), ("retry", {"step": 1}),
        ("retry", {"step": "nothing"}), ("retry", {"step": "vin", "host": "h"}),
        ("retry", {"step": "vin", "state": "running"}), ("skip", {"step": "vin", "state": "done"}),
        ("retry", {"step": "vin", "outdated": True}), ("retry", {"step": "vin", "outdated": 1}),
        ("retry", {"step": "vin", "expect": "1"}), ("retry", {"step": "vin", "items": [1]}),
        ("retry", {"step": "vin", "limit": -1}),
    ],
)  # fmt: skip
def test_what_cannot_be_done_to_steps_is_said(
    shelf: Shelf, client: TestClient, action: str, body: dict[str, Any]
) -> None:
    shelf.close(cars(shelf), "completed")
    answer = post(client, action, **body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert "pending" not in states(shelf, "vin").values()


def test_what_the_projects_code_says_of_a_step_is_kept_to(shelf: Shelf) -> None:
    shelf.close(cars(shelf), "completed")

    def declared(spider: str, name: str) -> DeclaredStep:
        assert (spider, name) == ("books", "vin")
        return DeclaredStep(
            name=name, version="2", needs=(), after=(), is_on=True, is_consumed=False
        )

    with client_of(board_of(shelf, declared_step=declared)) as client:
        document = post(client, "retry", step="vin", outdated=True, dry_run=True).json()
        assert document["items"] == ["a", "b", "c", "d"]


def test_a_reader_is_shown_no_button(shelf: Shelf) -> None:
    cars(shelf)
    with client_of(board_of(shelf, read_only=True)) as client:
        for path in (STEPS, f"{STEPS}/4"):
            html = client.get(path).text
            assert "data-action" not in html
            assert "data-bulk" not in html
            assert "data-pick" not in html


def test_a_job_without_steps_says_what_they_are(shelf: Shelf, client: TestClient) -> None:
    shelf.close(shelf.begin("cars"))
    assert "RESUME_STEPS names them" in shown(client)
    assert JobKey("cars", 1) in open_store(shelf.location).pages.stamps()
