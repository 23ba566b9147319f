"""Screens as they are kept in ``golden/``: at three widths, and in a pipe.

``GOLDEN=write pytest tests/commands/test_screens.py`` writes them anew; look at what changed.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.reporting.reports import Reports
from scrapy_resume.store.contract import Batch

from .clock import Clock
from .conftest import Answer, Shelf

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (60, 80, 120)
STYLE = re.compile(r"\x1b\[[0-9;]*m")

HOSTILE = "so: \x1b]0;owned\x07 [red]not red[/red] \u202etxt\r\nline two"

SCREENS = {
    "list": ["list"],
    "status-running": ["status", "running"],
    "status-paused": ["status", "books"],
    "status-completed": ["status", "quotes"],
    "status-crashed": ["status", "crashed"],
    "show": ["show", "books"],
    "show-running": ["show", "running"],
    "requests": ["requests", "books", "--state", "failed,ignored,pending", "--limit", "9"],
    "failed": ["failed", "books"],
    "units": ["units", "books", "--limit", "9"],
    "report": ["report"],
}

Look = Callable[..., Answer]


class TerminalOutput(io.TextIOWrapper):
    """What a terminal is, as far as a program can tell."""

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
def on_terminal(call: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> Look:
    """Runs a command on a terminal of some width; ``out`` has its escape sequences."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def look(*words: object, width: int = 80, encoding: str = "utf-8") -> Answer:
        monkeypatch.setenv("COLUMNS", str(width))
        output = TerminalOutput(io.BytesIO(), encoding)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", output)
            answer = call(*words, RESUME_STORE="store")
        return answer._replace(out=output.text())

    return look


@pytest.fixture
def jobs(clock: Clock, shelf: Shelf) -> Shelf:
    """A job of each kind, some hours apart."""
    quotes = shelf.begin("quotes", spider="quotes", arguments={"tag": "life"})
    shelf.crawl(quotes, done=[[{"a": 1}, {"a": 2}]] * 12, ignored=1)
    clock.go_on(240)
    shelf.close(quotes)
    crashed = shelf.begin("crashed")
    shelf.crawl(crashed, done=[[]] * 3, pending=3, leased=2)
    clock.go_on(95)
    crashed.commit(Batch(next_id=9))
    shelf.crash(crashed)
    books = shelf.begin("books", metadata={"ticket": 7}, input_hashes={"seeds.csv": "ab" * 32})
    shelf.crawl(
        books,
        done=[[{"a": 1}]] * 50,
        failed=[HOSTILE, "no luck", "no luck"],
        ignored=4,
        pending=41,
    )
    clock.go_on(3_725)
    shelf.close(books, "paused", "shutdown")
    shelf.close(shelf.begin("a-job-with-a-name-that-is-too-long-for-narrow-terminals"), "paused")
    clock.go_on(7_200)
    crawl_for_minutes(shelf, clock)
    return shelf


def crawl_for_minutes(shelf: Shelf, clock: Clock) -> None:
    """A live job that finds ever fewer pages."""
    running = shelf.begin("running", worker="crawler-1.example:4711")
    known = pages = 0
    for minute in range(14):
        done = 40 + 7 * (minute % 5)
        running.session.ids.first = known + 1
        pages += done
        pending = max(0, 180 - 20 * minute)
        shelf.crawl(running, done=[[{"a": 1}]] * done, pending=pending, pages=pages)
        known += done + pending
        clock.go_on(60)
    running.session.ids.first = known + 1
    shelf.crawl(running, failed=["timed out"], leased=11, pages=pages + 12)
    clock.go_on(31)


