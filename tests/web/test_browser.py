"""The dashboard in a real browser: what its pages do, and how people find their way on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from scrapy_resume.model import JobKey
from tests.commands.conftest import Shelf

from .browser import NARROW, Browser, Reader, browser, dashboard, without_token
from .conftest import TOKEN, board_of
from .jobs import hostile, more, shop, with_log
from .pictured import pictured_jobs
from .screenshots import PAGES, shelf_of
from .serving import served

__all__ = ["browser"]

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
BOOKS = "/jobs/books~1"
CUT_TABLES = """document.querySelectorAll('details').forEach(one => one.open = true),
    [...document.querySelectorAll('.scroll')]
    .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.ariaLabel)"""
"""Names of the tables that are wider than their place."""
SCREENSHOTS = Path(__file__).resolve().parents[2] / ".cache" / "screenshots"
"""What the pages of the last test run looked like."""

in_soak = pytest.mark.soak
"""A browser costs seconds of CPU: three flows run always, the others in the long run."""


Begin = Callable[..., Reader]


@pytest.fixture
def reader(shelf: Shelf, browser: Browser) -> Iterator[Begin]:
    """Opens the dashboard of the shelf, once jobs are on it."""
    with ExitStack() as opened:

        def begin(*, read_only: bool = False, **context: Any) -> Reader:
            host, port = opened.enter_context(served(board_of(shelf, read_only=read_only)))
            one = Reader(browser, f"http://{host}:{port}/?token={quote(TOKEN)}", **context)
            opened.callback(one.close)
            return one

        yield begin


@pytest.fixture(scope="module")
def pictured(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shelf, dict[str, Any]]]:
    """Jobs of all kinds, and the ids that stand in the paths of pages."""
    with shelf_of(tmp_path_factory.mktemp("pictured")) as shelf:
        yield shelf, pictured_jobs(shelf)


def every_page(
    browser: Browser, pictured: Any, pages: Iterable[str] = PAGES, **context: Any
) -> Iterator[tuple[Reader, str]]:
    """Somebody who opens one page after the other, and each of their paths."""
    shelf, names = pictured
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with served(board_of(shelf)) as (host, port):
        one = Reader(browser, f"http://{host}:{port}/?token={quote(TOKEN)}", **context)
        for name in pages:
            one.go(PAGES[name].format(**names))
            yield one, name
            dark = "matchMedia('(prefers-color-scheme: dark)').matches"
            width, is_dark = one.js(f"[innerWidth, {dark}]")
            file = SCREENSHOTS / f"{name}-{width}-{'dark' if is_dark else 'light'}.png"
            one.do("screenshot", path=str(file), full_page=True)
        one.close()


def test_requests_are_retried_in_bulk_after_a_preview(shelf: Shelf, reader: Begin) -> None:
    shop(shelf)
    one = reader()
    one.go(f"{BOOKS}/requests?state=failed")
    one.click("[data-bulk=retry]")
    one.see("Retry 9 requests?", "#confirm")
    assert one.text("#confirm-list").count("http://127.0.0.1/page/") == 9
    one.click("#confirm-no")
    assert shelf_counts(shelf)["failed"] == 9
    one.click("tbody tr:nth-child(1) [data-pick]")
    one.click("tbody tr:nth-child(3) [data-pick]")
    one.see("2 requests selected", "#bulk")
    one.click("[data-bulk=retry]")
    one.see("Retry 2 requests?", "#confirm")
    one.click("#confirm-yes")
    one.see("2 requests are fetched again", "#toasts")
    assert shelf_counts(shelf)["failed"] == 7
    one.do("wait_for_function", "() => document.querySelectorAll('tbody tr').length === 7")
    assert one.errors == []


def shelf_counts(shelf: Shelf) -> dict[str, int]:
    from scrapy_resume.reporting.reports import open_store

    found: dict[str, int] = open_store(shelf.location).job("books#1")["requests"]
    return found


@in_soak
def test_hostile_texts_run_nothing(shelf: Shelf, reader: Begin) -> None:
    hostile(shelf)
    with_log(shelf, JobKey("books", 1))
    one = reader()
    (job,) = one.js("fetch('/api/jobs').then(answer => answer.json())")
    rows = one.js(f"fetch('/api/jobs/{job['id']}/requests').then(answer => answer.json())")
    paths = [
        "/",
        *(f"/jobs/{job['id']}{part}" for part in ("", "/requests", "/failures", "/units")),
    ]
    paths += [
        f"/jobs/{job['id']}/items",
        f"/jobs/{job['id']}/items/1",
        f"/jobs/{job['id']}/workers",
        f"/jobs/{job['id']}/steps",
    ]
    paths += [f"/jobs/{job['id']}/requests/{row['id']}" for row in rows]
    for path in paths:
        one.go(path)
        assert one.js("document.querySelectorAll('main img, main script, [onerror]').length") == 0
        assert one.js("[...document.links].filter(a => !/^https?:/.test(a.protocol)).length") == 0
    one.go(f"/jobs/{job['id']}/requests")
    one.click("[data-bulk=retry]")
    one.see("Retry 2 requests?", "#confirm")
    assert one.js("document.querySelectorAll('#confirm img, #confirm script').length") == 0
    assert one.errors == []


def test_the_keyboard_alone_is_enough(shelf: Shelf, reader: Begin) -> None:
    shop(shelf)
    one = reader()
    one.press("?")
    one.see("next row", "#keys")
    one.press("Escape", "j", "Enter")
    one.do("wait_for_url", f"**{BOOKS}")
    one.press("]")
    one.do("wait_for_url", f"**{BOOKS}/requests")
    one.press("/")
    one.do("keyboard.type", "*/page/1*")
    one.press("Enter")
    one.do("wait_for_url", "**/requests?url=*")
    assert one.path == f"{BOOKS}/requests?url=*%2Fpage%2F1*"
    one.press("j", "j", "k", "j", "x")
    one.see("1 request selected", "#bulk")
    one.press("Enter")
    one.do("wait_for_url", f"**{BOOKS}/requests/*")
    one.press("g")
    one.do("wait_for_url", f"{one.site}/")
    assert one.errors == []


@in_soak
def test_the_back_button_keeps_filters(shelf: Shelf, reader: Begin) -> None:
    shop(shelf)
    one = reader()
    one.go(BOOKS)
    one.click(".tile.failed")
    one.do("wait_for_url", "**/requests?state=failed")
    one.do("fill", "[name=error]", "HttpError")
    one.click(".filters button")
    one.do("wait_for_url", "**error=HttpError")
    assert one.path == f"{BOOKS}/requests?state=failed&error=HttpError"
    one.click("tbody tr:first-child [data-main]")
    one.do("wait_for_url", "**/requests/*")
    one.do("go_back")
    assert one.path == f"{BOOKS}/requests?state=failed&error=HttpError"
    assert one.js("document.querySelector('[name=error]').value") == "HttpError"
    assert one.js("document.querySelector('[value=failed]').checked") is True
    one.do("go_back")
    one.do("go_back")
    assert one.path == BOOKS


@in_soak
def test_a_reader_sees_no_button_that_changes_anything(shelf: Shelf, reader: Begin) -> None:
    shop(shelf)
    one = reader(read_only=True)
    for path in (BOOKS, f"{BOOKS}/requests", f"{BOOKS}/failures"):
        one.go(path)
        assert one.js("document.querySelectorAll('[data-action], [data-bulk]').length") == 0
    assert "read-only" in one.text("header")


@in_soak
def test_a_wrong_token_leads_to_a_page_that_takes_the_right_one(
    shelf: Shelf, browser: Browser
) -> None:
    shop(shelf)
    with dashboard(shelf.location, RESUME_WEB_TOKEN="right") as address:
        one = Reader(browser, without_token(address) + "/?token=wrong")
        assert "This token is wrong" in one.text()
        assert "books" not in one.text()
        one.do("fill", "#token", "right")
        one.press("Enter")
        one.see("books")
        assert "token" not in one.path
        assert one.js("document.cookie") == ""


@in_soak
def test_light_and_dark_are_by_system_and_by_choice(shelf: Shelf, reader: Begin) -> None:
    shop(shelf)
    one = reader(color_scheme="dark")
    page = "getComputedStyle(document.body).backgroundColor"
    dark = one.js(page)
    one.press("t")
    light = one.js(page)
    assert light != dark
    one.go(BOOKS)
    assert one.js(page) == light
    one.press("t", "t")
    assert one.js(page) == dark


@in_soak
def test_nothing_is_wider_than_a_telephone(browser: Browser, pictured: Any) -> None:
    for one, path in every_page(browser, pictured, viewport=NARROW, has_touch=True):
        assert one.js("document.documentElement.scrollWidth") <= NARROW["width"], path
        assert one.js(CUT_TABLES) == [], path


@in_soak
def test_a_job_of_a_newer_version_and_a_damaged_one_say_what_to_do(
    shelf: Shelf, reader: Begin
) -> None:
    shelf.close(shelf.begin("newer"))
    shelf.close(shelf.begin("broken"))
    shelf.make_newer("newer")
    shelf.damage("broken")
    one = reader()
    assert "upgrade scrapy-resume" in one.text()
    one.go("/jobs/newer~1")
    assert "upgrade scrapy-resume" in one.text()
    one.go("/jobs/broken~1")
    assert "Restore the file from a backup" in one.text()
    assert one.errors == []


@in_soak
def test_times_are_in_the_zone_of_the_reader_with_utc_on_hover(shelf: Shelf, reader: Begin) -> None:
    shop(shelf)
    with_log(shelf, JobKey("books", 1))
    one = reader()
    one.go(f"{BOOKS}/events")
    assert "1 May 2026, 12:00" in one.text()
    assert one.do("get_attribute", "main time", "title") == "2026-05-01 10:00 UTC"


def test_a_page_shows_what_happens_and_keeps_what_its_reader_does(
    shelf: Shelf, reader: Begin
) -> None:
    """A commit, then a death, without anybody loading the page again."""
    job = shop(shelf, close=None)
    one = reader()
    one.go(BOOKS)
    one.click("summary")
    one.see("live", "header")
    more(job, 10_000, 5)
    one.see("65", ".tile.done .tile-count")
    assert one.js("document.querySelector('details').open") is True
    shelf.crash(job)
    one.see("crashed", "#job-title", seconds=15)
    one.see("Recover", "#job-actions")
    one.click("[data-action=recover]")
    one.click("#confirm-yes")
    one.see("3 requests taken back", "#toasts")
    one.see("paused", "#job-title")
    assert one.errors == []


@in_soak
def test_a_hidden_page_asks_for_nothing(shelf: Shelf, reader: Begin) -> None:
    shop(shelf)
    one = reader()
    one.see("live", "header")
    one.js(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked: list[str] = []
    one.do("on", "request", lambda request: asked.append(request.url))
    shelf.close(shelf.begin("another"))
    one.do("wait_for_timeout", 1_500)
    assert asked == []
    one.js(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    one.see("another")


@in_soak
@pytest.mark.parametrize(
    ("theme", "pages"),
    [("light", PAGES), ("dark", ("jobs", "job", "requests-filtered", "failures", "item"))],
    ids=["light", "dark"],
)
def test_no_page_has_a_serious_fault_for_those_who_cannot_see_it(
    browser: Browser, pictured: Any, theme: str, pages: Iterable[str]
) -> None:
    found = []
    for one, path in every_page(browser, pictured, pages, color_scheme=theme):
        one.js(AXE)
        answer = one.js("axe.run(document, {resultTypes: ['violations']})")
        found += [
            (path, rule["id"], rule["nodes"][0]["html"][:200])
            for rule in answer["violations"]
            if rule["impact"] in ("serious", "critical")
        ]
    assert found == []
