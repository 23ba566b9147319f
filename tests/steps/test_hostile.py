"""Whole crawls whose steps do what no step should, or whose code changes between two runs."""

from __future__ import annotations

import json
import signal
from typing import Any

from scrapy_resume import open_store
from tests.steps.test_ends import when_called
from tests.support.reactors import Mode, others_in_soak
from tests.support.steppings import JOB, Steppings

TWO: dict[str, int | None] = {"stepping.double": 100, "stepping.plain": 200}


def with_code(steppings: Steppings, code: str) -> None:
    steppings.spider.write_text(steppings.spider.read_text() + "\n\n" + code)


def change(steppings: Steppings, old: str, new: str) -> None:
    text = steppings.spider.read_text()
    assert old in text
    steppings.spider.write_text(text.replace(old, new))


def killed_in_double(steppings: Steppings, items: list[dict[str, Any]]) -> None:
    kill = when_called(steppings, "double", len(items), signal.SIGKILL)
    steppings.run(items, TWO, kill=kill)
    change(steppings, '("seconds", 0)', '("none", 0)')


SLOW = [{"n": n, "plan": {"seconds": 30}} for n in range(2)]


def test_a_step_that_was_away_while_what_it_waited_for_ended_runs_when_it_is_back(
    steppings: Steppings,
) -> None:
    killed_in_double(steppings, SLOW)
    run = steppings.run(SLOW, {"stepping.double": 100})
    assert run.exit_code == 1
    assert steppings.job()["reason"] == "step_missing", run.tail()
    run = steppings.run(SLOW, TWO)
    assert run.is_finished, run.tail()
    assert steppings.job()["status"] == "completed", run.tail()
    assert {n: item["plain"] for n, item in steppings.fed().items()} == {0: 1, 1: 3}


def test_a_step_that_was_away_can_be_switched_off_instead(steppings: Steppings) -> None:
    killed_in_double(steppings, SLOW)
    steppings.run(SLOW, {"stepping.double": 100})
    run = steppings.run(SLOW, {"stepping.double": 100, "stepping.plain": None})
    assert run.is_finished, run.tail()
    assert steppings.job()["status"] == "completed", run.tail()
    assert {n: item["double"] for n, item in steppings.fed().items()} == {0: 0, 1: 2}


def test_a_step_with_another_name_leaves_the_old_one_open_until_it_is_switched_off(
    steppings: Steppings,
) -> None:
    killed_in_double(steppings, SLOW)
    change(steppings, "async def double(", "async def twice(")
    renamed: dict[str, int | None] = {"stepping.twice": 100, "stepping.plain": 200}
    run = steppings.run(SLOW, renamed)
    assert run.exit_code == 1
    assert "RESUME_STEPS has none: 'double'" in run.text
    run = steppings.run(SLOW, {**renamed, "stepping.double": None})
    assert run.is_finished, run.tail()
    assert set(steppings.fed()) == {0, 1}
    assert steppings.job()["status"] == "completed"


def test_steps_that_change_places_between_two_runs_all_end(steppings: Steppings) -> None:
    killed_in_double(steppings, SLOW)
    run = steppings.run(SLOW, {"stepping.plain": 100, "stepping.double": 200})
    assert run.is_finished, run.tail()
    assert steppings.job()["status"] == "completed"
    assert {n: item["plain"] for n, item in steppings.fed().items()} == {0: 1, 1: 3}


def test_steps_that_need_what_the_other_one_gives_are_both_skipped(steppings: Steppings) -> None:
    code = """
@step(needs="b")
def a(item):
    return {"a": 1}


@step(needs="a")
def b(item):
    return {"b": 1}
"""
    with_code(steppings, code)
    run = steppings.run([{"n": 1}], {"stepping.a": 1, "stepping.b": 2})
    assert run.is_finished, run.tail()
    assert steppings.fed() == {1: {"n": 1}}
    steps = steppings.job()["steps"]
    assert (steps["a"]["skipped"], steps["b"]["skipped"]) == (1, 1)


