"""What people name, in every command that takes filters: twice, by files, by fields."""

from __future__ import annotations

import io
import json

import pytest

from scrapy_resume.codec import Codec
from scrapy_resume.model import State
from scrapy_resume.store.contract import Batch, Finish, ItemRecord


@pytest.fixture
def shop(shelf):
    """Pages 1 to 3 done, 4 and 5 failed, 6 and 7 ignored, 8 pending, in a job that is paused."""
    job = shelf.begin("shop", launch={"command": "crawl"})
    shelf.crawl(
        job,
        done=[[{"vin": "1", "photos": []}], [{"vin": "", "photos": ["a"]}], [{"photos": ["b"]}]],
        failed=["bang", "boom"],
        ignored=2,
        pending=1,
    )
    shelf.close(job, "paused", "shutdown")
    return shelf


def pages(answer):
    assert answer.code == 0, answer
    return [int(row["url"].rpartition("/")[2]) for row in json.loads(answer.out)]


PAGE = "http://127.0.0.1/page/"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--status", "500", "--status", "404"], [4, 5, 6, 7]),
        (["--state", "done", "--state", "failed"], [1, 2, 3, 4, 5]),
        (["--state", "done,ignored", "--state", "pending"], [1, 2, 3, 6, 7, 8]),
        (["--url", "*/1", "--url", "*/5"], [1, 5]),
        (["--url", "*/1", "--url", "*/5", "--state", "failed"], [5]),
        (["--unit", f"{PAGE}2", "--unit", "*/7"], [2, 7]),
        (["--unit", "*page?[78]"], []),
        (["--host", "elsewhere", "--host", "127.0.0.1"], [1, 2, 3, 4, 5, 6, 7, 8]),
        (["--error", "ValueError", "--error", "HttpError"], [4, 5, 6, 7]),
        (["--callback", "parse_it", "--callback", "parse", "--limit", "1"], [1]),
        (["--missing", "vin"], [2, 3]),
        (["--missing", "photos"], [1]),
        (["--missing", "photos", "--missing", "vin"], [1, 2, 3]),
        (["--missing", "colour", "--url", "*/3"], [3]),
    ],
)
def test_either_of_a_filter_that_is_given_twice(shop, call, words, expected):
    assert pages(call("requests", *words, "--json")) == expected


@pytest.mark.parametrize(
    ("lines", "expected", "unknown"),
    [
        (f"{PAGE}1\n{PAGE}5\n", [1, 5], []),
        (f"\ufeff# made by hand\r\n\r\n  {PAGE}5  \r\n{PAGE}5", [5], []),
        (f"{PAGE}4#photos\nHTTP://127.0.0.1/page/6\n", [4, 6], []),
        (f"{PAGE}99\n{PAGE}2\n", [2], [f"{PAGE}99"]),
    ],
)
def test_a_file_of_urls(shop, call, tmp_path, lines, expected, unknown):
    file = tmp_path / "urls.txt"
    file.write_text(lines, encoding="utf-8")
    answer = call("requests", "--url-file", file, "--json")
    assert pages(answer) == expected
    assert all(line in answer.err for line in unknown)
    assert bool(answer.err) == bool(unknown)


def test_a_file_of_units_from_standard_input(shop, call, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PAGE}3\n#8\n"))
    answer = call("requests", "--unit-file", "-", "--json")
    assert pages(answer) == [3]
    assert answer.err == "1 line matches no request of the job: #8\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PAGE}3\n{PAGE}8\n"))
    units = json.loads(call("units", "--unit-file", "-", "--json").out)
    assert [unit["unit"] for unit in units] == [f"{PAGE}8", f"{PAGE}3"]


