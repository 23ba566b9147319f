"""A picture of every page, light and dark, wide and narrow.

    python -m tests.web.screenshots [DIRECTORY]      # default .cache/screenshots

Some of them are in docs/pictures.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.commands.conftest import Shelf

from .browser import NARROW, WIDE, Browser, dashboard, without_token
from .pictured import pictured_jobs

PAGES = {
    "jobs": "/",
    "job": "/jobs/books~3",
    "requests": "/jobs/books~3/requests",
    "requests-filtered": "/jobs/books~3/requests?state=failed&error=HttpError",
    "request": "/jobs/books~3/requests/{failed}",
    "failures": "/jobs/books~3/failures",
    "units": "/jobs/books~3/units",
    "items": "/jobs/books~3/items",
    "item": "/jobs/books~3/items/{item}",
    "workers": "/jobs/books~3/workers",
    "events": "/jobs/books~3/events",
    "steps": "/jobs/books~3/steps",
    "crashed": "/jobs/prices~1",
    "damaged": "/jobs/old-import~1",
    "newer": "/jobs/archive~7",
    "not-found": "/jobs/nothing~1",
    "empty": "/jobs/books~3/requests?url=nothing*",
}


@contextmanager
def shelf_of(directory: Path) -> Iterator[Shelf]:
    shelf = Shelf(directory / "store")
    yield shelf
    for job in shelf.open_jobs:
        job.abandon()


def take(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, shelf_of(Path(folder)) as shelf:
        names = pictured_jobs(shelf)
        browser = Browser()
        browser.start()
        try:
            with dashboard(shelf.location) as address:
                for theme in ("light", "dark"):
                    for width, size in (("1280", WIDE), ("390", NARROW)):
                        page = browser.page(viewport=size, color_scheme=theme)
                        browser.run(page.goto, address)
                        for name, path in PAGES.items():
                            url = without_token(address) + path.format(**names)
                            browser.run(page.goto, url)
                            browser.run(page.wait_for_timeout, 150)
                            file = target / f"{name}-{width}-{theme}.png"
                            browser.run(page.screenshot, path=str(file), full_page=True)
                        login = browser.page(viewport=size, color_scheme=theme)
                        browser.run(login.goto, without_token(address) + "/")
                        browser.run(
                            login.screenshot, path=str(target / f"login-{width}-{theme}.png")
                        )
        finally:
            browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/screenshots"))
