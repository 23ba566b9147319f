"""What a crawl says of its progress: in its log, on its terminal, and to whom asks its store."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scrapy_resume import open_store

PAGES = 230

SPIDER = f"""
import scrapy

class Pages(scrapy.Spider):
    name = "pages"
    start_urls = [f"data:,{{n}}" for n in range({PAGES})]
    custom_settings = {{"ADDONS": {{"scrapy_resume.Addon": 500}}}}

    def parse(self, response):
        yield {{"page": response.text}}
"""

SLOW = ("DOWNLOAD_DELAY=0.02", "RANDOMIZE_DOWNLOAD_DELAY=False")
"""Fifty pages a second, and a crawl so long that a few milliseconds do not matter."""

LINE = re.compile(
    r"INFO: (\d+\.\d%) \((\d+)/(\d+)\) \| success (\d+\.\d%|unknown) \| \d+\.\d items/s"
    r" \| ETA (\d+\.\d (?:min|h)(?:, of what is known)?|unknown|none)$",
    re.MULTILINE,
)


@pytest.fixture
def spider(tmp_path: Path) -> Path:
    file = tmp_path / "pages.py"
    file.write_text(SPIDER)
    return file


def words(spider: Path, *options: str) -> list[str]:
    given = ["-s", "RESUME_STORE=store", *(word for option in options for word in ("-s", option))]
    return [sys.executable, "-m", "scrapy", "runspider", str(spider), *given]


def on_terminal(command: list[str], folder: Path) -> str:
    """What the crawl writes to the terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                read = os.read(ours, 65_536)
            except OSError:  # Linux: the other end is closed
                break
            if not read:
                break
            shown += read
        assert process.wait(60) == 0
    os.close(ours)
    return shown.decode()


