from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from scrapy_resume.reporting.reports import open_store
from scrapy_resume.settings.parse_location import parsed_location
from scrapy_resume.web.app import Dashboard
from scrapy_resume.web.board import Board
from tests.commands.conftest import Shelf, shelf

__all__ = ["shelf"]

TOKEN = "a token of these tests"
ORIGIN = "http://127.0.0.1:8070"
MARK = {"X-Scrapy-Resume": "test"}


def board_of(shelf: Shelf, **fields: Any) -> Board:
    """A dashboard's board of the jobs of a shelf."""
    usual: dict[str, Any] = {
        "location": parsed_location(shelf.location),
        "open_reports": lambda: open_store(shelf.location),
        "events": shelf.directory / "events",
        "token": TOKEN,
    }
    return Board(**{**usual, **fields})


def client_of(board: Board, **headers: str) -> TestClient:
    """A client that has the token."""
    given = {"Authorization": f"Bearer {TOKEN}", **headers}
    return TestClient(Dashboard(board), base_url=ORIGIN, headers=given, follow_redirects=False)


@pytest.fixture
def board(shelf: Shelf) -> Board:
    return board_of(shelf)


@pytest.fixture
def client(board: Board, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client with the token; what it is told is never older than its question."""
    monkeypatch.setattr("scrapy_resume.web.answers.KEPT_SECONDS", 0.0)
    with client_of(board) as client:
        yield client


@pytest.fixture
def stranger(board: Board) -> Iterator[TestClient]:
    """A client without anything."""
    with TestClient(Dashboard(board), base_url=ORIGIN, follow_redirects=False) as client:
        yield client
