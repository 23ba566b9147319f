from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from scrapy_resume.commands import ResumeCommand
from scrapy_resume.commands.invocation import Clock
from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.reporting.reports import Reports

from .test_screens import STYLE, on_terminal

__all__ = ["on_terminal"]

LIMIT_SECONDS = 60.0


@pytest.fixture
def job(shelf):
    job = shelf.begin()
    shelf.crawl(job, done=[[{"a": 1}]], pending=3)
    return job


@pytest.fixture
def meanwhile(monkeypatch) -> Callable[..., None]:
    """What happens between two looks, step by step."""

    def plan(*steps: Callable[[], object]) -> None:
        left: Iterator[Callable[[], object]] = iter(steps)
        monkeypatch.setattr(ResumeCommand, "clock", Clock(sleep=lambda _: next(left)()))

    return plan


def interrupt() -> None:
    raise KeyboardInterrupt


def more(shelf, job, first: int) -> Callable[[], None]:
    def crawl() -> None:
        job.session.ids.first = first
        shelf.crawl(job, done=[[]] * 2, pages=first)

    return crawl


def test_it_looks_again_until_nobody_crawls_the_job(shelf, job, call, meanwhile):
    meanwhile(more(shelf, job, 10), lambda: shelf.close(job, "paused", "shutdown"))
    answer = call("status", "--watch")
    assert (answer.code, answer.err) == (0, "")
    first, second, last = answer.out.splitlines()
    assert first.startswith("books#1 running | 25.0% (1/4) | success 100.0% | ")
    assert second.startswith("books#1 running | 50.0% (3/6) | ")
    assert last.startswith("books#1 paused | ")


def test_a_job_at_rest_is_shown_once(shelf, job, call, meanwhile):
    shelf.close(job, "paused", "shutdown")
    meanwhile()
    assert call("status", "--watch").out.count("\n") == 1


@pytest.mark.parametrize("ending", [interrupt, lambda: os.kill(os.getpid(), signal.SIGTERM)])
def test_it_ends_cleanly(shelf, job, call, on_terminal, meanwhile, ending):
    before = signal.getsignal(signal.SIGTERM)
    meanwhile(lambda: None, ending)
    answer = on_terminal("status", "--watch")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.rfind("\x1b[?25h") > answer.out.rfind("\x1b[?25l"), "the cursor is back"
    assert signal.getsignal(signal.SIGTERM) is before


def test_check_tells_at_the_end(shelf, job, call, meanwhile):
    meanwhile(interrupt)
    assert call("status", "--watch", "--check").code == 4


def test_a_terminal_is_drawn_over_without_being_cleared(shelf, job, on_terminal, meanwhile):
    meanwhile(more(shelf, job, 10), lambda: shelf.close(job, "paused", "shutdown"))
    answer = on_terminal("status", "--watch")
    assert "\x1b[2J" not in answer.out, "a cleared screen flickers"
    shown = STYLE.sub("", answer.out)
    assert "25.0% (1/4)" in shown
    assert "50.0% (3/6)" in shown
    assert "books#1  paused (shutdown)" in shown


def test_a_store_that_is_out_is_asked_again(shelf, job, call, meanwhile, monkeypatch):
    ask = Reports.job

    def out(*_):
        raise StoreUnavailableError("the server is\x1b[2J gone")

    meanwhile(
        lambda: monkeypatch.setattr(Reports, "job", out),
        lambda: monkeypatch.setattr(Reports, "job", ask),
        interrupt,
    )
    _, trouble, after = call("status", "--watch").out.splitlines()
    assert trouble == "the server is\\x1b[2J gone"
    assert after.startswith("books#1 running")


def test_it_keeps_to_the_job_that_it_began_with(shelf, job, call, meanwhile):
    def next_number() -> None:
        shelf.begin(number=2)

    meanwhile(next_number, interrupt)
    assert {line.split()[0] for line in call("status", "books", "--watch").out.splitlines()} == {
        "books#1"
    }


def test_one_document_and_many_looks_do_not_go_together(shelf, job, call):
    answer = call("status", "--watch", "--json")
    assert (answer.code, answer.out) == (2, "")


def test_ctrl_c_in_a_real_terminal_leaves_it_in_order(shelf, job, tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "scrapy", "resume", "status", "--watch"]
    with subprocess.Popen(
        [*command, "-s", "RESUME_STORE=store"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        shown = b""
        deadline = time.monotonic() + LIMIT_SECONDS
        while b"(1/4)" not in shown and time.monotonic() < deadline:
            shown += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while process.poll() is None or b"\x1b[?25h" not in shown:
            try:
                read = os.read(ours, 4096)
            except OSError:  # Linux: the other end is closed
                break
            if not read:
                break
            shown += read
        assert process.wait(LIMIT_SECONDS) == 0
        assert process.stderr.read() == b""
    os.close(ours)
    assert b"\x1b[?25h" in shown
