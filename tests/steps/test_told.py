"""Who hears of steps: signals, the event log, stats, the log."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

from tests.support.steppings import Steppings

HANDLER = """

class Told:
    def __init__(self, crawler):
        from scrapy_resume import signals

        self.file = open("told.jsonl", "w")
        crawler.signals.connect(self.step_failed, signals.step_failed)
        crawler.signals.connect(self.item_completed, signals.item_completed)

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def step_failed(self, job, step):
        print(json.dumps(["step_failed", job, step]), file=self.file, flush=True)

    async def item_completed(self, job, item):
        print(json.dumps(["item_completed", job, item]), file=self.file, flush=True)
"""

ITEMS = [
    {"n": 1, "html": "x"},
    {"n": 2, "html": "x", "plan": {"plain": "fail", "html": "skip"}},
    {"n": 3, "html": "x", "plan": {"double": "flaky"}},
]


def test_signals_tell_of_failed_steps_and_of_items_that_are_complete(steppings: Steppings) -> None:
    steppings.spider.write_text(steppings.spider.read_text() + HANDLER)
    settings = {"EXTENSIONS": '{"stepping.Told": 0}', "RESUME_ITEM_KEY": "n"}
    run = steppings.run(ITEMS, None, settings)
    assert run.is_finished, run.tail()
    lines = (steppings.place.path / "told.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert {job for _, job, _ in told} == {"stepping#1"}
    failed = [details for kind, _, details in told if kind == "step_failed"]
    assert failed == [
        {
            "item": "2",
            "url": "data:,1",
            "attempts": 1,
            "error": "FailStep",
            "name": "plain",
            "message": "as planned",
        }
    ]
    items = {details["key"]: details for kind, _, details in told if kind == "item_completed"}
    assert len(told) == 4
    assert {key: item["failed"] for key, item in items.items()} == {
        "1": [],
        "2": ["plain"],
        "3": [],
    }


def test_the_event_log_has_every_attempt(steppings: Steppings) -> None:
    settings = {"RESUME_EVENT_LOG": steppings.place.path / "events", "RESUME_ITEM_KEY": "n"}
    run = steppings.run(ITEMS, None, settings)
    assert run.is_finished, run.tail()
    (path,) = (steppings.place.path / "events").iterdir()
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    events: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    steps = Counter((event["type"], event["step"]) for event in events if "step" in event)
    assert steps == {
        ("step_done", "double"): 3,
        ("step_retry_scheduled", "double"): 1,
        ("step_done", "plain"): 2,
        ("step_failed", "plain"): 1,
        ("step_done", "html"): 2,
        ("step_skipped", "html"): 1,
    }
    assert sum(event["type"] == "item_completed" for event in events) == 3


def test_stats_and_the_last_line_count_steps(steppings: Steppings) -> None:
    run = steppings.run(ITEMS)
    assert run.is_finished, run.tail()
    for stat in (
        "'resume/steps/double/attempts': 4",
        "'resume/steps/double/done': 3",
        "'resume/steps/plain/failed': 1",
        "'resume/steps/html/skipped': 1",
    ):
        assert stat in run.text
    assert "| steps 9/9" in run.text
    assert "3 items, 1 step failed" in run.text


def test_failures_of_one_kind_are_not_logged_one_by_one(steppings: Steppings) -> None:
    items = [{"n": n, "plan": {"double": "fail"}} for n in range(30)]
    run = steppings.run(items, {"stepping.double": 1})
    assert run.is_finished, run.tail()
    assert run.text.count("Step double of item") == 5
    assert "Traceback" not in run.text


def test_a_step_that_no_item_has_a_field_for_is_not_passed_over_in_silence(
    steppings: Steppings,
) -> None:
    items = [{"n": 1}, {"n": 2}]
    run = steppings.run(items, {"stepping.double": 1, "stepping.pages": 2})
    assert run.is_finished, run.tail()
    told = [line for line in run.text.splitlines() if "was run for none of" in line]
    assert len(told) == 1
    assert "Step pages was run for none of 2 items" in told[0]
    assert "no pages, which it needs" in told[0]


def test_a_step_that_some_items_have_a_field_for_is_nothing_to_tell(steppings: Steppings) -> None:
    items = [{"n": 1}, {"n": 2, "pages": []}, {"n": 3, "pages": ["data:,x"]}]
    run = steppings.run(items, {"stepping.pages": 2})
    assert run.is_finished, run.tail()
    assert "was run for none of" not in run.text
