"""A stage's process dies at any moment: what it had not finished is done again, all else is not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from scrapy_resume import open_store
from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from tests.stages.processes import Program, numbers, run_to_end

if TYPE_CHECKING:
    from pathlib import Path

CONCURRENCY = 8

AT_RISK = 60
"""Tasks that end within a commit interval, at the pace of the tests, with room for a slow disk."""


def check(store: Path | str, feed: Path, count: int) -> None:
    assert numbers(feed) == Counter(range(count))
    document = open_store(store).job("work#1")
    assert document["status"] == "completed"
    assert open_location(store).verify(JobKey("work", 1)).violations == []
    assert document["requests"]["done"] == document["requests"]["total"] == count
    assert document["items"]["stored"] == count
    assert Counter(item["number"] for item in open_store(store).items("work#1")) == Counter(
        range(count)
    )


@pytest.mark.parametrize(
    "mode", ["asyncio", *(pytest.param(mode, marks=pytest.mark.soak) for mode in ("plain", "hand"))]
)
def test_killed_tasks_run_again_and_nothing_is_twice(tmp_path: Path, mode: str) -> None:
    store, feed, count = tmp_path / "store", tmp_path / "out.jsonl", 300
    begun: list[str] = []
    failures = 0 if mode == "hand" else 0.1
    for at in (60, 60):
        program = Program(store, mode, count, feed=feed, failures=failures, seconds=0.004)
        program.read(at)
        program.kill()
        begun += program.begun
    begun += run_to_end(store, mode, count, feed=feed, failures=failures).begun
    check(store, feed, count)
    if not failures:
        assert len(begun) - count <= 2 * (1 + AT_RISK)


@pytest.mark.soak
def test_the_tasks_that_run_again_are_those_in_work_and_of_the_last_commit(tmp_path: Path) -> None:
    store, count = tmp_path / "store", 400
    program = Program(store, "asyncio", count, seconds=0.03)
    program.read(200)
    program.kill()
    begun = [*program.begun, *run_to_end(store, "asyncio", count, seconds=0.001).begun]
    assert set(begun) == {str(number) for number in range(count)}
    assert len(begun) - count <= CONCURRENCY + AT_RISK


@pytest.mark.soak
def test_a_task_that_kills_its_process_is_parked_in_the_end(tmp_path: Path) -> None:
    store, codes = tmp_path / "store", []
    for _ in range(8):
        program = Program(store, "asyncio", 30, dies=17, seconds=0.001)
        codes.append(program.wait())
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    assert codes.count(9) in (4, 5)  # the first death is not counted: see docs/stages.md
    document = open_store(store).job("work")
    assert document["requests"]["parked"] == 1
    assert document["requests"]["done"] == 29
    (row,) = open_store(store).requests("work", state="parked")
    assert row["url"] == "17"


def test_an_input_that_its_iterator_has_passed_is_done(tmp_path: Path) -> None:
    """What a dead process held is in the store with its key: the next one need not read it."""
    store = tmp_path / "store"
    program = Program(store, "asyncio", 50, seconds=0.1)
    program.read(20)
    program.kill()
    done = run_to_end(store, "asyncio", 0)  # it reads nothing
    assert len(done.begun) >= 30
    requests = open_store(store).job("work")["requests"]
    assert requests["done"] == requests["total"] == 50


def test_who_is_left_goes_on_to_the_end_if_the_first_process_dies(postgres_url: str) -> None:
    """The one that has opened the job says when its inputs are at their end; others wait for it."""
    first = Program(postgres_url, "asyncio", CONCURRENCY, seconds=60)
    first.read(CONCURRENCY)
    other = Program(postgres_url, "asyncio", 2 * CONCURRENCY, seconds=0.001)
    other.read(CONCURRENCY)
    first.kill()
    assert other.wait() == 0, other.errors
    assert other.lines == ["completed end"]
    assert Counter(other.begun) == Counter(map(str, range(2 * CONCURRENCY)))


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["asyncio", "plain"])
def test_three_processes_share_a_stage_of_which_one_is_killed(
    postgres_url: str, tmp_path: Path, mode: str
) -> None:
    feed, count = tmp_path / "out.jsonl", 240
    programs = [
        Program(postgres_url, mode, count, feed=feed, seconds=0.03, failures=0.1) for _ in range(3)
    ]
    programs[0].read(15)
    programs[0].kill()
    for program in programs[1:]:
        assert program.wait() == 0, program.errors
    check(postgres_url, feed, count)
