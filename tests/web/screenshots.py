"""A picture of every page, light and dark, wide and narrow.

python -m tests.web.screenshots [DIRECTORY]      # default .cache/screenshots
python -m tests.web.screenshots --docs           # those that are in docs/pictures, anew
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
    "steps": "/jobs/cars~2/steps",
    "steps-filtered": "/jobs/cars~2/steps?step=photos&state=failed",
    "stepped": "/jobs/cars~2/steps/{stepped}",
    "request-of-steps": "/jobs/cars~2/requests/{of_steps}",
    "no-steps": "/jobs/books~3/steps",
    "owing": "/jobs/owing~1",
    "large": "/jobs/sitemap-of-everything~1/requests",
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


PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
IN_DOCS = {"jobs": 610, "job": 800, "failures": 900}
"""Pages whose pictures are in the documentation, and how many of their pixels from the top."""


def take(
    target: Path, pages: dict[str, str] = PAGES, themes: tuple[str, ...] = ("light", "dark")
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, shelf_of(Path(folder)) as shelf:
        names = pictured_jobs(shelf)
        browser = Browser()
        browser.start()
        try:
            with dashboard(shelf.location) as address:
                for theme in themes:
                    for width, size in (("1280", WIDE), ("390", NARROW)):
                        page = browser.page(viewport=size, color_scheme=theme)
                        browser.run(page.goto, address)
                        for name, path in pages.items():
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


def for_docs() -> None:
    """The pictures of the documentation, small files: 256 colors."""
    from PIL import Image

    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        take(Path(folder), {name: PAGES[name] for name in IN_DOCS}, themes=("light",))
        for name, height in IN_DOCS.items():
            with Image.open(Path(folder) / f"{name}-1280-light.png") as picture:
                cut = picture.convert("RGB").crop(
                    (0, 0, picture.width, min(height, picture.height))
                )
                cut.quantize(256).save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--docs"]:
        for_docs()
    else:
        take(Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/screenshots"))
