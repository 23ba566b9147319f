"""A site, and a project that uses real packages; each test runs their own programs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlsplit

import pytest

from scrapy_resume import open_store
from tests.support.site import REPO

SETTINGS = """
    SPIDER_MODULES = ["shop.spiders"]
    ADDONS = {"scrapy_resume.Addon": 500}
    RESUME_STORE = "store"
    TELNETCONSOLE_ENABLED = False
"""


@dataclass
class Pages:
    """A site of numbered pages that counts how often each was asked for."""

    hits: Counter[str] = field(default_factory=Counter)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def pages() -> Iterator[Pages]:
    site = Pages()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.hits[self.path] += 1
            page = f"<html><title>{self.path}</title><p id=here>{self.path}</p></html>"
            self.answer(page, "text/html")

        def do_POST(self) -> None:
            """As Zyte API answers, for the page that it is asked for."""
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            page = urlsplit(asked["url"]).path
            site.hits[page] += 1
            text = f"<html><title>{page}</title></html>".encode()
            answer = {
                "url": asked["url"],
                "statusCode": 200,
                "httpResponseBody": b64encode(text).decode(),
                "httpResponseHeaders": [{"name": "content-type", "value": "text/html"}],
            }
            self.answer(json.dumps(answer), "application/json")

        def answer(self, text: str, kind: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        site.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield site
        server.shutdown()


@dataclass
class Project:
    """A folder with a project; ``spiders`` and ``settings`` are written by the test."""

    path: Path
    site: Pages

    def write(self, spiders: str, settings: str = "") -> None:
        package = self.path / "shop"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / "spiders.py").write_text(dedent(spiders))
        (package / "settings.py").write_text(dedent(SETTINGS) + dedent(settings))
        (self.path / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        paths = os.pathsep.join([str(REPO), str(self.path)])
        return {**os.environ, "PYTHONPATH": paths, "SITE": self.site.url, **(more or {})}

    def start(self, *words: str, more: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Python with these words, or a program of the environment; the log is appended to."""
        with (self.path / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words],
                cwd=self.path,
                env=self.environment(more),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run_until_killed(
        self, *words: str, pages: int, more: Mapping[str, str] | None = None
    ) -> None:
        """Run, and kill the process when the site was asked for so many pages."""
        crawl = self.start(*words, more=more)
        deadline = time.monotonic() + 60
        while len(self.site.hits) < pages and time.monotonic() < deadline:
            assert crawl.poll() is None, self.log[-3000:]
            time.sleep(0.01)
        os.killpg(crawl.pid, signal.SIGKILL)
        crawl.wait()

    def run(self, *words: str, more: Mapping[str, str] | None = None) -> int:
        return self.start(*words, more=more).wait(120)

    @property
    def log(self) -> str:
        return (self.path / "log").read_text(errors="replace")

    def jobs(self) -> list[dict[str, Any]]:
        store = self.path / "store"
        return list(open_store(str(store)).jobs()) if store.exists() else []


@pytest.fixture
def project(tmp_path: Path, pages: Pages) -> Project:
    return Project(tmp_path, pages)


def program(name: str) -> str:
    """The path of a program of this environment."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is not installed: make test-ecosystem installs it"
    return found
