"""What steps give, and how an item looks when they have ended."""

from __future__ import annotations

import json

import pytest

from tests.support.reactors import Mode, every_mode
from tests.support.steppings import Steppings

PLANS = [
    {"n": 0, "html": "<p>"},
    {"n": 1, "html": "<p>", "plan": {"plain": "skip"}},
    {"n": 2, "html": "<p>", "plan": {"double": "fail"}},
    {"n": 3, "html": "<p>", "plan": {"double": "flaky", "plain": "later"}},
    {"n": 4, "plan": {"plain": "raise"}},
    {"n": 5, "html": "<p>", "plan": {"html": "raise"}},
]


@every_mode
def test_fields_are_merged_in_order_and_feeds_have_the_whole_item(
    steppings: Steppings, mode: Mode
) -> None:
    run = steppings.run(PLANS, settings=mode.settings, start=[{"n": 9, "html": ""}])
    assert run.is_finished, run.tail()
    items = steppings.fed()
    for item in items.values():
        item.pop("plan", None)
    html = {"length": 3, "of": "stepping"}
    assert items == {
        0: {"n": 0, "double": 0, "plain": 1, **html},
        1: {"n": 1, "double": 2, **html},
        2: {"n": 2, **html},
        3: {"n": 3, "double": 6, "plain": 7, **html},
        4: {"n": 4, "double": 8},
        5: {"n": 5, "double": 10, "plain": 11},
        9: {"n": 9, "double": 18, "plain": 19},
    }
    assert steppings.called("double") == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1, 9: 1}
    assert steppings.called("plain") == {0: 1, 1: 1, 3: 2, 4: 3, 5: 1, 9: 1}
    assert steppings.called("html") == {0: 1, 1: 1, 2: 1, 3: 1, 5: 3}
    assert steppings.job()["status"] == "completed"
    assert (steppings.place.path / "closed").read_text() == "1"


def test_a_request_of_a_step_goes_through_the_crawls_downloader(steppings: Steppings) -> None:
    site = steppings.site.url
    items = [
        {"n": 1, "pages": [f"{site}/leaf/7", f"{site}/missing/1", f"{site}/redirect/3?hops=1"]}
    ]
    steps = {"stepping.pages": 1, "stepping.blocking": 2}
    run = steppings.run(items, steps, on_site=True)
    assert run.is_finished, run.tail()
    (item,) = steppings.fed().values()
    assert item["statuses"] == [200, 404, 200]
    assert (item["bot"], item["first"]) == ("scrapybot", 200)
    paths = [hit.url for hit in steppings.site.log.hits()]
    assert sum("/leaf/0" in path for path in paths) == 1, "the page itself"
    assert sum("/leaf/7" in path for path in paths) == 2
    assert steppings.job()["requests"]["total"] == 1, "what steps fetch are no requests of the job"


WRONG = {
    "unknown": ({"weight": 3}, "returned the field 'weight', which Product does not have"),
    "list": ([1], "a step returns a dict of fields or None, not a list"),
    "keyed": ({"n": 2}, "changed the key that RESUME_ITEM_KEY gives the item ('1')"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_result_is_a_failed_attempt_that_says_why(steppings: Steppings, kind: str) -> None:
    result, message = WRONG[kind]
    items = [{"n": 1, "wrong": result}]
    run = steppings.run(items, {"stepping.wrong": 1}, {"RESUME_ITEM_KEY": "n"})
    assert run.is_finished, run.tail()
    assert message in run.text
    assert steppings.called("wrong") == {1: 2}
    assert steppings.fed() == {1: {"n": 1, "wrong": result}}


def test_what_a_step_has_done_to_its_copy_of_the_item_is_not_merged(steppings: Steppings) -> None:
    steppings.spider.write_text(
        steppings.spider.read_text()
        + "\n\n@step\ndef spoils(item):\n    item['n'] = 'spoilt'\n    return {'ok': True}\n"
    )
    run = steppings.run([{"n": 1}], {"stepping.spoils": 1})
    assert run.is_finished, run.tail()
    assert steppings.fed() == {1: {"n": 1, "ok": True}}


def test_a_crawl_without_steps_has_nothing_of_them(steppings: Steppings) -> None:
    run = steppings.run([{"n": 1, "html": "x"}], {})
    assert run.is_finished, run.tail()
    assert "step" not in json.dumps(steppings.job()["requests"])
    assert "resume/steps" not in run.text
    assert steppings.fed() == {1: {"n": 1, "html": "x"}}
