"""The same dashboard on a store in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from scrapy_resume.model import JobKey
from tests.commands.conftest import Shelf
from tests.support.postgres import postgres_server

from .conftest import MARK, board_of, client_of
from .jobs import shop
from .test_routes import SUBPAGES

__all__ = ["postgres_server"]


@pytest.fixture
def shared(tmp_path: Path, postgres_server: Any) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "store", postgres_server.new_database())
    yield shelf
    for job in shelf.open_jobs:
        job.abandon()


@pytest.fixture
def pages(shared: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr("scrapy_resume.web.answers.KEPT_SECONDS", 0.0)
    with client_of(board_of(shared)) as client:
        yield client


def test_pages_documents_metrics_and_actions_are_those_of_a_directory(
    shared: Shelf, pages: TestClient
) -> None:
    assert "There are no jobs yet" in pages.get("/").text
    job = shop(shared, close=None)
    for page in SUBPAGES:
        answer = pages.get(f"/jobs/books~1{page}")
        assert answer.status_code == 200, answer.text
    rows = pages.get("/api/jobs/books~1/requests?state=failed&limit=4").json()
    assert len(rows) == 4
    assert pages.get(f"/jobs/books~1/requests/{rows[0]['id']}").status_code == 200
    (item, *_) = pages.get("/api/jobs/books~1/items?q=book").json()
    assert pages.get(f"/jobs/books~1/items/{item['id']}").status_code == 200
    assert 'scrapy_resume_workers{crawl="books"} 1.0' in pages.get("/metrics").text
    named = {"ids": [row["id"] for row in rows], "expect": 4}
    url = "/api/jobs/books~1/retry"
    assert pages.post(url, headers=MARK, json=named).json()["requests"] == 4
    assert pages.post(url, headers=MARK, json=named).status_code == 409
    assert pages.get("/api/jobs/books~1").json()["requests"]["failed"] == 5
    assert pages.post("/api/jobs/books~1/stop", headers=MARK).json()["asked"] == ["host:8"]
    assert job.orders().stop
    lines = pages.get("/jobs/books~1/items.jsonl").text.splitlines()
    assert len(lines) == 80


def test_a_job_that_is_gone_and_a_database_that_is_out_are_said(
    shared: Shelf, pages: TestClient, postgres_server: Any
) -> None:
    shop(shared)
    shared.store.delete(JobKey("books", 1))
    assert pages.get("/jobs/books~1").status_code == 404
    nowhere = Shelf(shared.directory, "postgresql://nobody:hunter2@127.0.0.1:1/nothing")
    with client_of(board_of(nowhere)) as client:
        answer = client.get("/")
        assert answer.status_code == 503
        assert "hunter2" not in answer.text
        assert client.get("/api/jobs").status_code == 503