def test_very_many_lines(shop, call, tmp_path):
    file = tmp_path / "urls.txt"
    file.write_text("".join(f"{PAGE}{at}\n" for at in range(5, 5_005)), encoding="utf-8")
    answer = call("requests", "--url-file", file, "--json")
    assert pages(answer) == [5, 6, 7, 8]
    assert answer.err.startswith("4,996 lines match no request")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["requests", "--url-file", "-", "--unit-file", "-"], "standard input"),
        (["retry", "--url-file", "blank"], "names nothing"),
        (["park", "--limit", "3"], "filter"),
        (["requests", "--url-file", "words"], "is no URL"),
        (["items", "--url-file", "words"], "is no URL"),
        (["retry", "--skipped", "--state", "failed"], "--skipped"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage_with_a_remedy(shop, call, tmp_path, words, text):
    (tmp_path / "blank").write_text("\n  \n")
    (tmp_path / "words").write_text("page 5\n")
    answer = call(*words)
    assert (answer.code, answer.out) == (2, "")
    assert text in answer.err.splitlines()[-1]


def test_a_file_that_is_not_there_is_a_failure(shop, call):
    answer = call("retry", "--url-file", "nowhere.txt")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "scrapy resume: nowhere.txt: No such file or directory\n"


def test_items_with_their_pages(shop, call):
    first, second, third = json.loads(call("items", "shop", "--json").out)
    assert first["item"] == {"vin": "1", "photos": []}
    assert (first["url"], first["unit"], first["key"]) == (f"{PAGE}1", f"{PAGE}1", None)
    lacking = json.loads(call("items", "--missing", "vin", "--json").out)
    assert [record["item"] for record in lacking] == [second["item"], third["item"]]
    assert json.loads(call("items", "--url", "*/3", "--json").out) == [third]
    assert json.loads(call("items", "--limit", "2", "--json").out) == [first, second]
    assert json.loads(call("items", "--state", "failed", "--json").out) == []
    heading, row, *_ = call("items").out.splitlines()
    assert heading.split() == ["UNIT", "URL", "ITEM"]
    assert row.endswith('{"vin": "1", "photos": []}')


def test_items_of_one_page_are_told_apart_by_a_missing_field(shelf, call):
    job = shelf.begin("shop")
    shelf.crawl(job, leased=1)
    items = [{"a": 1}, {"b": None}, {"a": 0}, {"a": False}, {"a": None}, {"a": {}}, {"a": "x"}]
    records = [ItemRecord(at, Codec().encode_item(item)) for at, item in enumerate(items)]
    end = Finish(id=1, state=State.done, attempts=1, items=records)
    job.commit(Batch(next_id=100, finishes=[end]))
    found = json.loads(call("items", "--missing", "a", "--json").out)
    assert [record["item"] for record in found] == [{"b": None}, {"a": None}, {"a": {}}]
    assert pages(call("requests", "--missing", "a", "--json")) == [1]


def test_retry_says_what_it_has_left_alone_and_what_to_run(shop, call):
    answer = call("retry", "--status", "404")
    assert answer.code == 0
    assert answer.out.splitlines() == [
        "No request of shop#1 is changed",
        "Left alone: 2 ignored (--state ignored takes them)",
    ]
    answer = call("retry", "--url", "*", "--limit", "1", "--dry-run")
    first, heading, row, left = answer.out.splitlines()
    assert first.startswith("1 request of shop#1 would be fetched again")
    assert heading.split()[-1] == "URL"
    assert row.split()[-1] == f"{PAGE}4"
    assert "3 done" in left
    assert "1 waiting" in left
    document = json.loads(call("retry", "--url", "*", "--limit", "1", "--dry-run", "--json").out)
    assert document["urls"] == [f"{PAGE}4"]
    assert {"state": "ignored", "requests": 2} in document["left"]
    answer = call("retry", "--url", "*/4")
    assert answer.out.splitlines()[-1] == "Fetch them with: scrapy resume run 'shop#1'"
    assert pages(call("requests", "--state", "pending", "--json")) == [4, 8]


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (False, "Fetch them with: scrapy resume run 'shop#1'"),
        (
            True,
            "Run the crawl's own command again to fetch them "
            "(`scrapy resume run 'shop#1' --dry-run` shows it)",
        ),
    ],
)
def test_retry_names_no_command_that_would_be_refused(written, line, shelf, call, tmp_path):
    (tmp_path / "shop.py").write_text('class Shop:\n    name = "books"\n')
    if written:
        (tmp_path / "shop.jsonl").write_text("{}\n")  # no note says that the job has written it
    launch = {"command": "runspider", "directory": str(tmp_path), "file": str(tmp_path / "shop.py")}
    feeds = {"FEEDS": '{"shop.jsonl": {"format": "jsonl"}}'}
    job = shelf.begin("shop", launch={**launch, "settings": feeds})
    shelf.crawl(job, failed=["bang"])
    shelf.close(job)
    assert call("retry").out.splitlines()[-1] == line
    refused = call("run", "--dry-run").out.splitlines()[-1].startswith("# shop#1 is not resumed")
    assert refused is written


def test_ignored_ones_are_retried_when_they_are_named(shop, call):
    document = json.loads(call("retry", "--state", "ignored", "--json").out)
    assert document == {"job": "shop#1", "requests": 2, "dry_run": False}


def test_units_by_glob_state_and_error(shop, call):
    def names(*words):
        return [unit["unit"][-1] for unit in json.loads(call("units", *words, "--json").out)]

    assert names("--unit", "*/1", "--unit", "*/4") == ["4", "1"]
    assert names("--state", "failed", "--state", "pending") == ["4", "5", "8"]
    assert names("--state", "failed,pending", "--limit", "2") == ["4", "5"]
    assert names("--error", "HttpError") == ["4", "5"]
