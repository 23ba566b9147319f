"""Scrapy's media pipelines as steps: what cannot be had fails the step, what was had is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.reactors import Mode, others_in_soak
from tests.support.steppings import Steppings

FILES = {"scrapy_resume.steps.Files": 300}
IMAGES = {"scrapy_resume.steps.Images": 300}


def stores(steppings: Steppings) -> dict[str, Any]:
    path = steppings.place.path
    return {
        "FILES_STORE": path / "files",
        "IMAGES_STORE": path / "images",
        "RETRY_ENABLED": False,
    }


def had(item: dict[str, Any]) -> list[str]:
    return [file["url"] for file in item["files"]]


@others_in_soak
def test_a_lost_file_is_asked_for_again_and_no_other(steppings: Steppings, mode: Mode) -> None:
    site = steppings.site.url
    urls = [f"{site}/leaf/71", f"{site}/flaky/72?times=2", f"{site}/leaf/73"]
    settings = {**stores(steppings), **mode.settings}
    run = steppings.run([{"n": 1, "file_urls": urls}], FILES, settings)
    assert run.is_finished, run.tail()
    (item,) = steppings.fed().values()
    assert had(item) == urls, "in the order of their URLs"
    for file in item["files"]:
        assert (steppings.place.path / "files" / file["path"]).exists()
    hits = [hit.url for hit in steppings.site.log.hits()]
    assert [sum(name in url for url in hits) for name in ("71", "72", "73")] == [1, 3, 1]
    assert "1 of 3 files missing: file" in run.text
    assert "HTTP 503 Service Unavailable" in run.text


def test_what_was_had_is_kept_when_the_step_has_failed(steppings: Steppings) -> None:
    site = steppings.site.url
    urls = [f"{site}/leaf/71", f"{site}/missing/72"]
    run = steppings.run([{"n": 1, "file_urls": urls}], FILES, stores(steppings))
    assert run.is_finished, run.tail()
    (item,) = steppings.fed().values()
    assert had(item) == urls[:1]
    hits = [hit.url for hit in steppings.site.log.hits()]
    assert [sum(name in url for url in hits) for name in ("71", "72")] == [1, 3]
    assert "has failed, attempt 3 of 3: FilesMissingError: 1 of 2 files missing" in run.text


def test_images_without_their_field_are_skipped(steppings: Steppings) -> None:
    run = steppings.run([{"n": 1}, {"n": 2, "image_urls": []}], IMAGES, stores(steppings))
    assert run.is_finished, run.tail()
    assert steppings.fed() == {1: {"n": 1}, 2: {"n": 2, "image_urls": []}}


def test_an_image_that_is_none_fails_the_step(steppings: Steppings) -> None:
    items = [{"n": 1, "image_urls": [f"{steppings.site.url}/leaf/4"]}]
    run = steppings.run(items, IMAGES, stores(steppings))
    assert run.is_finished, run.tail()
    (item,) = steppings.fed().values()
    assert item["images"] == []
    assert "cannot identify image" in run.text


@pytest.mark.parametrize("kind", ["Files", "Images"])
def test_a_missing_store_is_a_clear_error(steppings: Steppings, kind: str) -> None:
    run = steppings.run([{"n": 1}], {f"scrapy_resume.steps.{kind}": 1})
    assert run.exit_code == 1
    assert (
        f"The step scrapy_resume.steps.{kind} is not configured: {kind.upper()}_STORE" in run.text
    )
    assert not (steppings.place.path / "store").exists()
