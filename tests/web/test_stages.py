"""A stage's job: it has tasks and keys where a crawl has requests and URLs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from scrapy_resume import Stage
from tests.commands.conftest import Shelf
from tests.support.stages import run_async

from .test_routes import SUBPAGES, text_of

OF_CRAWLS = re.compile(r"\b([Rr]equests?|URLs?|[Pp]ages?|Hosts?|HTTP|spider)\b")


async def price(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == "b":
        raise ConnectionError("no answer")
    return {**row, "price": 3}


@pytest.fixture
def stage(shelf: Shelf) -> Stage:
    async def main() -> Stage:
        async with Stage("prices", store=shelf.directory) as stage:
            await stage.map(price, [{"id": one} for one in "abc"], key="id", retry_delay=0)
        return stage

    return run_async(main)


def test_its_pages_speak_of_tasks_and_keys(stage: Stage, client: TestClient) -> None:
    (document,) = client.get("/api/jobs").json()
    pages = [f"/jobs/{document['id']}{page}" for page in SUBPAGES if page != "/steps"]
    rows = client.get(f"/api/jobs/{document['id']}/requests").json()
    pages += [f"/jobs/{document['id']}/requests/{row['id']}" for row in rows]
    for page in pages:
        html = client.get(page).text
        main = text_of(html[html.index("<main") : html.index("</main")])
        assert not re.search(r"\b([Rr]equests?|URLs?|[Pp]ages?|Hosts?|HTTP|spider)\b", main), (
            page,
            main,
        )
    html = client.get(f"/jobs/{document['id']}").text
    assert 'data-noun="task"' in html
    assert "Tasks/min" in html
    assert 'href="/jobs/prices~1/requests?state=failed"' in html
