"""Passwords in crawled URLs: masked on screens and pages, kept by what programs read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from scrapy_resume.model import JobKey, State
from scrapy_resume.store.contract import Batch, Finish
from tests.commands.conftest import admission
from tests.commands.test_command_log import log_of

URL = "http://me:s3cret@shop.example/a?q=x@y&password=s3cret\x1b[2J"


@pytest.fixture
def crawled(shelf):
    """books#1 with a page in flight, a failed one and a unit, all named with a password."""
    job = shelf.begin(metadata={"from": URL})
    first = job.session.ids.first
    rows = [replace(admission(first + at), url=f"{URL}{at}") for at in range(3)]
    message = f"{'x' * 47} could not reach {URL}"
    failed = Finish(id=first, state=State.failed, attempts=1, error="E", error_message=message)
    job.commit(Batch(next_id=first + 3, arrivals=rows, finishes=[failed]))
    log = log_of(shelf, job, URL)
    log.end()
    log._join()
    return shelf


SCREENS = ["status", "show", "requests", "failed", "units", "log", "report", "list"]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("command", SCREENS)
def test_a_screen_shows_no_password_of_a_page(crawled, call, command, terminal, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    answer = call(command)
    assert answer.code == 0
    shown = answer.out + answer.err
    assert "s3cret" not in shown
    assert "\x1b[2J" not in shown
    if command not in ("list", "report"):
        assert "shop.example/a?q=x@y" in shown


@pytest.mark.parametrize("name", ["report.html", "report.txt"])
def test_a_page_for_people_shows_no_password(crawled, call, name, tmp_path):
    assert call("report", "-o", name).code == 0
    written = (tmp_path / name).read_text()
    assert "s3cret" not in written
    assert name.endswith("txt") or "me:***@shop.example" in written


@pytest.mark.parametrize("command", ["status", "requests", "failed"])
def test_programs_get_the_url_as_it_is(crawled, call, command):
    assert "http://me:s3cret@shop.example/a?q=x@y&password=s3cret" in call(command, "--json").out


def test_a_file_of_requests_keeps_the_url(crawled, call, tmp_path):
    assert call("requests", "-o", "requests.csv").code == 0
    assert "http://me:s3cret@shop.example/" in (tmp_path / "requests.csv").read_text()


def test_exported_items_keep_their_urls(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, done=[[{"url": "http://me:s3cret@shop.example/"}]])
    assert "me:s3cret@" in call("export", "-o", "-:jsonlines").out


def test_the_error_of_a_wrong_name_masks_it(shelf, call):
    shelf.close(shelf.begin())
    for words in (["status", "http://me:s3cret@shop"], ["backup", "books", "http://me:s3cret@h/x"]):
        answer = call(*words)
        assert answer.code == 1
        assert "s3cret" not in answer.err


def test_a_file_is_not_written_under_the_name_of_a_url(shelf, call, tmp_path):
    shelf.crawl(shelf.begin(), done=[[{"a": 1}]])
    for words in (
        ["export", "-o", "s3://me:s3cret@bucket/items.jsonl"],
        ["backup", "books", "postgresql://me:s3cret@host/db"],
        ["restore", "postgres:s3cret@host/db"],
    ):
        answer = call(*words)
        assert answer.code == 1
        assert "looks like a URL" in answer.err
        assert "s3cret" not in answer.err
    assert not [path for path in tmp_path.iterdir() if path.name != "store"]
    assert call("export", "-o", "./s3:items.jsonl").code == 0
    assert JobKey("books", 1) in shelf.store.jobs()
