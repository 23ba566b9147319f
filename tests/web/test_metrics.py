"""``/metrics``: what Prometheus reads, of the latest number of each crawl."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from starlette.testclient import TestClient

from tests.commands.conftest import Shelf

from .conftest import board_of, client_of
from .jobs import HOSTILE, shop

ACCEPT = "application/openmetrics-text; version=1.0.0"
DOCS = Path(__file__).resolve().parents[2] / "docs"


def samples(text: str, parse: Any = openmetrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def test_the_metrics_are_those_of_the_interface(shelf: Shelf, client: TestClient) -> None:
    shop(shelf, close=None)
    answer = client.get("/metrics", headers={"Accept": ACCEPT})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = samples(answer.text)
    states = {"pending": 50, "leased": 3, "done": 60, "failed": 9, "parked": 0, "ignored": 4}
    for state, count in states.items():
        assert found["scrapy_resume_requests", "books", state] == count
    assert found["scrapy_resume_workers", "books"] == 1
    assert found["scrapy_resume_responses_total", "books"] == 60
    assert found["scrapy_resume_items_total", "books"] == 80
    assert found["scrapy_resume_last_progress_timestamp_seconds", "books"] > 1.7e9
    older = client.get("/metrics", headers={"Accept": "text/plain"})
    assert samples(older.text, plain)["scrapy_resume_items_total", "books"] == 80


def test_only_the_latest_number_counts(shelf: Shelf, client: TestClient) -> None:
    shop(shelf)
    shelf.crawl(shelf.begin("books", number=2), pending=1)
    found = samples(client.get("/metrics", headers={"Accept": ACCEPT}).text)
    assert found["scrapy_resume_requests", "books", "pending"] == 1
    assert found["scrapy_resume_requests", "books", "done"] == 0


def test_a_hostile_name_and_a_damaged_job_break_no_line(shelf: Shelf, client: TestClient) -> None:
    for name in (f'{HOSTILE}"}} 1', "back\\slash", "new\nline", "\udcff"):
        shelf.close(shelf.begin(name))
    shelf.begin("broken")
    shelf.damage("broken")
    found = samples(client.get("/metrics", headers={"Accept": ACCEPT}).text)
    assert found["scrapy_resume_readable", "broken"] == 0
    assert sum(key[0] == "scrapy_resume_workers" for key in found) == 4


def test_a_dashboard_of_metrics_has_nothing_else(shelf: Shelf) -> None:
    shop(shelf)
    with client_of(board_of(shelf, metrics_only=True)) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/healthz").status_code == 200
        for path in ("/", "/api/jobs", "/jobs/books~1", "/stream"):
            assert client.get(path).status_code == 404


@pytest.mark.parametrize("file", ["grafana-dashboard.json", "prometheus-alerts.yml"])
def test_what_docs_ask_prometheus_for_is_there(shelf: Shelf, client: TestClient, file: str) -> None:
    shop(shelf)
    text = (DOCS / "monitoring" / file).read_text(encoding="utf-8")
    known = set(re.findall(r"^# TYPE (\S+)", client.get("/metrics").text, flags=re.MULTILINE))
    asked = set(re.findall(r"scrapy_resume_[a-z_]+", text))
    assert asked
    assert asked <= known | {f"{name}_total" for name in known}
    if file.endswith(".json"):
        board = json.loads(text)
        assert all(panel["targets"] for panel in board["panels"] if panel["type"] != "row")
