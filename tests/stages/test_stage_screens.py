"""Screens of a stage, as they are kept in ``tests/commands/golden``: of tasks and keys."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from scrapy_resume.model import START, Phase, State, digest
from scrapy_resume.store.contract import Admission, Batch, Finish, ItemRecord, RunProgress
from tests.commands.clock import Clock
from tests.commands.conftest import Answer, Shelf, call, shelf
from tests.commands.test_screens import STYLE, check, clock, on_terminal

__all__ = ["call", "clock", "on_terminal", "shelf"]

SCREENS = {
    "status": ["status", "enrich"],
    "show": ["show", "enrich"],
    "requests": ["requests", "enrich"],
    "failed": ["failed", "enrich"],
    "units": ["units", "enrich"],
    "workers": ["workers", "enrich"],
    "items": ["items", "enrich"],
    "report": ["report"],
    "retry": ["retry", "enrich", "--dry-run"],
}

OF_CRAWLS = re.compile(
    r"\b(pages?|urls?|fetch\w*|requests?|crawl\w*|hosts?|spider)\b", re.IGNORECASE
)

Look = Callable[..., Answer]


@pytest.fixture
def stage(clock: Clock, shelf: Shelf) -> Shelf:
    """A stage that runs: three of its tasks are done, two have failed, one is in work."""
    launch = {"command": "stage", "file": "/srv/enrich.py", "directory": "/srv"}
    job = shelf.begin("enrich", spider="enrich", launch=launch, worker="box:7")
    keys = [f"isbn-{number}" for number in range(7)]
    rows = [
        Admission(
            id=number,
            identity=digest(key.encode()),
            parent=START,
            url=key,
            payload='{"callback":"enrich"}',
            slot="enrich",
            priority=0,
            start=0,
            seq=number,
            unit="novels" if number % 2 else "poems",
            lease=number < 6,
        )
        for number, key in enumerate(keys, 1)
    ]
    job.mark(6, Phase.answered)
    item = ItemRecord(0, '{"price":3}', None)
    finishes = [Finish(id=row.id, attempts=1, state=State.done, items=[item]) for row in rows[:3]]
    finishes += [
        Finish(
            id=row.id, attempts=3, state=State.failed, error="TimeoutError", error_message="late"
        )
        for row in rows[3:5]
    ]
    clock.go_on(90)
    job.commit(Batch(next_id=9, arrivals=rows, finishes=finishes, progress=RunProgress(pages=5)))
    clock.go_on(30)
    return shelf


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_of_a_stage_is_as_it_was(
    name: str, stage: Shelf, call: Look, on_terminal: Look
) -> None:
    answer = on_terminal(*SCREENS[name], width=80)
    assert answer.code == 0
    lines = [line.rstrip() for line in STYLE.sub("", answer.out).splitlines()]
    check(f"stage-{name}-80", "".join(f"{line}\n" for line in lines))
    piped = call(*SCREENS[name], RESUME_STORE="store").out
    check(f"stage-{name}-pipe", piped.replace(str(stage.directory), "/srv/store"))
    for shown in (*lines, *piped.splitlines()):
        told = shown.replace("scrapy resume requests", "")  # the name of a command
        assert not OF_CRAWLS.search(told), shown
