"""Crawls that end while steps are open: by Ctrl-C, by a kill, or since code is missing."""

from __future__ import annotations

import signal
import time

from tests.support.kills import Kill, Live
from tests.support.reactors import Mode, others_in_soak
from tests.support.steppings import STEPS, Steppings

SLOW = [{"n": n, "html": "x", "plan": {"blocks": 0.3}} for n in range(12)]


def when_called(steppings: Steppings, name: str, count: int, signum: signal.Signals) -> Kill:
    """When a step was called so often."""

    def kill(live: Live) -> float | None:
        live.until(lambda: steppings.called(name).total() >= count)
        return live.send(signum)

    return kill


@others_in_soak
def test_ctrl_c_waits_for_what_runs_and_begins_nothing(steppings: Steppings, mode: Mode) -> None:
    limits = {"RESUME_STEP_CONCURRENCY": 2, **mode.settings}
    kill = when_called(steppings, "plain", 2, signal.SIGINT)
    first = steppings.run(SLOW, None, limits, kill=kill)
    assert first.exit_code == 0, first.tail()
    assert steppings.job()["status"] == "paused", first.tail()
    began = steppings.called("plain")
    assert 2 <= began.total() < len(SLOW)
    second = steppings.run(SLOW, None, limits)
    assert second.is_finished, second.tail()
    assert steppings.job()["status"] == "completed"
    assert set(steppings.called("plain").values()) == {1}, "what ran was waited for, and counted"
    assert len(steppings.fed()) == len(SLOW)


@others_in_soak
def test_killed_while_steps_run_each_result_is_merged_once(
    steppings: Steppings, mode: Mode
) -> None:
    for count in (2, 7):
        kill = when_called(steppings, "plain", count, signal.SIGKILL)
        run = steppings.run(SLOW, None, {"RESUME_STEP_CONCURRENCY": 3, **mode.settings}, kill=kill)
        assert run.exit_code == -signal.SIGKILL, run.tail()
    last = steppings.run(SLOW, None, mode.settings)
    assert last.is_finished, last.tail()
    fed = steppings.fed()
    assert {n: item["plain"] for n, item in fed.items()} == {n: 2 * n + 1 for n in range(12)}
    assert all(item["length"] == 1 for item in fed.values())
    calls = steppings.called("plain")
    assert set(calls) == set(range(12))
    assert calls.total() <= 12 + 2 * 2 * 3, "only what was in flight, or not committed, ran again"


def test_a_thread_that_hangs_cannot_hold_the_exit(steppings: Steppings) -> None:
    items = [{"n": n} for n in range(3)]
    began = time.monotonic()
    run = steppings.run(items, {"stepping.hangs": 1})
    assert run.is_finished, run.tail()
    assert time.monotonic() - began < 30
    assert run.text.count("TimeoutError: did not end within its timeout of 0.2 s") == 3
    assert steppings.job()["status"] == "completed"
    assert len(steppings.fed()) == 3


def test_a_thread_that_hangs_keeps_its_place(steppings: Steppings) -> None:
    items = [{"n": n} for n in range(3)]
    settings = {"RESUME_STEP_CONCURRENCY": 1, "CLOSESPIDER_TIMEOUT": 3}
    run = steppings.run(items, {"stepping.hangs": 1}, settings)
    assert run.exit_code == 0, run.tail()
    assert steppings.called("hangs").total() == 1
    assert steppings.job()["status"] == "paused"


@others_in_soak
def test_a_coroutine_that_does_not_end_in_time_is_cancelled_and_tried_again(
    steppings: Steppings, mode: Mode
) -> None:
    settings = {"RESUME_STEP_CONCURRENCY": 1, **mode.settings}
    run = steppings.run([{"n": 1}, {"n": 2}], {"stepping.sleeps": 1}, settings)
    assert run.is_finished, run.tail()
    assert steppings.called("sleeps") == {1: 2, 2: 2}


