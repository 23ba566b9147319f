"""How steps of items are written for people: counts, errors, and the commands about them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from scrapy_resume.commands.formats import number, shortened
from scrapy_resume.commands.terminal_output import Column
from scrapy_resume.reporting.progress import percent
from scrapy_resume.reporting.step_documents import STEP_STATES

STEP_COLUMNS: Final = (
    Column("STEP", style="bold"),
    Column("PENDING", rank=3, right=True),
    Column("RUNNING", rank=4, right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("PARKED", rank=2, right=True),
    Column("SKIPPED", rank=1, right=True),
    Column("SUCCESS", right=True),
)
DAY_COLUMNS: Final = (
    Column("DAY"),
    Column("STEP", style="bold"),
    Column("ATTEMPTS", right=True),
    Column("RETRIES", rank=2, right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("SKIPPED", rank=1, right=True),
    Column("SUCCESS", right=True),
)
_DAY_COUNTS: Final = ("attempts", "retries", "done", "failed", "skipped")
_LONGEST_MESSAGE: Final = 100


def step_row(row: Mapping[str, Any]) -> list[str]:
    """The cells of ``STEP_COLUMNS``, from a document of ``steps --json``."""
    counts = [number(row[state]) for state in STEP_STATES]
    return [row["step"], *counts, percent(row["success_rate"])]


def day_row(row: Mapping[str, Any]) -> list[str]:
    """The cells of ``DAY_COLUMNS``, from a document of ``steps --by-day --json``."""
    counts = [number(row[name]) for name in _DAY_COUNTS]
    return [row["day"], row["step"], *counts, percent(row["success_rate"])]


def counts_line(counts: Mapping[str, int]) -> str:
    """``done 3  failed 1``: the counts of a step that are not 0."""
    return "  ".join(f"{state} {number(counts[state])}" for state in STEP_STATES if counts[state])


def failure_line(group: Mapping[str, Any]) -> str:
    """One line about a group of failed steps."""
    message = shortened(group["error_message"], _LONGEST_MESSAGE)
    parked = f" ({number(group['parked'])} parked)" if group["parked"] else ""
    told = f": {message}" if message else ""
    return f"{number(group['count'])} x {group['step']} {group['error'] or '-'}{parked}{told}"


def failure_lines(group: Mapping[str, Any]) -> Iterator[str]:
    """The same, with its examples."""
    yield failure_line(group)
    for example in group["examples"]:
        url = f"  {example['url']}" if example["url"] else ""
        yield f"    {example['key']}{url}"


def retry_command(key: object, step: str) -> str:
    """What tries a step again."""
    return f"scrapy resume retry {shlex.quote(str(key))} --step {shlex.quote(step)}"


def troubled_steps(answer: Mapping[str, Any]) -> dict[str, int]:
    """How many steps have failed or are parked, by name, from a document of ``status --json``."""
    counts = {name: row["failed"] + row["parked"] for name, row in (answer["steps"] or {}).items()}
    return {name: count for name, count in counts.items() if count}
