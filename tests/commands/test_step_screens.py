"""Screens of a job whose items have steps, as they are kept in ``golden/``."""

from __future__ import annotations

import pytest

from scrapy_resume.model import StepState

from .clock import Clock
from .conftest import Shelf
from .step_jobs import cars, end, give_items
from .test_screens import HOSTILE, STYLE, WIDTHS, Look, check, clock, on_terminal

__all__ = ["clock", "on_terminal"]

SCREENS = {
    "steps": ["steps", "cars"],
    "steps-by-day": ["steps", "cars", "--by-day"],
    "status-steps": ["status", "cars"],
    "show-steps": ["show", "cars"],
    "items-steps": ["items", "cars", "--step", "vin"],
    "units-steps": ["units", "cars"],
    "failed-steps": ["failed", "cars"],
    "report-steps": ["report", "cars"],
}


@pytest.fixture
def job(clock: Clock, shelf: Shelf) -> Shelf:
    """A job that has tried its steps on two days."""
    live = cars(shelf)
    clock.go_on(86_400)
    give_items(live, {"k": "<e>", "photo_urls": ["http://shop.example/1.jpg"]}, unit="Oslo")
    end(live, "photos", StepState.failed, error="DownloadFailedError", message=HOSTILE)
    shelf.close(live)
    return shelf


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_with_steps_is_as_it_was(
    name: str, job: Shelf, call: Look, on_terminal: Look
) -> None:
    for width in WIDTHS:
        answer = on_terminal(*SCREENS[name], width=width)
        assert (answer.code, answer.err) == (0, "")
        shown = STYLE.sub("", answer.out)
        assert not set(shown) & set("\x1b\x07\r\u202e")
        lines = [line.rstrip() for line in shown.splitlines()]
        check(f"{name}-{width}", "".join(f"{line}\n" for line in lines))
    answer = call(*SCREENS[name], RESUME_STORE="store")
    assert (answer.code, answer.err) == (0, "")
    check(f"{name}-pipe", answer.out.replace(str(job.directory), "/srv/store"))
