"""Pages that are fetched again: what their items' steps had given is taken over, or done again."""

from __future__ import annotations

import pytest

from scrapy_resume.steering import retry
from tests.support.steppings import JOB, STEPS, Steppings

ITEMS = [{"n": 1, "html": "x"}, {"n": 2, "html": "x", "plan": {"double": "fail"}}]


def fetched_again(steppings: Steppings, steps: dict[str, int | None] = STEPS) -> None:
    assert retry(steppings.location, JOB, state="done") == 2
    run = steppings.run(ITEMS, steps)
    assert run.is_finished, run.tail()
    assert steppings.job()["status"] == "completed"
    assert len(steppings.stored()) == 2


@pytest.mark.soak
def test_results_are_carried_over_if_nothing_has_changed(steppings: Steppings) -> None:
    run = steppings.run(ITEMS)
    assert run.is_finished, run.tail()
    before = steppings.stored()
    fetched_again(steppings)
    assert steppings.stored() == before
    assert steppings.called("plain") == {1: 1}
    assert steppings.called("double") == {1: 1, 2: 2}, "what had failed is tried again"


def test_another_version_of_a_step_runs_again_and_those_whose_fields_it_changes(
    steppings: Steppings,
) -> None:
    run = steppings.run(ITEMS)
    assert run.is_finished, run.tail()
    text = steppings.spider.read_text()
    text = text.replace('version="1"', 'version="2"').replace("2 * item", "3 * item")
    steppings.spider.write_text(text)
    fetched_again(steppings)
    assert steppings.called("double") == {1: 2, 2: 2}
    assert steppings.called("plain") == {1: 2}
    assert steppings.stored()[1]["plain"] == 4


def test_an_item_keeps_its_old_version_in_sight_until_the_new_one_is_whole(
    steppings: Steppings,
) -> None:
    run = steppings.run(ITEMS)
    assert run.is_finished, run.tail()
    before = steppings.stored()
    text = steppings.spider.read_text()
    slow = text.replace('version="1"', 'version="2"').replace("2 * item", "5 * item")
    steppings.spider.write_text(
        slow.replace("    before = note(", "    await sleep(30)\n    before = note(", 1)
    )
    assert retry(steppings.location, JOB, state="done") == 2
    run = steppings.run(ITEMS, None, {"CLOSESPIDER_TIMEOUT": 2}, timeout_seconds=6)
    assert steppings.stored() == before
    steppings.spider.write_text(slow)
    run = steppings.run(ITEMS)
    assert run.is_finished, run.tail()
    assert steppings.stored()[1]["double"] == 5


def test_a_step_skipped_for_a_field_is_open_again_when_the_page_brings_it(
    steppings: Steppings,
) -> None:
    items = [{"n": 1}]
    run = steppings.run(items)
    assert run.is_finished, run.tail()
    assert steppings.job()["steps"]["html"]["skipped"] == 1
    text = steppings.spider.read_text()
    steppings.spider.write_text(text.replace("else item\n", 'else {**item, "html": "abc"}\n'))
    assert retry(steppings.location, JOB, state="done") == 1
    run = steppings.run(items)
    assert run.is_finished, run.tail()
    assert steppings.fed()[1]["length"] == 3
    assert steppings.called() == {1: 3}, "the others are carried over"
    assert steppings.job()["steps"]["html"]["done"] == 1
