"""Debian's chromium, driven by Playwright, and the dashboard as people start it.

Playwright's own thread has a loop of its own: the reactor of the tests runs in the main one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.skips import not_started

CHROMIUM = ("chromium", "chromium-browser")
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 390, "height": 844}


@contextmanager
def dashboard(location: str, *words: str, **environment: str) -> Iterator[str]:
    """``scrapy resume web`` of a store, on a free port; the address with the token."""
    command = [sys.executable, "-m", "scrapy", "resume", "web", "--port", "0", *words]
    process = subprocess.Popen(
        [*command, "-s", f"RESUME_STORE={location}"],
        cwd=Path(location).parent if "://" not in location else None,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


class Browser:
    """A chromium, used by one thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._playwright: Any = None
        self._chromium: Any = None

    def run(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        """Have the browser's thread do it."""
        return self._thread.submit(work, *args, **kwargs).result()

    def start(self) -> None:
        """Start it, or say why not."""
        path = next(filter(None, map(shutil.which, CHROMIUM)), None)
        if path is None:
            not_started("chromium", "it is not installed (apt-get install chromium)")
        try:
            from playwright.sync_api import sync_playwright
        except ImportError as error:
            not_started("playwright", error)

        def begin() -> None:
            self._playwright = sync_playwright().start()
            self._chromium = self._playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox", "--disable-gpu"]
            )

        try:
            self.run(begin)
        except Exception as error:
            not_started("chromium", error)

    def page(self, **context: Any) -> Any:
        """A page of its own cookies."""
        usual = {"viewport": WIDE, "locale": "en-GB", "timezone_id": "Europe/Berlin"}
        return self.run(lambda: self._chromium.new_context(**{**usual, **context}).new_page())

    def close(self) -> None:
        """End it."""
        if self._chromium is not None:
            self.run(self._chromium.close)
        if self._playwright is not None:
            self.run(self._playwright.stop)
        self._thread.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    started = Browser()
    started.start()
    yield started
    started.close()


def errors_of(page: Any) -> list[str]:
    """What the page says on its console, and what it could not load: filled while it is used."""
    found: list[str] = []
    page.on(
        "console",
        lambda message: (
            found.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("dialog", lambda dialog: (found.append(f"dialog {dialog.message}"), dialog.dismiss()))
    return found


def without_token(address: str) -> str:
    """The address of the dashboard alone."""
    return re.sub(r"/\?token=.*", "", address)


class Reader:
    """Somebody at a page, with all that their browser complains of."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        self._browser = browser
        self.site = without_token(address)
        self.page = browser.page(**context)
        self.errors = browser.run(errors_of, self.page)
        self.go(address)

    def do(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """A method of the page, by name (``keyboard.press``)."""

        def work() -> Any:
            target = self.page
            for part in name.split("."):
                target = getattr(target, part)
            return target(*args, **kwargs)

        return self._browser.run(work)

    def go(self, path: str) -> None:
        self.do("goto", path if "://" in path else self.site + path)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.do("keyboard.press", key)

    def click(self, selector: str) -> None:
        self.do("click", selector, timeout=5_000)

    def text(self, selector: str = "main") -> str:
        return str(self.do("inner_text", selector, timeout=5_000))

    def see(self, text: str, selector: str = "main", seconds: float = 10.0) -> None:
        """Wait until the text is there."""
        condition = (
            "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)"
        )
        self.do("wait_for_function", condition, arg=[selector, text], timeout=seconds * 1_000)

    def js(self, code: str) -> Any:
        return self.do("evaluate", code)

    def close(self) -> None:
        self._browser.run(self.page.context.close)

    @property
    def path(self) -> str:
        return str(self.js("location.pathname + location.search"))