def test_the_log_tells_at_the_start_on_the_way_and_at_the_end(spider: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        words(spider, "RESUME_PROGRESS_EVERY=100"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in run.stderr.splitlines() if "[scrapy_resume]" in line]
    assert "Job pages#1 begins, run 1, in " in lines[0]
    assert "Job pages#1 is completed (finished): 230 done, 0 pending, 0 failed" in lines[-1]
    progress = LINE.findall(run.stderr)
    assert len(progress) == len(lines) - 2
    assert PAGES // 100 <= len(progress) - 1 <= PAGES // 100 + 1, "not for each page and its item"
    assert progress[-1][:4] == ("100.0%", "230", "230", "100.0%")
    assert progress[-1][4] == "none"
    assert "ETA 0.0 min" not in run.stderr


def test_a_bar_is_on_the_terminal_while_the_log_goes_to_a_file(
    spider: Path, tmp_path: Path
) -> None:
    shown = on_terminal(words(spider, "LOG_FILE=crawl.log"), tmp_path)
    assert re.search(r"pages#1.* \d+\.\d% \(\d+/\d+\) \| success ", shown)
    assert shown.endswith("\x1b[0K") or shown.rstrip("\r\n").endswith("\x1b[0K")
    assert "\x1b[?25l" not in shown, "a killed crawl would leave the terminal without a cursor"
    assert "\n" not in shown.strip("\r\n"), "one line, written over and over"
    assert LINE.search((tmp_path / "crawl.log").read_text())


@pytest.mark.parametrize(
    "options", [["LOG_FILE=crawl.log", "RESUME_PROGRESS_BAR=False"], ["LOG_LEVEL=ERROR"]]
)
def test_there_is_no_bar_where_it_is_not_wanted(
    spider: Path, tmp_path: Path, options: list[str]
) -> None:
    assert on_terminal(words(spider, *options), tmp_path).strip() == ""


def test_without_a_terminal_there_is_no_bar(spider: Path, tmp_path: Path) -> None:
    command = words(spider, "LOG_FILE=crawl.log")
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")


def asked(folder: Path, *subcommand: str) -> str:
    """What ``scrapy resume`` prints."""
    command = [sys.executable, "-m", "scrapy", "resume", *subcommand, "-s", "RESUME_STORE=store"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    return run.stdout


def items_per_second(line: str) -> float:
    return float(re.findall(r"\| (\d+\.\d) items/s", line)[-1])


@pytest.mark.soak
def test_log_status_and_report_have_the_same_rate_for_a_finished_crawl(
    spider: Path, tmp_path: Path
) -> None:
    command = words(spider, *SLOW)
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    status = json.loads(asked(tmp_path, "status", "--json"))
    assert status["runs"][0]["items"] == status["runs"][0]["pages"] == PAGES
    assert status["items_per_minute"] == status["pages_per_minute"]
    assert status["items_per_minute"] == pytest.approx(
        60 * PAGES / status["elapsed_seconds"], rel=0.001
    )
    assert 60 * items_per_second(run.stderr) == pytest.approx(status["items_per_minute"], rel=0.05)
    (stage,) = json.loads(asked(tmp_path, "report", "--json"))["stages"]
    for figure in ("pages_per_minute", "items_per_minute", "elapsed_seconds", "eta_seconds"):
        assert stage[figure] == status[figure]
    assert f"rate      {status['pages_per_minute']:.1f} pages/min, " in asked(tmp_path, "status")
    assert f"{status['pages_per_minute']:,.0f}" in asked(tmp_path, "report").split()
    watched = asked(tmp_path, "status", "--watch")
    assert items_per_second(watched) == round(status["items_per_minute"] / 60, 1)
    page = asked(tmp_path, "report", "-o", "report.html")
    assert page == "The report of 1 job is in report.html (html)\n"
    assert f">{status['pages_per_minute']:,.0f}<" in (tmp_path / "report.html").read_text()


def test_log_and_status_have_the_same_rate_and_eta_for_a_live_crawl(
    spider: Path, tmp_path: Path
) -> None:
    spider.write_text(SPIDER.replace("    name =", "    resume_total = 20_000\n    name ="))
    command = words(spider, *SLOW, "RESUME_PROGRESS_EVERY=5")
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as crawl:
        assert crawl.stderr is not None
        line = ""
        for line in crawl.stderr:
            shown = LINE.search(line)
            if shown and int(shown[2]) >= PAGES // 2:
                break
        status = open_store(tmp_path / "store").job()
        crawl.terminate()
        crawl.stderr.read()
        assert crawl.wait(60) == 0
    assert (status["status"], status["eta_basis"]) == ("running", "expected_total")
    assert 60 * items_per_second(line) == pytest.approx(status["items_per_minute"], rel=0.1)
    eta_minutes = float(re.findall(r"ETA (\d+\.\d) min", line)[-1])
    assert eta_minutes == pytest.approx(status["eta_seconds"] / 60, rel=0.1)


UNITS = """
import scrapy

class Cars(scrapy.Spider):
    name = "cars"
    custom_settings = {"ADDONS": {"scrapy_resume.Addon": 500}, "CONCURRENT_REQUESTS": 1}

    async def start(self):
        for make in ("FORD F-150", "FIAT 500", "no make"):
            meta = {"resume_unit": make} if make != "no make" else {}
            yield scrapy.Request(f"data:,{make}", meta=meta)

    def parse(self, response):
        for n in range(50):
            yield {"make": response.text, "n": n}
        yield scrapy.Request(response.url + "/2", self.parse_more)

    def parse_more(self, response):
        if response.text == "FIAT 500/2":
            raise ValueError("an odd page")
        for n in range(50, 100):
            yield {"make": response.text, "n": n}
"""


def test_each_named_unit_has_a_line_when_it_ends_and_is_in_the_line_of_progress(
    spider: Path, tmp_path: Path
) -> None:
    spider.write_text(UNITS)
    command = words(spider, "RESUME_PROGRESS_EVERY=40")
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    ends = re.findall(r"\[scrapy_resume\] INFO: unit (.*)$", run.stderr, re.MULTILINE)
    assert sorted(ends) == [
        "FIAT 500: 1 page, 50 items, 1 failed",
        "FORD F-150: 2 pages, 100 items",
    ], "and none for a start request that nobody has named"
    assert re.search(r" items/s \| ETA .* \| \d/2 units.* \| in work: F", run.stderr)
    assert re.search(r"100\.0% \(6/6\) .* \| ETA none \| 2/2 units, ", run.stderr)
    status = json.loads(asked(tmp_path, "status", "--json"))
    assert (status["named_units"]["completed"], status["named_units"]["partial"]) == (1, 1)
    rate = float(re.findall(r"2/2 units, ([\d.]+) units/hour", run.stderr)[-1])
    assert rate == pytest.approx(status["units_per_hour"], rel=0.25)
