from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from .clock import EPOCH
from .test_screens import HOSTILE, clock, jobs

__all__ = ["clock", "jobs"]

VOID = {"meta", "link", "br", "img", "input"}
LOADING = {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "background"}


class Page(HTMLParser):
    """A page that was read to its end: what it has, and whether its tags match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.handlers: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loaded += [value for name, value in attributes if name in LOADING]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, words):
        self.words += words


def stages(call, *words):
    return {
        stage["job"]: stage for stage in json.loads(call("report", *words, "--json").out)["stages"]
    }


@pytest.fixture
def page(jobs, call, tmp_path) -> Page:
    assert call("report", "-o", "report.html").code == 0
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert page.open == []
    return page


def test_stages_are_side_by_side(jobs, call):
    found = stages(call)
    assert next(iter(found)) == "running"
    assert {"books", "quotes", "crashed"} < set(found)
    running = found["running"]
    assert running["status"] == "running"
    assert running["progress"] == pytest.approx(743 / 1654)
    assert sum(span["done"] for span in running["spans"]) == running["requests"]["done"]
    assert sum(span["items"] for span in running["spans"]) == running["items"]["stored"]
    assert running["spans"][-1]["open"] == 911
    assert running["soonest_seconds"] > 0
    assert running["latest_seconds"] is None
    assert found["books"]["failures"][0]["count"] == 3
    assert found["books"]["by_status"][0] == {"http_status": 200, "count": 50}


def test_totals_are_over_all_stages(jobs, call):
    document = json.loads(call("report", "--json").out)
    total = document["total"]
    assert (total["jobs"], total["running"], total["completed"]) == (5, 1, 1)
    assert (total["active"], total["failed"]) == (1, 1), "the one that crashed has failed"
    assert (total["ended"], total["whole"]) == (816, 1_773)
    assert total["progress"] == pytest.approx(816 / 1_773)
    assert total["items"] == sum(stage["items"]["stored"] for stage in document["stages"])
    assert total["requests"]["total"] == sum(
        stage["requests"]["total"] for stage in document["stages"]
    )


def test_the_latest_of_each_name_is_meant_or_those_that_are_named(shelf, call):
    for number in (1, 2):
        shelf.close(shelf.begin("books", number))
    shelf.close(shelf.begin("quotes"))
    document = json.loads(call("report", "--json").out)
    assert [(stage["job"], stage["number"]) for stage in document["stages"]] == [
        ("quotes", 1),
        ("books", 2),
    ]
    document = json.loads(call("report", "books#1", "quotes", "books#1", "--json").out)
    assert [(stage["job"], stage["number"]) for stage in document["stages"]] == [
        ("books", 1),
        ("quotes", 1),
    ]
    answer = call("report", "quotes", "boks")
    assert (answer.code, answer.out) == (1, "")
    assert "The nearest: books." in answer.err


@pytest.mark.parametrize(("hours", "stale"), [(23, False), (25, True)])
def test_an_unfinished_job_without_progress_for_a_day_is_stale(shelf, call, clock, hours, stale):
    job = shelf.begin("books")
    shelf.crawl(job, done=[[]], pending=1)
    shelf.close(job, "paused", "shutdown")
    finished = shelf.begin("quotes")
    shelf.crawl(finished, done=[[]])
    shelf.close(finished)
    clock.now = EPOCH + 3_600 * hours
    found = stages(call)
    assert (found["books"]["stale"], found["quotes"]["stale"]) == (stale, False)
    assert ("books#1: stale: no progress since 2024-05-01T10:00" in call("report").out) == stale


def test_a_live_job_that_only_beats_its_heart_is_stale_too(shelf, call, clock):
    job = shelf.begin("books")
    shelf.crawl(job, done=[[]], pending=1)
    clock.go_on(25 * 3_600)
    job.session.ids.first = 3
    shelf.crawl(job, pages=1)
    assert stages(call)["books"]["updated_at"] == "2024-05-02T11:00:00Z"
    assert stages(call)["books"]["stale"]


def test_a_long_crawl_has_no_more_spans_than_a_plot_can_show(shelf, call, clock):
    job = shelf.begin("books")
    for day in range(12):
        job.session.ids.first = 1 + day
        shelf.crawl(job, done=[[]], pages=day + 1)
        clock.go_on(24 * 3_600)
    found = stages(call)["books"]
    assert 60 < len(found["spans"]) <= 120
    assert sum(span["done"] for span in found["spans"]) == 12
    assert found["span_minutes"] == 240


def test_a_clock_that_was_fast_keeps_no_job_from_getting_stale(shelf, call, clock):
    began = shelf.begin("books")
    shelf.crawl(began, done=[[]], pending=1)
    shelf.close(began, "paused", "shutdown")
    clock.go_on(365 * 24 * 3_600)
    job = shelf.store.resume(began.session.job, shelf.opening())
    shelf.open_jobs.append(job)
    job.session.ids.first = 10
    shelf.crawl(job, done=[[]], pages=7)
    shelf.close(job, "paused", "shutdown")
    clock.now = EPOCH + 25 * 3_600
    found = stages(call)["books"]
    assert found["stale"]
    assert found["progressed_at"] == "2024-05-01T10:00:00Z"
    assert len(found["spans"]) == 1, "what was counted in the future is not plotted"
    clock.now = EPOCH + 23 * 3_600
    assert not stages(call)["books"]["stale"]


def test_a_job_whose_times_are_all_in_the_future_is_not_stale(shelf, call, clock):
    clock.go_on(365 * 24 * 3_600)
    job = shelf.begin("books")
    shelf.crawl(job, done=[[]], pending=1)
    shelf.close(job, "paused", "shutdown")
    clock.now = EPOCH
    found = stages(call)["books"]
    assert (found["stale"], found["progressed_at"]) == (False, "2024-05-01T10:00:00Z")
    assert found["spans"] == []


def test_a_damaged_job_does_not_keep_the_others_from_the_report(shelf, call, tmp_path):
    for name in ("books", "quotes"):
        job = shelf.begin(name)
        shelf.crawl(job, done=[[]])
        shelf.close(job)
    shelf.damage("books")
    for words in ([], ["--json"], ["-o", "r.html"], ["books", "quotes"]):
        answer = call("report", *words)
        assert answer.code == 1
        assert answer.err.count("\n") == 1
        assert "is not a database" in answer.err
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert "is not a database" in page.words
    assert "quotes#1" in page.words


def test_without_jobs_it_is_a_report_too(shelf, call, tmp_path):
    assert call("report").code == 0
    assert call("report", "-o", "r.html").code == 0
    assert "There are no jobs" in Page((tmp_path / "r.html").read_text("utf-8")).words


def test_the_page_loads_nothing_and_runs_nothing(page):
    assert all(link.startswith("#job-") for link in page.loaded)
    assert not {"script", "link", "iframe", "object", "img", "base"} & set(page.tags)
    assert page.handlers == []


def test_the_page_s_own_policy_forbids_what_it_does_not_need(jobs, call, tmp_path):
    call("report", "-o", "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert "url(" not in text
    assert "@import" not in text


def test_the_total_is_on_the_page_as_it_is_in_the_text(page, call):
    words = " ".join(page.words.split())
    assert "5jobs1active1completed1failed46.0%816 of 1,773 requests ended" in page.words
    assert "5 jobs: 1 active, 1 completed, 1 failed; 46.0% (816/1,773)" in call("report").out
    assert "17.5 min, of what is known" in words


def minutes_of(shelf, clock, counts, seconds_of_the_last):
    """A live job that ended so many requests in each minute; the last one has only just begun."""
    job = shelf.begin("books")
    known = 0
    for count in counts:
        job.session.ids.first = known + 1
        shelf.crawl(job, done=[[]] * count, pages=known + count)
        known += count
        clock.go_on(60)
    clock.go_on(seconds_of_the_last - 60)
    return job


def heights_of(text):
    """Of the columns of the plot of throughput, top to bottom 0 to 100."""
    plot = text.split("Requests that ended")[1].split("</svg>")[0]
    return [float(height) for height in re.findall(r'class="done"[^>]* height="([\d.]+)"', plot)]


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("seconds", "last", "remark"),
    [
        (30, 100.0, "the last minute is scaled up from the 30 s of it that had passed"),
        (15, 100.0, "the last minute is scaled up from the 15 s of it that had passed"),
        (5, None, "without the last minute, of which only 5 s had passed"),
        (60, 100.0, ""),
    ],
)
def test_the_last_minute_is_not_drawn_as_a_collapse(
    shelf, call, clock, tmp_path, live, seconds, last, remark
):
    job = minutes_of(shelf, clock, [60, 60, 60, 60, seconds], seconds)
    if not live:
        clock.go_on(-1)
        shelf.close(job, "paused", "shutdown")
        clock.go_on(5_000)
    call("report", "-o", "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert heights_of(text) == pytest.approx([100.0] * 4 + [last] * (last is not None), abs=0.1)
    assert remark in text
    assert f"{seconds} done, 0 failed" in text or last is None, "what is told is what was counted"
    (stage,) = stages(call).values()
    assert [span["seconds"] for span in stage["spans"]] == [60] * 4 + [seconds]
    assert sum(span["done"] for span in stage["spans"]) == 240 + seconds


def test_the_page_has_the_plots(page):
    assert page.tags.count("svg") == 2, "throughput and open requests of the one long crawl"
    assert "68 done, 0 failed, 0 ignored, 68 items" in page.words
    assert "Failures by error" in page.words


ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202e'


def test_what_came_from_the_web_is_text_on_the_page(shelf, call, tmp_path):
    job = shelf.begin(f"books {ATTACK}", spider=ATTACK, worker=ATTACK, metadata={ATTACK: ATTACK})
    shelf.crawl(job, done=[[]], failed=[HOSTILE, ATTACK])
    for name in ("r.html", "r.txt"):
        assert call("report", "-o", name).code == 0
        text = (tmp_path / name).read_text("utf-8")
        assert not set(text) & set("\x1b\x07\r\u202e")
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert page.open == []
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.handlers == []
    assert '"><script>alert(1)</script>' in page.words


def test_only_so_many_units_are_in_a_report(shelf, call, tmp_path):
    job = shelf.begin("books")
    shelf.crawl(job, done=[[]] * 30, failed=["no"])
    (stage,) = stages(call).values()
    assert stage["units"]["total"] == 31
    assert [unit["state"] for unit in stage["units_first"]] == ["failed", *["completed"] * 9]
    assert call("report", "-o", "r.html").code == 0
    assert "and 21 more" in (tmp_path / "r.html").read_text("utf-8")


def test_formats_are_those_of_the_name(jobs, call, tmp_path):
    answer = call("report", "books", "-o", "x.json")
    assert answer.out == "The report of 1 job is in x.json (json)\n"
    assert json.loads((tmp_path / "x.json").read_text())["stages"][0]["job"] == "books"
    answer = call("report", "books", "-o", "X.TXT", "--json")
    assert json.loads(answer.out) == {"jobs": ["books#1"], "file": "X.TXT", "format": "text"}
    assert (tmp_path / "X.TXT").read_text() == call("report", "books").out
    assert call("report", "-o", "x.pdf").code == 2
    assert not (tmp_path / "x.pdf").exists()


def test_an_existing_file_is_left_alone(jobs, call, tmp_path):
    (tmp_path / "x.html").write_text("precious")
    answer = call("report", "-o", "x.html")
    assert (answer.code, answer.err) == (
        1,
        "scrapy resume: x.html exists; --overwrite replaces it\n",
    )
    assert (tmp_path / "x.html").read_text() == "precious"
    assert call("report", "-o", "x.html", "--overwrite").code == 0
    assert re.match("<!doctype html>", (tmp_path / "x.html").read_text())
