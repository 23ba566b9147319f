"""What each page of the dashboard costs for a large job: CPU of the server, in milliseconds.

    python benchmarks/dashboard_pages.py [--requests 10000000] [--steps 1000000] [--looks 5]

The job is made in a temporary directory: for ten million requests that takes some minutes and 4 GB.
Printed is the median and the dearest of the looks at each page. Ends with 1 if the median of one is
not below 100 ms.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from starlette.testclient import TestClient

from benchmarks.support.large_job import LargeJob, grow
from benchmarks.support.many_steps import STEPS_A_ITEM, add_steps
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.settings.parse_location import parsed_location
from scrapy_resume.web import answers
from scrapy_resume.web.app import Dashboard
from scrapy_resume.web.board import Board

TOKEN = "benchmark"
LIMIT_MS = 100
WRITTEN = 1_000_000
"""Requests that are written one by one; more are copies of them."""

JOB = "/jobs/large~1"
PAGES = (
    "/", JOB, f"{JOB}/requests", f"{JOB}/requests?state=failed", f"{JOB}/requests?state=pending",
    f"{JOB}/requests?state=done", f"{JOB}/requests?url=*nothing*", f"{JOB}/requests?host=nothing",
    f"{JOB}/requests?missing=page", f"{JOB}/requests?state=failed&error=X", f"{JOB}/requests/5",
    f"{JOB}/failures", f"{JOB}/units", f"{JOB}/items", f"{JOB}/items?q=nothing", f"{JOB}/items/7",
    f"{JOB}/steps", f"{JOB}/steps?step=vin&state=pending", f"{JOB}/steps?step=vin&state=running",
    f"{JOB}/steps?step=vin&state=done", f"{JOB}/steps?step=vin&state=parked",
    f"{JOB}/steps?step=vin&item=item-77", f"{JOB}/steps?step=vin&state=done&missing=nothing",
    f"{JOB}/steps/77", f"{JOB}/workers", f"{JOB}/events", "/metrics", f"/api{JOB}/timeseries",
    f"/api{JOB}/steps", f"/api{JOB}/failed",
)  # fmt: skip


def build(store: Path, requests: int, steps: int) -> None:
    """Make the job."""
    written = min(requests, WRITTEN)
    job = LargeJob("http://h", written, written // 10, slots=50, items=1, failed_every=20, units=99)
    job.build(store, "large")
    if requests > written:
        grow(store, requests // written)
    add_steps(store, steps // STEPS_A_ITEM)


def dashboard_of(store: Path) -> TestClient:
    """A client of the dashboard of a store."""
    board = Board(
        location=parsed_location(str(store)),
        open_reports=lambda: open_store(store),
        events=store / "events",
        token=TOKEN,
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return TestClient(Dashboard(board), base_url="http://127.0.0.1:8070", headers=headers)


def cost_ms(client: TestClient, page: str) -> float:
    """CPU of this process for one look at a page, in milliseconds."""
    began = time.process_time()
    answer = client.get(page)
    seconds = time.process_time() - began
    if answer.status_code != 200:
        raise SystemExit(f"{page}: {answer.status_code} {answer.text[:500]}")
    return 1_000 * seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--looks", type=int, default=5, help="at each page")
    options = parser.parse_args()
    answers.KEPT_SECONDS = 0.0  # each look is worked out
    dear = 0
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        build(store, options.requests, options.steps)
        print(f"{options.requests:,} requests, {options.steps:,} steps")
        print(f"{'page':56} {'median':>8} {'dearest':>8}")
        with dashboard_of(store) as client:
            for page in PAGES:
                found = [cost_ms(client, page) for _ in range(options.looks)]
                median = statistics.median(found)
                dear += median >= LIMIT_MS
                note = "" if median < LIMIT_MS else "  over the limit"
                print(f"{page:56} {median:5.1f} ms {max(found):5.1f} ms{note}", flush=True)
    return 1 if dear else 0


if __name__ == "__main__":
    sys.exit(main())
