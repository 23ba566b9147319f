"""Where units are named, screens show how far they have come: golden screens of such a job."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scrapy_resume import open_store
from scrapy_resume.model import State
from scrapy_resume.store.contract import Admission, Batch, Finish, ItemRecord, RunProgress

from .clock import Clock
from .conftest import Answer, Shelf, admission
from .test_screens import STYLE, check, clock, on_terminal

__all__ = ["clock", "on_terminal"]

Look = Callable[..., Answer]

UNITS, PAGES = 522, 20


@pytest.fixture
def videos(clock: Clock, shelf: Shelf) -> Shelf:
    """Videos of 20 pages each, one after the other: 12 have ended, one of them with a failure."""
    job = shelf.begin("videos", spider="videos", worker="gpu-1:4711")
    heads = [page(1 + unit, f"video {unit + 1}") for unit in range(UNITS)]
    job.commit(Batch(next_id=UNITS + 1, arrivals=heads))
    figures = RunProgress()
    row, pages = UNITS + 1, 0
    for unit in range(13):
        name = f"video {unit + 1}"
        rows = [1 + unit, *range(row, row + PAGES - 1)]
        row += PAGES - 1
        found = [page(at, name) for at in rows[1:]]
        job.commit(Batch(next_id=row, arrivals=found, progress=figures))
        ended = rows if unit < 12 else rows[: PAGES // 2]
        pages += len(ended)
        clock.go_on(80 * len(ended) / PAGES)
        custom = {"custom/frames": 9 * pages, "custom/frames/nko": pages}
        figures = RunProgress(pages=pages, custom=json.dumps(custom))
        finishes = [finish(at, failed=unit == 3 and at == rows[-1]) for at in ended]
        job.commit(Batch(next_id=row, finishes=finishes, progress=figures))
    return shelf


def page(row: int, unit: str) -> Admission:
    return admission(row, url=f"http://127.0.0.1/{unit.replace(' ', '/')}/{row}", unit=unit)


def finish(row: int, failed: bool) -> Finish:
    if failed:
        return Finish(id=row, state=State.failed, attempts=3, error="TimeoutError")
    return Finish(id=row, state=State.done, attempts=1, items=[ItemRecord(0, "{}")])


def test_progress_rate_and_eta_are_by_unit(videos: Shelf) -> None:
    status = open_store(videos.location).job("videos")
    named = status["named_units"]
    assert (named["completed"], named["partial"], named["in_progress"]) == (11, 1, 1)
    assert (named["total"], named["pending"]) == (UNITS, UNITS - 13)
    assert status["units_per_hour"] == pytest.approx(45.0)
    assert status["eta_basis"] == "units"
    assert status["eta_seconds"] == pytest.approx((UNITS - 13) * 80.0)
    assert status["custom_shares"] == {"frames/nko": pytest.approx(1 / 9)}


@pytest.mark.parametrize("command", ["status", "list", "report", "workers"])
def test_a_screen_with_units_is_as_it_was(
    videos: Shelf, call: Look, on_terminal: Look, command: str
) -> None:
    words = [command] if command == "list" else [command, "videos"]
    for width in (60, 80, 120):
        shown = STYLE.sub("", on_terminal(*words, width=width).out)
        lines = [line.rstrip() for line in shown.splitlines()]
        assert max(map(len, lines)) <= width
        check(f"{command}-units-{width}", "".join(f"{line}\n" for line in lines))
    shown = call(*words, RESUME_STORE="store").out.replace(str(videos.directory), "/srv/store")
    check(f"{command}-units-pipe", shown)


def test_the_page_has_the_units_and_the_same_eta(videos: Shelf, call: Look, tmp_path: Path) -> None:
    assert call("report", "-o", "r.html").code == 0
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "12/522 units, 45.0 units/hour" in text
    eta = "11.3 h, of the units known"
    assert eta in text
    assert f"ETA {eta}" in call("status", "videos").out
    assert eta in call("report").out
    assert "<dt>units an hour</dt><dd>45.0</dd>" in text
    assert "(11.1%)" in text


def test_start_requests_that_are_their_own_units_are_no_progress_by_unit(
    clock: Clock, shelf: Shelf, call: Look
) -> None:
    job = shelf.begin("books")
    shelf.crawl(job, done=[[]] * 5, pending=5)
    clock.go_on(10)
    status = open_store(shelf.location).job("books")
    assert (status["units"]["total"], status["named_units"]["total"]) == (10, 0)
    assert (status["units_per_hour"], status["eta_basis"]) == (None, "known")
    assert "units)" not in call("status").out
    assert "UNITS" not in call("list").out
