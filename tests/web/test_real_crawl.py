"""A real crawl in a real browser: it appears by itself, goes on, and its death is shown in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from scrapy_resume.reporting.reports import open_store
from tests.commands.conftest import Shelf
from tests.support.postgres import postgres_server

from .browser import Browser, Reader, browser
from .conftest import TOKEN, board_of
from .serving import served

__all__ = ["browser", "postgres_server"]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).resolve().parents[2] / "example_project"
SHOWN_SECONDS = 15.0
"""After a kill."""
ORPHAN_SECONDS = 5
SLACK_SECONDS = 5.0
"""Beside the orphan timeout."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, str(EXAMPLE / "shop_site.py"), "--port", "0", "--latency", "0.2"]
    hits = ["--hits", str(tmp_path / "hits.jsonl")]
    with subprocess.Popen([*command, *hits], stdout=subprocess.PIPE, text=True) as shop:
        assert shop.stdout is not None
        yield shop.stdout.readline().split()[-1]
        shop.terminate()


@pytest.fixture(params=["directory", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "directory":
        return Shelf(tmp_path / "store")
    server = request.getfixturevalue("postgres_server")
    return Shelf(tmp_path / "store", server.new_database())


def crawl(store: Shelf, site: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "scrapy", "crawl", "books", "-a", f"site={site}", "--nolog"]
    settings = {
        "RESUME_JOB": "books", "RESUME_STORE": store.location,
        "FILES_STORE": store.directory.with_name("photos"),
        "RESUME_ORPHAN_TIMEOUT": ORPHAN_SECONDS,
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]
    return subprocess.Popen([*command, *words], cwd=EXAMPLE, env=dict(os.environ))


def done_of(one: Reader) -> int:
    return int(str(one.text(".tile.done .tile-count")).replace(",", ""))


def test_a_crawl_appears_goes_on_and_its_death_is_shown_in_time(
    store: Shelf, site: str, browser: Browser
) -> None:
    limit = SHOWN_SECONDS if store.url is None else ORPHAN_SECONDS + SLACK_SECONDS
    with served(board_of(store)) as (host, port):
        one = Reader(browser, f"http://{host}:{port}/?token={quote(TOKEN)}")
        one.see("There are no jobs yet")
        process = crawl(store, site)
        try:
            one.see("running", "#jobs", seconds=60)
            one.click("#jobs [data-main]")
            one.see("running", "#job-title")
            first = done_of(one)
            count = "Number(document.querySelector('.tile.done .tile-count').innerText)"
            one.do("wait_for_function", f"() => {count} > {first}", timeout=30_000)
            # What the page had nothing of when it was opened comes by itself, too.
            one.see("127.0.0.1", "#latencies", seconds=30)
            one.see("Pages a minute", "#plots", seconds=30)
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed = time.monotonic()
            one.see("crashed", "#job-title", seconds=limit)
            shown: float = time.monotonic() - killed
        finally:
            process.kill()
            process.wait()
        assert shown <= limit
        one.see("The process that crawled it is dead", "#job-banners")
        latencies: list[Any] = one.js(
            "fetch('/api/jobs/books/timeseries').then(answer => answer.json())"
        )["latencies"]
        assert latencies[0]["host"] == "127.0.0.1"
        assert latencies[0]["median_seconds"] > 0.1
        assert one.errors == []
        one.close()
    assert open_store(store.location).job("books")["requests"]["done"] >= first
