"""Thousands of tasks with random failures and durations, killed at random moments, on both stores.

What is held: the output is that of an uninterrupted run and has nothing twice; the counts are
exact; and a task that had ended runs again only if no commit of its process was made after that
before it was killed.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stages.processes import Program
from tests.stages.test_kills import CONCURRENCY, check

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNT = 5_000


def check_repeated(programs: Sequence[Program]) -> None:
    """Hold what has run again to what may: see above. Prints the figures (``pytest -s``)."""
    times = Counter(key for program in programs for key in program.ended)
    assert times.keys() == {str(number) for number in range(COUNT)}
    ages: list[float] = []
    killed = [program for program in programs if program.killed_at is not None]
    for program in killed:
        assert program.killed_at is not None
        assert len(program.in_hand) <= CONCURRENCY
        for key, at in program.ended.items():
            if any(at < other.ended.get(key, at) for other in programs):
                assert at >= program.committed_at
                times[key] -= 1
                ages.append(program.killed_at - at)
    assert set(times.values()) == {1}  # nothing else has run again
    in_hand = sum(len(program.in_hand) for program in killed)
    oldest = max(ages, default=0.0)
    print(
        f"\n{len(killed)} kills: {in_hand} tasks in hand, {len(ages)} had ended and ran again,"
        f" the oldest {oldest:.2f} s before the kill"
    )


def kill_at_random(program: Program, chance: random.Random, most: int) -> None:
    """Kill it after so many tasks at most, and not just when one has begun."""
    program.read(chance.randrange(0, most))
    time.sleep(chance.random() * 0.15)  # any moment
    program.kill()


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["asyncio", "plain"])
@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
@pytest.mark.parametrize("seed", range(20))
def test_5000_tasks_with_three_kills(
    tmp_path: Path,
    postgres_url: str,
    mode: str,
    backend: str,
    seed: int,
) -> None:
    store = tmp_path / "store" if backend == "sqlite" else postgres_url
    feed, chance = tmp_path / "out.jsonl", random.Random(f"{mode} {backend} {seed}")
    programs = []
    for _ in range(3):
        program = Program(store, mode, COUNT, feed=feed, failures=0.1, seconds=0.005, trace=1)
        programs.append(program)
        kill_at_random(program, chance, 1_500)
    last = Program(store, mode, COUNT, feed=feed, failures=0.1, seconds=0.002, trace=1)
    programs.append(last)
    assert last.wait() == 0, last.errors
    check(store, feed, COUNT)
    check_repeated(programs)


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["asyncio", "plain"])
@pytest.mark.parametrize("seed", range(20))
def test_5000_tasks_in_three_processes_of_which_one_is_killed(
    tmp_path: Path, postgres_url: str, mode: str, seed: int
) -> None:
    feed, chance = tmp_path / "out.jsonl", random.Random(f"{mode} {seed}")
    programs = [
        Program(postgres_url, mode, COUNT, feed=feed, failures=0.1, seconds=0.01, trace=1)
        for _ in range(3)
    ]
    readers = [
        threading.Thread(target=program.read, args=(10**9,), daemon=True)
        for program in programs[1:]
    ]
    for reader in readers:
        reader.start()
    kill_at_random(programs[0], chance, 1_000)
    for reader, program in zip(readers, programs[1:], strict=True):
        reader.join()
        assert program.wait() == 0, program.errors
    check(postgres_url, feed, COUNT)
    check_repeated(programs)
