"""scrapy-playwright with Debian's Chromium: requests with ``PageMethod``s are recorded."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

from scrapy_resume import open_store
from tests.ecosystem.conftest import Project

CHAINS = LENGTH = 6

SPIDER = """
    import os

    import scrapy
    from scrapy_playwright.page import PageMethod

    SITE = os.environ["SITE"]

    async def look(page, what):
        return await page.locator(what).text_content()

    class Chains(scrapy.Spider):
        name = "chains"

        def page(self, chain, number):
            methods = [
                PageMethod("wait_for_selector", "#here"),
                PageMethod("evaluate", "() => document.title"),
                PageMethod(look, "#here"),
            ]
            meta = {"playwright": True, "playwright_page_methods": methods}
            return scrapy.Request(
                f"{SITE}/{chain}/{number}", self.parse, meta=meta, cb_kwargs={"at": (chain, number)}
            )

        async def start(self):
            for chain in range(6):
                yield self.page(chain, 0)

        def parse(self, response, at):
            chain, number = at
            title, shown = response.meta["playwright_page_methods"][1:]
            yield {"at": f"/{chain}/{number}", "title": title.result, "shown": shown.result}
            if number + 1 < 6:
                yield self.page(chain, number + 1)
"""

SETTINGS = """
    import os

    DOWNLOAD_HANDLERS = {
        "http": "scrapy_playwright.handler.ScrapyPlaywrightDownloadHandler",
        "https": "scrapy_playwright.handler.ScrapyPlaywrightDownloadHandler",
    }
    TWISTED_REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
    PLAYWRIGHT_LAUNCH_OPTIONS = {
        "executable_path": os.environ["CHROMIUM"], "args": ["--no-sandbox", "--disable-gpu"]
    }
    CONCURRENT_REQUESTS = 3
    COOKIES_ENABLED = False
"""


@pytest.mark.timeout(240)
def test_pages_with_methods_are_fetched_again_only_if_they_were_in_flight(
    project: Project,
) -> None:
    chromium = shutil.which("chromium")
    assert chromium is not None, "Debian's chromium is missing: apt-get install chromium"
    project.write(SPIDER, SETTINGS)
    more = {"CHROMIUM": chromium}
    words = ["-m", "scrapy", "crawl", "chains", "-o", "items.jsonl"]
    in_flight = 3
    expected = {f"/{chain}/{number}" for chain in range(CHAINS) for number in range(LENGTH)}
    for pages in (9, 21):
        crawl = project.start(*words, more=more)
        deadline = time.monotonic() + 60
        while len(set(project.site.hits) & expected) < pages and time.monotonic() < deadline:
            assert crawl.poll() is None, project.log[-3000:]
            time.sleep(0.02)
        os.killpg(crawl.pid, signal.SIGKILL)
        crawl.wait()
    assert project.run(*words, more=more) == 0, project.log[-3000:]
    items = list(open_store(str(project.path / "store")).items("chains"))
    assert sorted(item["at"] for item in items) == sorted(expected)
    assert all(item["at"] == item["title"] == item["shown"] for item in items)
    again = sum(project.site.hits[page] - 1 for page in expected)
    assert again <= 2 * (in_flight + 1), project.site.hits
    assert "cannot be serialized" not in project.log
