"""Steps that are tried again by command: without their page, with what is kept, and no more."""

from __future__ import annotations

from scrapy_resume.steering import retry_steps
from tests.support.steppings import JOB, STEPS, Steppings


def test_images_that_could_not_be_had_are_fetched_later_and_nothing_else(
    steppings: Steppings,
) -> None:
    site = steppings.site.url
    urls = [f"{site}/flaky/8{n}?times=4" for n in range(3)]
    steps: dict[str, int | None] = {"scrapy_resume.steps.Files": 300}
    settings = {"FILES_STORE": steppings.place.path / "files", "RETRY_ENABLED": False}
    items = [{"n": 1, "file_urls": urls}]
    run = steppings.run(items, steps, settings, on_site=True)
    assert run.is_finished, run.tail()
    assert steppings.fed()[1]["files"] == []
    hits = len(steppings.site.log.hits())
    opened = retry_steps(steppings.location, JOB, step="files")
    assert opened.steps == 1
    assert steppings.job()["status"] == "paused"
    run = steppings.run(items, steps, settings, on_site=True)
    assert run.is_finished, run.tail()
    assert steppings.job()["status"] == "completed"
    files = steppings.fed()[1]["files"]
    assert [file["url"] for file in files] == urls
    later = [hit.url for hit in steppings.site.log.hits()][hits:]
    assert sum("/flaky/" in url for url in later) == 6, "a failed attempt, and one that succeeds"
    assert not any("/leaf/" in url for url in later), "the page is not fetched for them"


def test_a_failed_step_has_what_it_consumes_when_it_is_tried_again(steppings: Steppings) -> None:
    items = [{"n": 1, "html": "abc", "plan": {"html": "raise"}}]
    run = steppings.run(items)
    assert run.is_finished, run.tail()
    assert "html" not in steppings.fed()[1]
    text = steppings.spider.read_text()
    mended = text.replace('behave("html", item, note("html", item))', "pass")
    steppings.spider.write_text(mended)
    assert retry_steps(steppings.location, JOB, step="html").steps == 1
    run = steppings.run(items)
    assert run.is_finished, run.tail()
    assert steppings.fed()[1]["length"] == 3
    assert "html" not in steppings.stored()[1]
    assert steppings.called("double") == {1: 1}


def test_a_step_skipped_for_a_field_is_open_again_when_a_retry_brings_it(
    steppings: Steppings,
) -> None:
    items = [{"n": 1, "plan": {"double": "fail"}}]
    steps: dict[str, int | None] = {"stepping.double": 100, "stepping.plain": 200}
    run = steppings.run(items, steps)
    assert run.is_finished, run.tail()
    assert steppings.called("plain").total() == 0
    text = steppings.spider.read_text()
    steppings.spider.write_text(text.replace('behave("double", item, before)', "pass"))
    assert retry_steps(steppings.location, JOB, step="double").steps == 1
    run = steppings.run(items, steps)
    assert run.is_finished, run.tail()
    assert steppings.called("plain") == {1: 1}
    item = steppings.fed()[1]
    assert (item["double"], item["plain"]) == (2, 3)


def test_a_retry_that_fails_again_changes_nothing_that_is_visible(steppings: Steppings) -> None:
    items = [{"n": 1, "html": "x", "plan": {"plain": "raise"}}]
    run = steppings.run(items, STEPS)
    assert run.is_finished, run.tail()
    before = steppings.fed()
    assert retry_steps(steppings.location, JOB, step="plain").steps == 1
    run = steppings.run(items, STEPS)
    assert run.is_finished, run.tail()
    assert steppings.fed() == before == steppings.stored()
    assert steppings.called("plain") == {1: 6}
