"""scrapyd: a project is deployed as an egg; its spider is scheduled, cancelled, scheduled again."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from scrapy_resume import open_store
from tests.ecosystem.conftest import Project
from tests.ecosystem.test_scrapyrt import await_port

PAGES = 40

SPIDERS = """
    import scrapy

    class Books(scrapy.Spider):
        name = "books"

        async def start(self):
            for number in range(40):
                yield scrapy.Request(f"{self.settings['SITE']}/{number}")

        def parse(self, response):
            yield {"title": response.css("title::text").get()}
"""

SETTINGS = """
    import os

    SITE = os.environ["SITE"]
    CONCURRENT_REQUESTS = 2
    DOWNLOAD_DELAY = 0.1
"""


class Scrapyd:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, service: str, **words: str) -> dict[str, Any]:
        return self._opened(f"{self._url}/{service}.json?{urlencode(words)}")

    def tell(self, service: str, **words: str) -> dict[str, Any]:
        return self._opened(Request(f"{self._url}/{service}.json", urlencode(words).encode()))

    def deploy(self, project: str, egg: bytes) -> None:
        mark = uuid.uuid4().hex
        fields = {"project": (project.encode(), ""), "version": (b"1", ""), "egg": (egg, "egg")}
        body = b""
        for name, (value, file) in fields.items():
            where = f'; filename="{file}"' if file else ""
            head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{where}\r\n\r\n'
            body += head.encode() + value + b"\r\n"
        request = Request(f"{self._url}/addversion.json", body + f"--{mark}--\r\n".encode())
        request.add_header("Content-Type", f"multipart/form-data; boundary={mark}")
        assert self._opened(request)["spiders"] == 1

    def _opened(self, request: Any) -> dict[str, Any]:
        with urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        assert found["status"] == "ok", found
        return found

    def wait(self, job: str, state: str) -> None:
        await_true(
            lambda: job in [one["id"] for one in self.ask("listjobs", project="shop")[state]],
            f"{job} is not {state}",
        )


def await_true(asked: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + 60
    while not asked():
        assert time.monotonic() < deadline, why
        time.sleep(0.1)


def egg_of(project: Project) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as egg:
        for path in (project.path / "shop").glob("*.py"):
            egg.write(path, f"shop/{path.name}")
        egg.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 1.0\nName: shop\nVersion: 1\n")
        egg.writestr("EGG-INFO/entry_points.txt", "[scrapy]\nsettings = shop.settings\n")
    return made.getvalue()


@pytest.fixture
def scrapyd(project: Project) -> Iterator[Scrapyd]:
    project.write(SPIDERS, SETTINGS)
    egg = egg_of(project)
    for path in (*(project.path / "shop").iterdir(), project.path / "scrapy.cfg"):
        path.unlink()
    (project.path / "shop").rmdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (project.path / "scrapyd.conf").write_text(
        f"[scrapyd]\nhttp_port = {port}\nitems_dir = items\npoll_interval = 0.2\n"
    )
    process = project.start("-m", "scrapyd")
    try:
        await_port(port)
        service = Scrapyd(port)
        service.deploy("shop", egg)
        yield service
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.platform == "win32", reason="not about this platform: signals")
def test_job_goes_on_when_it_is_scheduled_again(scrapyd: Scrapyd, project: Project) -> None:
    store = str(project.path / "store")
    for enough in (8, 16):
        job = scrapyd.tell("schedule", project="shop", spider="books")["jobid"]
        scrapyd.wait(job, "running")
        await_true(lambda enough=enough: len(project.site.hits) >= enough, "nothing is fetched")
        scrapyd.tell("cancel", project="shop", job=job)
        scrapyd.wait(job, "finished")
    last = scrapyd.tell("schedule", project="shop", spider="books")["jobid"]
    scrapyd.wait(last, "finished")
    (job,) = open_store(store).jobs()
    assert (job["job"], job["status"], job["items"]["stored"]) == ("books", "completed", PAGES)
    feed = project.path / "items" / "shop" / "books" / f"{last}.jl"
    titles = [json.loads(line)["title"] for line in feed.read_text().splitlines()]
    assert sorted(titles) == sorted(f"/{number}" for number in range(PAGES))
    assert set(project.site.hits.values()) == {1}
