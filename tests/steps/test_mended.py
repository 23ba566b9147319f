"""What a person does after steps have failed: sees it, mends it, and has only that done again."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections import Counter
from typing import Any

from tests.support.photo_site import PhotoSite
from tests.support.runs import Run, options_of, watched
from tests.support.steppings import ADDON, JOB, STEPS, Steppings

PHOTOS = 3


def resume(steppings: Steppings, *words: str, **settings: Any) -> Run:
    """``scrapy resume`` in the folder of the job."""
    given = {"RESUME_STORE": steppings.location, **settings}
    return watched(
        ["resume", *words, "-s", ADDON, *options_of("-s", given)],
        site=steppings.site,
        log=steppings.place.next_log(),
        folder=steppings.place.path,
        launcher=steppings.launcher,
    )


def step_rows(steppings: Steppings) -> list[tuple[Any, ...]]:
    """What a person sees who asks the store by SQL."""
    (path,) = steppings.place.path.glob("store/*.sqlite3")
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT step, state, error FROM steps").fetchall()
    database.close()
    return rows


def test_images_of_a_product_that_could_not_be_had_are_all_that_a_retry_fetches(
    steppings: Steppings,
) -> None:
    with PhotoSite() as photos:
        urls = [f"{photos.url}/image/{n}.png" for n in range(PHOTOS)]
        whole = [f"{steppings.site.url}/image/{n}.png" for n in (7, 8)]
        items = [{"n": 1, "image_urls": urls}, {"n": 2, "image_urls": whole}]
        settings = {
            "IMAGES_STORE": steppings.place.path / "images",
            "RETRY_ENABLED": False,
        }
        steps: dict[str, int | None] = {"scrapy_resume.steps.Images": 100}

        def crawl() -> None:
            run = steppings.run(items, steps, settings, "-a", "unit=shop", on_site=True)
            assert run.is_finished, run.tail()

        crawl()
        assert Counter(photos.asked) == {f"/image/{n}.png": 3 for n in range(PHOTOS)}
        assert steppings.fed()[1]["images"] == []
        assert sorted(step_rows(steppings)) == [
            ("images", "done", None),
            ("images", "failed", "FilesMissingError"),
        ]
        units = json.loads(resume(steppings, "units", JOB, "--json").text)
        assert [(unit["unit"], unit["state"]) for unit in units] == [("shop", "partial")]
        assert resume(steppings, "status", JOB, "--check").exit_code == 3

        photos.is_mended = True
        photos.asked.clear()
        hits = len(steppings.site.log.hits())
        retried = resume(steppings, "retry", JOB, "--step", "images")
        assert retried.exit_code == 0, retried.tail()
        assert resume(steppings, "status", JOB, "--check").exit_code == 4
        crawl()
        assert Counter(photos.asked) == {f"/image/{n}.png": 1 for n in range(PHOTOS)}
        assert len(steppings.site.log.hits()) == hits, "no page, and no file of another product"
    fed = steppings.fed()
    assert [file["url"] for file in fed[1]["images"]] == urls
    assert [file["url"] for file in fed[2]["images"]] == whole
    for file in fed[1]["images"] + fed[2]["images"]:
        assert (steppings.place.path / "images" / file["path"]).exists()
    assert step_rows(steppings) == [("images", "done", None)] * 2
    units = json.loads(resume(steppings, "units", JOB, "--json").text)
    assert [unit["state"] for unit in units] == ["completed"]
    assert resume(steppings, "status", JOB, "--check").exit_code == 0


def test_a_version_that_was_raised_is_run_for_all_and_what_was_consumed_is_named(
    steppings: Steppings,
) -> None:
    items = [{"n": n, "html": "x" * n} for n in range(1, 6)]
    run = steppings.run(items, on_site=True)
    assert run.is_finished, run.tail()
    text = steppings.spider.read_text()
    text = text.replace('version="1"', 'version="2"').replace("2 * item", "3 * item")
    text = text.replace("class Html:", 'class Html:\n    version = "2"')
    steppings.spider.write_text(text)
    settings = {"RESUME_STEPS": json.dumps(STEPS)}
    pages = len(steppings.site.log.hits())
    double = resume(steppings, "retry", JOB, "--step", "double", "--outdated", **settings)
    assert f"5 steps 'double' of {JOB}#1 are tried again by its next crawl" in double.text
    run = steppings.run(items, on_site=True)
    assert run.is_finished, run.tail()
    assert len(steppings.site.log.hits()) == pages, "no page is fetched for it"
    assert {n: item["double"] for n, item in steppings.fed().items()} == {
        n: 3 * n for n in range(1, 6)
    }
    html = resume(steppings, "retry", JOB, "--step", "html", "--outdated", **settings)
    assert "Left alone: 5 items whose input for 'html' was consumed." in html.text
    # What it says is typed as it stands there.
    line = html.text.partition("Fetch their pages again: ")[2].strip()
    first, _, second = line.partition(" | ")
    urls = resume(steppings, *words_of(first), **settings)
    assert len(urls.text.splitlines()) == 5
    (steppings.place.path / "urls").write_text(urls.text)
    words = [word if word != "-" else "urls" for word in words_of(second)]
    again = resume(steppings, *words, **settings)
    assert again.exit_code == 0, again.tail()
    run = steppings.run(items, on_site=True)
    assert run.is_finished, run.tail()
    assert len(steppings.site.log.hits()) == 2 * pages
    assert steppings.called("html") == dict.fromkeys(range(1, 6), 2)
    assert steppings.called("double") == dict.fromkeys(range(1, 6), 2), "it was carried over"


def words_of(line: str) -> list[str]:
    words = shlex.split(line)
    assert words[:2] == ["scrapy", "resume"]
    return words[2:]