def test_steps_whose_code_is_gone_are_held_until_they_are_put_back_or_switched_off(
    steppings: Steppings,
) -> None:
    items = [{"n": 1, "plan": {"seconds": 30}}, {"n": 2, "plan": {"seconds": 30}}]
    kill = when_called(steppings, "double", 1, signal.SIGKILL)
    steppings.run(items, {"stepping.double": 100, "stepping.plain": 200}, kill=kill)
    run = steppings.run(items, {"stepping.plain": 200})
    assert run.exit_code == 1, run.tail()
    job = steppings.job()
    assert (job["status"], job["reason"]) == ("paused", "step_missing"), run.tail()
    assert "2 steps are open of which RESUME_STEPS has none: 'double'" in run.text
    assert job["error"]["class"] == "StepMissingError"
    run = steppings.run(items, {"stepping.double": None, "stepping.plain": 200})
    assert run.is_finished, run.tail()
    assert steppings.job()["status"] == "completed"
    assert [item.keys() for item in steppings.fed().values()] == [{"n", "plan"}] * 2
    assert steppings.called("plain").total() == 0, "what it needs will not come"


def test_steps_of_items_whose_class_is_gone_are_held(steppings: Steppings) -> None:
    items = [{"n": 1, "wrong": []}, {"n": 2}]
    steps = {"stepping.wrong": 100}
    run = steppings.run(items, steps, {"RESUME_RETRY_DELAY": 1, "RESUME_RETRY_WAIT": 0})
    assert steppings.job()["reason"] == "resume_later", run.tail()
    text = steppings.spider.read_text()
    steppings.spider.write_text(text.replace("Product", "Thing"))
    run = steppings.run(items, steps)
    assert run.exit_code == 1, run.tail()
    job = steppings.job()
    assert (job["status"], job["reason"]) == ("paused", "callback_missing"), run.tail()
    assert "1 step is held, and pending" in run.text
    assert "Product" in job["error"]["message"]
    steppings.spider.write_text(text)
    run = steppings.run(items, steps)
    assert run.is_finished, run.tail()
    assert set(steppings.fed()) == {1, 2}


def test_delayed_steps_pause_the_job_as_delayed_requests_do(steppings: Steppings) -> None:
    items = [{"n": 1, "plan": {"double": "flaky"}}]
    settings = {"RESUME_RETRY_DELAY": 60, "RESUME_RETRY_WAIT": 1}
    run = steppings.run(items, STEPS, settings)
    assert run.exit_code == 0, run.tail()
    job = steppings.job()
    assert (job["status"], job["reason"]) == ("paused", "resume_later"), run.tail()
    assert "nothing is left but 1 step of items that waits for its next attempt" in run.text


def test_a_step_class_whose_open_spider_raises_ends_the_crawl(steppings: Steppings) -> None:
    text = steppings.spider.read_text()
    steppings.spider.write_text(text.replace("self.opened += 1", "raise RuntimeError('no model')"))
    run = steppings.run([{"n": 1}])
    assert "no model" in run.text
    assert not steppings.fed() if (steppings.place.path / "out.jsonl").exists() else True
    steppings.spider.write_text(text)
    run = steppings.run([{"n": 1}])
    assert run.is_finished, run.tail()
    assert set(steppings.fed()) == {1}


@others_in_soak
def test_a_forced_shutdown_counts_nothing(steppings: Steppings, mode: Mode) -> None:
    items = [{"n": n, "html": "x", "plan": {"seconds": 60}} for n in range(3)]

    def twice(live: Live) -> float | None:
        live.until(lambda: steppings.called("double").total() == 3)
        live.send(signal.SIGINT)
        time.sleep(0.5)
        return live.send(signal.SIGINT)

    began = time.monotonic()
    run = steppings.run(items, None, mode.settings, kill=twice)
    assert time.monotonic() - began < 30, run.tail()
    assert steppings.job()["status"] == "paused", run.tail()
    text = steppings.spider.read_text()
    steppings.spider.write_text(text.replace('("seconds", 0)', '("none", 0)'))
    attempts = "resume/steps/double/attempts"
    run = steppings.run(items, None, mode.settings)
    assert run.is_finished, run.tail()
    assert f"'{attempts}': 3" in run.text
    assert {n: item["double"] for n, item in steppings.fed().items()} == {0: 0, 1: 2, 2: 4}
    assert steppings.job()["steps"]["double"]["done"] == 3