@others_in_soak
def test_a_coroutine_that_exits_has_failed(steppings: Steppings, mode: Mode) -> None:
    code = "async def ends(item):\n    await sleep(0)\n    raise SystemExit(3)\n"
    with_code(steppings, f"@step(max_attempts=2)\n{code}")
    run = steppings.run([{"n": 1}], {"stepping.ends": 1}, mode.settings)
    assert run.is_finished, run.tail()
    assert steppings.job()["steps"]["ends"]["failed"] == 1
    assert steppings.fed() == {1: {"n": 1}}
    assert "has failed, attempt 2 of 2: SystemExit: 3" in run.text


def test_a_step_may_close_the_spider(steppings: Steppings) -> None:
    code = """
@step
async def closes(item, crawler, spider):
    note("closes", item)
    if not Path("open").exists():
        crawler.engine.close_spider(spider, "enough")
    return {"ok": True}
"""
    with_code(steppings, code)
    items = [{"n": n} for n in range(30)]
    settings = {"RESUME_STEP_CONCURRENCY": 1}
    run = steppings.run(items, {"stepping.closes": 1}, settings)
    assert run.exit_code == 0, run.tail()
    job = steppings.job()
    assert (job["status"], job["reason"]) == ("paused", "enough")
    assert steppings.called("closes").total() < 30
    (steppings.place.path / "open").touch()
    run = steppings.run(items, {"stepping.closes": 1}, settings)
    assert run.is_finished, run.tail()
    assert steppings.fed() == {n: {"n": n, "ok": True} for n in range(30)}
    assert steppings.called("closes") == dict.fromkeys(range(30), 1)


def test_the_later_of_two_steps_gives_a_field_that_both_give(steppings: Steppings) -> None:
    code = """
@step(after="second")
def first(item):
    return {"who": item.get("who", "") + "first"}


@step
def second(item):
    return {"who": item.get("who", "") + "second"}
"""
    with_code(steppings, code)
    run = steppings.run([{"n": 1}], {"stepping.first": 1, "stepping.second": 2})
    assert run.is_finished, run.tail()
    assert steppings.fed() == {1: {"n": 1, "who": "secondfirst"}}


NAME = "50% of 'Größe' \"%s\" ; DROP TABLE step --" + "x" * 300


def test_a_name_is_a_name_whatever_is_in_it(steppings: Steppings) -> None:
    with_code(steppings, f"@step(name={NAME!r})\ndef named(item):\n    return {{'ok': True}}\n")
    run = steppings.run([{"n": 1}], {"stepping.named": 1})
    assert run.is_finished, run.tail()
    assert steppings.fed() == {1: {"n": 1, "ok": True}}
    (record,) = open_store(steppings.location).item_records(JOB)
    assert json.dumps(record["steps"])
    assert record["state"] == "complete"


def test_calls_that_never_end_do_not_keep_a_crawl_open_for_ever(steppings: Steppings) -> None:
    with_code(steppings, "from scrapy_resume.steps import hung\n\nhung.PATIENCE_SECONDS = 0.5\n")
    items = [{"n": n} for n in range(4)]
    for _ in range(3):
        run = steppings.run(items, {"stepping.hangs": 1}, {"RESUME_STEP_CONCURRENCY": 2})
        if steppings.job()["status"] == "completed":
            break
        assert run.exit_code == 1, run.tail()
        job = steppings.job()
        assert (job["status"], job["reason"]) == ("paused", "steps_hang"), run.tail()
        assert job["error"]["class"] == "StepsHangError"
        assert "no step can begin: 2 calls of steps go on past their timeout: hangs (2)" in run.text
    assert steppings.called("hangs") == dict.fromkeys(range(4), 1)
    assert set(steppings.fed()) == set(range(4))
