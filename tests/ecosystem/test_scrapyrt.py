"""scrapyrt answers each request by a crawl: none of them is a job."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.ecosystem.conftest import Project, program

SPIDER = """
    import scrapy

    class One(scrapy.Spider):
        name = "one"

        async def start(self):
            return
            yield

        def parse(self, response):
            yield {"title": response.css("title::text").get()}
            for word in ("a", "b"):
                yield response.follow(response.url + word, self.parse_below)

        def parse_below(self, response):
            yield {"title": response.css("title::text").get()}
"""


class Service:
    def __init__(self, port: int, site: str) -> None:
        self._url = f"http://127.0.0.1:{port}/crawl.json"
        self._site = site

    def crawl(self, path: str, timeout: float = 60, **more: Any) -> list[str]:
        query = urlencode({"spider_name": "one", "url": f"{self._site}{path}", **more})
        with urlopen(f"{self._url}?{query}", timeout=timeout) as answer:
            items = json.load(answer)["items"]
        return sorted(item["title"] for item in items)


@pytest.fixture
def service(project: Project) -> Iterator[Service]:
    project.write(SPIDER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = project.start(program("scrapyrt"), "-i", "127.0.0.1", "-p", str(port))
    try:
        await_port(port)
        yield Service(port, project.site.url)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("scrapyrt does not listen")


def test_calls_answer_for_their_own_url_and_leave_no_job(
    service: Service, project: Project
) -> None:
    assert service.crawl("/x", max_requests=1) == ["/x"]
    assert service.crawl("/y") == ["/y", "/ya", "/yb"]
    assert service.crawl("/x") == ["/x", "/xa", "/xb"]
    assert project.jobs() == []


def test_calls_at_once_do_not_refuse_one_another(service: Service, project: Project) -> None:
    paths = [f"/{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as calls:
        answers = list(calls.map(service.crawl, paths))
    assert answers == [[path, f"{path}a", f"{path}b"] for path in paths]
    assert project.jobs() == []


def test_call_that_is_cut_short_leaves_nothing_to_the_next(
    service: Service, project: Project
) -> None:
    with pytest.raises((TimeoutError, URLError)):
        service.crawl("/", timeout=0.001)
    assert service.crawl("/next") == ["/next", "/nexta", "/nextb"]
