"""SIGINT and SIGTERM, once and twice; programs of several stages that are interrupted."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from scrapy_resume import open_store
from tests.stages.processes import Program, numbers, run_to_end

if TYPE_CHECKING:
    from pathlib import Path


def job(store: Path, name: str = "work") -> dict[str, Any]:
    document: dict[str, Any] = open_store(store).job(name)
    return document


@pytest.mark.parametrize(
    ("mode", "number"),
    [
        ("asyncio", signal.SIGINT),
        pytest.param("uvloop", signal.SIGINT, marks=pytest.mark.soak),
        pytest.param("asyncio", signal.SIGTERM, marks=pytest.mark.soak),
        pytest.param("plain", signal.SIGTERM, marks=pytest.mark.soak),
        pytest.param("hand", signal.SIGINT, marks=pytest.mark.soak),
    ],
)
def test_the_first_signal_ends_what_is_in_hand_and_pauses(
    tmp_path: Path, mode: str, number: signal.Signals
) -> None:
    store, feed = tmp_path / "store", tmp_path / "out.jsonl"
    program = Program(store, mode, 100, seconds=0.02, feed=feed)
    program.read(20)
    program.send(number)
    assert program.wait() == 0
    assert program.lines == ["paused end"]
    assert "Job work#1 is paused (shutdown)" in program.errors
    document = job(store)
    assert (document["status"], document["reason"]) == ("paused", "shutdown")
    assert document["requests"]["done"] == len(program.begun) < 100
    last = run_to_end(store, mode, 100, seconds=0.001, feed=feed)
    assert Counter([*program.begun, *last.begun]) == Counter(map(str, range(100)))
    assert numbers(feed) == Counter(range(100))


@pytest.mark.parametrize("mode", [pytest.param("asyncio", marks=pytest.mark.soak), "plain"])
def test_the_second_signal_does_not_wait_for_what_is_in_hand(tmp_path: Path, mode: str) -> None:
    store = tmp_path / "store"
    program = Program(store, mode, 20, seconds=60)
    program.read(8)
    program.send(signal.SIGINT)
    program.expect("is told to stop")
    program.send(signal.SIGINT)
    assert program.wait() != 0
    document = job(store)
    assert (document["status"], document["reason"]) == ("paused", "shutdown")
    assert document["requests"]["pending"] == 20
    assert {row["attempts"] for row in open_store(store).requests("work")} == {0}


@pytest.mark.soak
def test_a_program_goes_on_where_its_chain_was_interrupted(tmp_path: Path) -> None:
    store = tmp_path / "store"
    program = Program(store, "chain", 40, seconds=0.02)
    program.read(50)  # in the second stage
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    assert program.lines == ["first completed", "second paused"]

    program = Program(store, "chain", 40, seconds=0.02)
    program.read(5)
    program.kill()

    last = run_to_end(store, "chain", 40, seconds=0.001)
    assert last.lines == ["first completed", "second completed"]
    for name in ("first", "second"):
        document = job(store, name)
        assert (document["number"], document["requests"]["done"]) == (1, 40)
    # It has come to its end: the next start begins the next numbers.
    run_to_end(store, "chain", 40, seconds=0.001)
    assert job(store, "first")["number"] == job(store, "second")["number"] == 2


def test_a_program_that_fails_after_its_stages_does_not_repeat_them(tmp_path: Path) -> None:
    store = tmp_path / "store"
    program = Program(store, "chain", 3, error=1)
    assert program.wait() == 1
    again = Program(store, "chain", 3)
    assert again.wait() == 0
    assert again.begun == []
    assert job(store, "first")["number"] == 1


def test_a_stage_after_a_signal_does_not_begin(tmp_path: Path) -> None:
    store = tmp_path / "store"
    program = Program(store, "chain", 40, seconds=0.05)
    program.read(10)
    program.send(signal.SIGTERM)
    assert program.wait() == 0
    assert program.lines == ["first paused", "second paused"]
    assert job(store, "second")["requests"]["done"] == 0
