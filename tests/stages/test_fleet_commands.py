"""Commands on a stage that three processes share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.commands.conftest import Answer, call, shelf
from tests.stages.processes import Program, run_to_end

__all__ = ["call", "shelf"]

Call = Callable[..., Answer]

COUNT = 600


@pytest.mark.soak
def test_workers_recover_skip_and_stop_reach_all_of_a_fleet(postgres_url: str, call: Call) -> None:
    def document(*words: str) -> Any:
        answer = call(*words, "work", "--json", RESUME_STORE=postgres_url)
        assert answer.code == 0, answer.err
        return json.loads(answer.out)

    programs = [Program(postgres_url, "asyncio", COUNT, seconds=0.1) for _ in range(3)]
    for program in programs:
        program.read(8)
    shown = document("workers")
    assert [worker["status"] for worker in shown] == ["running"] * 3
    hands = [set(worker["in_hand"]) for worker in shown]
    assert sum(map(len, hands)) == len(set().union(*hands))  # each key is one process's
    assert {worker["worker"].rpartition(":")[2] for worker in shown} == {
        str(program.pid) for program in programs
    }

    dead, *alive = programs
    dead.kill()
    document("recover")
    assert len([one for one in document("workers") if one["status"] == "running"]) == 2

    words = ("skip", "work", "--url", str(COUNT - 1), "--json")
    assert call(*words, RESUME_STORE=postgres_url).code == 0
    assert document("stop")["stopped"]
    for program in alive:
        assert program.wait() == 0, program.errors
        assert program.lines == ["paused end"] or program.lines == ["running end"]
    counts = document("status")
    assert (counts["status"], counts["reason"]) == ("paused", "shutdown")
    assert (counts["requests"]["leased"], document("workers")) == (0, [])

    last = run_to_end(postgres_url, "asyncio", COUNT, seconds=0.001)
    counts = document("status")["requests"]
    begun = Counter(key for program in (*programs, last) for key in program.begun)
    assert counts["done"] + counts["ignored"] == counts["total"] == COUNT
    assert begun.keys() == {str(number) for number in range(COUNT)} - (
        {str(COUNT - 1)} if counts["ignored"] else set()
    )
    assert set(begun) - {key for key, n in begun.items() if n == 1} <= set(dead.begun)
