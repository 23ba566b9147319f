"""Files that media pipelines could not get count as failed items of their page."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from scrapy_resume import open_store
from scrapy_resume.steering import retry
from tests.support.launcher import Launcher
from tests.support.reactors import Mode, every_mode
from tests.support.runs import Run, Workplace
from tests.support.site import REPO, Site
from tests.support.wanderings import Wanderings

FILES = "scrapy.pipelines.files.FilesPipeline"
PICTURES = "wandering.Pictures"
NOBODY = "http://127.0.0.1:9/file.bin"
"""Nothing listens there."""

Plan = dict[str, list[str]]


@pytest.fixture
def media(site: Site, place: Workplace, launcher: Launcher) -> Wanderings:
    found = Wanderings(site, place, launcher)
    shutil.copy(REPO / "tests" / "support" / "media.py", found.spider)
    return found


def crawl(media: Wanderings, plan: Plan, *pipelines: str, **settings: Any) -> Run:
    given = {
        "RETRY_ENABLED": False,
        "FILES_STORE": media.place.path / "files",
        "IMAGES_STORE": media.place.path / "files",
        "ITEM_PIPELINES": json.dumps({name: n for n, name in enumerate(pipelines or (FILES,))}),
        **settings,
    }
    return media.run(given, "-a", f"plan={json.dumps(plan)}")


def failed_items(media: Wanderings) -> dict[str, int]:
    """Path of a page → what it has lost; pages that have lost nothing are left out."""
    return {
        row["url"].removeprefix(media.site.url): row["items_failed"]
        for row in media.requests()
        if row["items_failed"]
    }


def the_request(media: Wanderings) -> dict[str, Any]:
    (row,) = media.requests(partial=True)
    return row


LOST = {
    "/made/1?status=500": ("FileException", "HTTP 500 Internal Server Error"),
    "/missing/1": ("FileException", "HTTP 404 Not Found"),
    "/made/1?status=429": ("FileException", "HTTP 429 Too Many Requests"),
    "data:text/plain,": ("FileException", "empty-content"),
    NOBODY: ("", ""),
    "/drop/1": ("", ""),
    "/file/1?nameless": ("LookupError", "no name for it"),
    "/leaf/2?picture": ("UnidentifiedImageError", "cannot identify image"),
}
"""A file that cannot be had → the error (empty: it depends on the reactor), and what it says."""


@every_mode
def test_a_file_that_cannot_be_had_counts_with_its_error(media: Wanderings, mode: Mode) -> None:
    plan = {f"/leaf/{place}": ["/file/1", file] for place, file in enumerate(LOST)}
    run = crawl(media, plan, "wandering.Nameless", PICTURES, **mode.settings)
    assert run.is_finished, run.tail()
    rows = {row["url"].rpartition("/")[2]: row for row in media.requests(partial=True)}
    for place, (file, (error, message)) in enumerate(LOST.items()):
        row = rows[str(place)]
        assert (row["state"], row["items"], row["items_failed"]) == ("done", 1, 1), file
        assert row["error"] == error or (not error and row["error"]), row
        assert message in row["error_message"], row
        assert row["error_message"].startswith("item 1: file "), row
        assert file.partition("?")[0] in row["error_message"]
    job = media.job()
    assert job["status"] == "completed"
    assert job["items"] == {"stored": len(LOST), "dropped": 0, "failed": len(LOST)}
    had = {one["url"] for item in media.items() for one in item["files"]}
    assert had == {f"{media.site.url}/file/1"}


def test_a_lost_file_shows_wherever_failures_do(media: Wanderings) -> None:
    plan = {"/leaf/1": ["/file/1"], "/leaf/2": ["/missing/1", "/missing/2"], "/leaf/3": []}
    run = crawl(media, plan)
    assert run.is_finished, run.tail()
    assert failed_items(media) == {"/leaf/2": 2}
    reports = open_store(media.place.location)
    (unit,) = reports.units("wandering", state="partial")
    assert (unit["unit"], unit["items_failed"]) == (f"{media.site.url}/leaf/2", 2)
    assert (unit["error"], unit["failed"]) == ("FileException", 0)
    assert "HTTP 404 Not Found" in unit["error_message"]
    (group,) = reports.failures("wandering")
    assert (group["error"], group["count"], group["items_failed"]) == ("FileException", 1, 2)
    assert group["http_status"] is None, "the page itself is there"
    assert group["examples"] == [f"{media.site.url}/leaf/2"]
    assert reports.failures("wandering", unit=unit["unit"]) == [group]
    assert reports.failures("wandering", unit=f"{media.site.url}/leaf/1") == []
    check = media.scrapy("resume", "status", "--check")
    assert check.exit_code == 3
    assert "items or files lost" in check.text
    assert "HTTP 404 Not Found" in check.text
    for words in (["failed"], ["units"]):
        assert "FileException" in media.scrapy("resume", *words).text, words


def test_what_is_filtered_is_not_lost(media: Wanderings) -> None:
    run = crawl(media, {"/leaf/1": ["/file/1", "/secret/1"]}, ROBOTSTXT_OBEY=True)
    assert run.is_finished, run.tail()
    assert media.job()["items"] == {"stored": 1, "dropped": 0, "failed": 0}
    assert failed_items(media) == {}


@pytest.mark.parametrize("dropping", [["wandering.Fussy"], [FILES, "wandering.DropsWithoutFiles"]])
def test_an_item_that_is_dropped_for_its_files_is_dropped(
    media: Wanderings, dropping: list[str]
) -> None:
    plan = {"/leaf/1": ["/missing/1"], "/leaf/2": ["/file/1", "/missing/1"], "/leaf/3": ["/file/2"]}
    run = crawl(media, plan, *dropping)
    assert run.is_finished, run.tail()
    assert media.job()["items"] == {"stored": 2, "dropped": 1, "failed": 1}
    assert failed_items(media) == {"/leaf/2": 1}


def test_an_item_on_which_a_pipeline_raises_counts_once(media: Wanderings) -> None:
    run = crawl(media, {"/leaf/1?raises": ["/file/1", "/missing/1"]}, "wandering.Fussy")
    assert run.is_finished, run.tail()
    assert media.job()["items"] == {"stored": 0, "dropped": 0, "failed": 1}
    assert the_request(media)["error_message"] == "item 1: no sense"


def test_a_retry_gets_what_is_missing_and_counts_nothing_twice(media: Wanderings) -> None:
    plan = {
        "/leaf/1": ["/file/1", "/made/1?status=404&fail=500&times=1", "/flaky/7?times=1"],
        "/leaf/2": ["/file/2", "/flaky/8?times=1"],
        "/leaf/3": ["/file/1"],
    }
    assert crawl(media, plan).is_finished
    assert failed_items(media) == {"/leaf/1": 2, "/leaf/2": 1}
    fetched = [hit.url for hit in media.site.hits() if hit.url.startswith("/file/")]
    assert retry(media.place.location, "wandering", state="done", partial=True) == 2
    assert media.job()["items"]["failed"] == 0
    run = crawl(media, plan)
    assert run.is_finished, run.tail()
    assert failed_items(media) == {"/leaf/1": 1}
    assert media.job()["items"] == {"stored": 3, "dropped": 0, "failed": 1}
    again = [hit.url for hit in media.site.hits() if hit.url.startswith("/file/")]
    assert again == fetched, "a file that was had is not fetched again"
    assert {item["title"]: len(item["files"]) for item in media.items()} == {
        "/leaf/1": 2,
        "/leaf/2": 2,
        "/leaf/3": 1,
    }
    (partial,) = open_store(media.place.location).units("wandering", state="partial")
    assert partial["unit"] == f"{media.site.url}/leaf/1"


def test_kills_change_nothing(media: Wanderings) -> None:
    """Against plain Scrapy: the same items; what is lost is counted once."""
    plan = {f"/leaf/{n}": [f"/file/{n}", f"/missing/{n}"] for n in range(12)}
    slowly = {"CONCURRENT_REQUESTS": 2}
    (media.place.path / "die").touch()
    assert crawl(media, plan, **slowly).exit_code == -9
    (media.place.path / "die").unlink()
    run = crawl(media, plan, **slowly)
    assert run.is_finished, run.tail()
    assert media.job()["items"] == {"stored": 12, "dropped": 0, "failed": 12}
    assert failed_items(media) == {f"/leaf/{n}": 1 for n in range(12)}
    plain = crawl(
        media, plan, RESUME_ENABLED=False, FEEDS='{"plain.jsonl": {"format": "jsonlines"}}'
    )
    assert plain.is_finished
    lines = (media.place.path / "plain.jsonl").read_text().splitlines()
    assert sorted(map(_files, map(json.loads, lines))) == sorted(map(_files, media.items()))


def _files(item: Any) -> tuple[str, list[str]]:
    return item["title"], [file["url"] for file in item["files"]]