def check(name: str, shown: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_as_it_was(name: str, jobs: Shelf, call: Look, on_terminal: Look) -> None:
    for width in WIDTHS:
        answer = on_terminal(*SCREENS[name], width=width)
        assert (answer.code, answer.err) == (0, "")
        shown = STYLE.sub("", answer.out)
        lines = [line.rstrip() for line in shown.splitlines()]
        assert max(map(len, lines)) <= width
        assert "\x1b" not in shown
        check(f"{name}-{width}", "".join(f"{line}\n" for line in lines))
    answer = call(*SCREENS[name], RESUME_STORE="store")
    assert (answer.code, answer.err) == (0, "")
    check(f"{name}-pipe", answer.out.replace(str(jobs.directory), "/srv/store"))


@pytest.mark.parametrize("name", SCREENS)
def test_what_came_from_the_web_cannot_steer_a_terminal(
    name: str, jobs: Shelf, on_terminal: Look
) -> None:
    rest = STYLE.sub("", on_terminal(*SCREENS[name]).out)
    assert not set(rest) & set("\x1b\x07\r\u202e")


def test_markup_in_text_from_the_web_is_text(jobs: Shelf, on_terminal: Look) -> None:
    assert "[red]not red[/red]" in STYLE.sub("", on_terminal("failed", "books", width=120).out)


def test_colours_are_for_terminals_that_want_them(
    jobs: Shelf, call: Look, on_terminal: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    def colours(out: str) -> set[str]:
        codes = {code for style in STYLE.findall(out) for code in style[2:-1].split(";")}
        return codes - {"0", "1", "2", "22"}  # bold, dim and back are no colours

    assert colours(on_terminal("list").out)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in call("list").out
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colours(on_terminal("list").out)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not colours(on_terminal("list").out)


@pytest.mark.parametrize("name", SCREENS)
def test_a_terminal_without_unicode_gets_ascii(name: str, jobs: Shelf, on_terminal: Look) -> None:
    shown = on_terminal(*SCREENS[name], encoding="ascii").out
    assert shown.isascii()


def test_on_a_terminal_very_many_requests_are_cut_off_and_it_says_so(
    shelf: Shelf, call: Look, on_terminal: Look
) -> None:
    shelf.crawl(shelf.begin(), pending=1_002)
    answer = on_terminal("requests")
    assert answer.out.count("http://") == 1_000
    assert answer.err == "These are the first 1,000; --limit N shows more.\n"
    assert on_terminal("requests", "--limit", 1_001).out.count("http://") == 1_001
    assert call("requests").out.count("http://") == 1_002


@pytest.mark.parametrize("format_name", ["csv", "jsonlines", "xml", "pickle"])
def test_items_that_are_exported_to_a_terminal_cannot_steer_it(
    shelf: Shelf, call: Look, on_terminal: Look, tmp_path: Path, format_name: str
) -> None:
    shelf.crawl(shelf.begin(), done=[[{"title": "ü \x1b[2J\u202e\u200b", "n": 1}]])
    answer = on_terminal("export", "-o", f"-:{format_name}")
    assert (answer.code, answer.err) == (0, "")
    assert all(char.isprintable() or char in "\t\n" for char in answer.out)
    assert "n" in answer.out


def test_items_without_control_characters_are_on_a_terminal_as_they_are(
    shelf: Shelf, call: Look, on_terminal: Look
) -> None:
    shelf.crawl(shelf.begin(), done=[[{"title": "Bücher", "n": 1}, {"title": "x", "n": 2}]])
    expected = "title,n\nBücher,1\nx,2\n"
    assert on_terminal("export", "-o", "-:csv").out == expected


def test_what_a_spider_counts_by_itself_is_shown(
    jobs: Shelf, call: Look, on_terminal: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Reports.job

    def with_custom(self: Reports, job: str | None = None) -> dict[str, Any]:
        return {**ask(self, job), "custom": {"frames": 12_000, "late\x1b[2J": 3}}

    monkeypatch.setattr(Reports, "job", with_custom)
    shown = call("status", "books").out
    assert "custom    frames 12000  late\\x1b[2J 3" in shown
    assert "frames 12000" in STYLE.sub("", on_terminal("status", "books").out)


def test_progress_is_against_the_total_that_is_expected(
    jobs: Shelf, call: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Reports.job

    def with_total(self: Reports, job: str | None = None) -> dict[str, Any]:
        return {**ask(self, job), "expected_total": 1_000.0}

    monkeypatch.setattr(Reports, "job", with_total)
    assert "(57/1000)" in call("status", "books").out
