"""What the read side says of requests that the last run did not restore."""

from __future__ import annotations

from typing import Any

from scrapy_resume.reporting.documents import held_answer, with_held


def run(ended_at: float | None, **held: int) -> dict[str, Any]:
    stats = {"resume/held": sum(held.values()), **{f"resume/held/{n}": c for n, c in held.items()}}
    return {"ended_at": ended_at, "stats": None if ended_at is None else stats}


def test_the_run_that_ended_last_says_what_is_held() -> None:
    runs = [run(1.0, gone=9), run(3.0, parse_b=1, parse_a=2), run(2.0, gone=4), run(None)]
    assert held_answer(runs, pending=3) == [
        {"name": "parse_a", "requests": 2},
        {"name": "parse_b", "requests": 1},
    ]


def test_nothing_is_held_when_nothing_is_pending_or_no_run_has_ended() -> None:
    assert held_answer([run(1.0, gone=9)], pending=0) == []
    assert held_answer([run(None)], pending=9) == []
    assert held_answer([run(1.0, gone=9), run(2.0)], pending=9) == []


def test_pending_requests_of_what_is_held_say_so() -> None:
    rows = [
        {"callback": callback, "state": state, "error": None, "error_message": None}
        for callback, state in (
            ("parse_a", "pending"),
            ("parse_a", "done"),
            ("parse_b", "pending"),
            ("function:shop:parse_c", "pending"),
        )
    ]
    held = [{"name": "parse_a", "requests": 1}, {"name": "shop:parse_c", "requests": 1}]
    errors = [row["error"] for row in with_held(rows, held)]
    assert errors == ["CallbackMissingError", None, None, "CallbackMissingError"]
