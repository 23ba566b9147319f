from __future__ import annotations

import csv
import datetime
import json
import os
import pickle

import attrs
import pytest
from scrapy.exporters import JsonLinesItemExporter

BOOKS = [{"title": "Emma", "price": 9}, {"title": "Ulysses — ü", "tags": ["a", "b"]}]


class ShoutingExporter(JsonLinesItemExporter):
    def export_item(self, item):
        super().export_item({key: str(value).upper() for key, value in item.items()})


@attrs.define
class Book:
    title: str


@pytest.fixture
def job(shelf):
    job = shelf.begin()
    shelf.crawl(job, done=[BOOKS[:1], [], BOOKS[1:]], pending=1)
    return job


def test_items_are_written_in_the_order_in_which_they_were_stored(job, call, tmp_path):
    answer = call("export", "books", "-o", "books.jsonl")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == "2 items of books#1 are in books.jsonl (jsonl)\n"
    lines = (tmp_path / "books.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == BOOKS


@pytest.mark.parametrize(
    ("output", "load"),
    [
        ("x.json", json.loads),
        ("x.data:json", json.loads),
        ("x.csv:json", json.loads),
        ("x:y.json", json.loads),
        ("deeper/x.json", json.loads),
    ],
)
def test_the_format_is_the_given_one_or_that_of_the_extension(job, call, tmp_path, output, load):
    assert call("export", "-o", output).code == 0
    file = tmp_path / output.removesuffix(":json")
    assert load(file.read_text()) == BOOKS


def test_csv_has_a_column_for_every_field(job, call, tmp_path):
    assert call("export", "-o", "x.csv").code == 0
    with open("x.csv", encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"title": "Emma", "price": "9", "tags": ""},
            {"title": "Ulysses — ü", "price": "", "tags": "a,b"},
        ]


def test_the_settings_of_feeds_are_obeyed(job, call, tmp_path):
    assert call("export", "-o", "x.csv", FEED_EXPORT_FIELDS=["price", "title"]).code == 0
    assert (tmp_path / "x.csv").read_text().splitlines()[:2] == ["price,title", "9,Emma"]
    assert call("export", "-o", "x.json", FEED_EXPORT_INDENT=2).code == 0
    assert '\n  "title"' in (tmp_path / "x.json").read_text()
    assert call("export", "-o", "y.jsonl", FEED_EXPORT_ENCODING="utf-8").code == 0
    assert "— ü" in (tmp_path / "y.jsonl").read_text("utf-8")


def test_a_project_s_own_exporter_is_used(job, call, tmp_path):
    exporters = {"shout": f"{__name__}.ShoutingExporter", "csv": None}
    assert call("export", "-o", "x.shout", FEED_EXPORTERS=exporters).code == 0
    assert "ULYSSES" in (tmp_path / "x.shout").read_text()
    assert call("export", "-o", "x.csv", FEED_EXPORTERS=exporters).code == 2


def test_an_exporter_that_cannot_be_loaded_is_one_line(job, call):
    answer = call("export", "-o", "x.shout", FEED_EXPORTERS={"shout": "nowhere.Exporter"})
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "FEED_EXPORTERS" in answer.err


def test_standard_output_has_the_items_and_nothing_else(job, call):
    answer = call("export", "-o", "-:jsonlines")
    assert (answer.code, answer.err) == (0, "")
    assert [json.loads(line) for line in answer.out.splitlines()] == BOOKS


def test_json_is_a_summary(job, call):
    answer = call("export", "--json", "-o", "books.csv")
    assert json.loads(answer.out) == {
        "job": "books#1",
        "items": 2,
        "open": 0,
        "file": "books.csv",
        "format": "csv",
    }


def test_json_and_standard_output_do_not_go_together(job, call):
    answer = call("export", "--json", "-o", "-:csv")
    assert (answer.code, answer.out) == (2, "")


@pytest.mark.parametrize("output", ["x.foo", "x", "-", "x:foo", "-:foo", "a.b/x", "x.csv:foo"])
def test_an_unknown_format_is_refused_with_those_that_there_are(job, call, tmp_path, output):
    answer = call("export", "-o", output)
    assert (answer.code, answer.out) == (2, "")
    assert "csv, jl, json, jsonl, jsonlines, marshal, pickle, xml" in answer.err
    assert os.listdir(tmp_path) == ["store"]


def test_without_a_file_it_is_wrong_usage(job, call):
    assert call("export", "books").code == 2


def test_an_existing_file_is_left_alone(job, call, tmp_path):
    (tmp_path / "x.json").write_text("precious")
    answer = call("export", "-o", "x.json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "scrapy resume: x.json exists; --overwrite replaces it\n"
    assert (tmp_path / "x.json").read_text() == "precious"
    assert call("export", "-o", "x.json", "--overwrite").code == 0
    assert json.loads((tmp_path / "x.json").read_text()) == BOOKS


def test_a_link_is_followed(job, call, tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "x.json").symlink_to("real.json")
    assert call("export", "-o", "x.json", "--overwrite").code == 0
    assert (tmp_path / "x.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text()) == BOOKS


def test_what_is_not_an_ordinary_file_is_not_replaced(job, call, tmp_path):
    (tmp_path / "x.json").mkdir()
    answer = call("export", "-o", "x.json", "--overwrite")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "not an ordinary file" in answer.err
    os.mkfifo(tmp_path / "pipe.json")
    assert call("export", "-o", "pipe.json", "--overwrite").code == 1


def test_a_failure_leaves_no_file_and_the_old_one_whole(shelf, call, tmp_path):
    job = shelf.begin()
    shelf.crawl(job, done=[[{"a": 1}], [{"when": datetime.date(2024, 1, 1)}]])
    (tmp_path / "x.marshal").write_bytes(b"precious")
    answer = call("export", "-o", "x.marshal", "--overwrite")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "Item 2 cannot be written by MarshalItemExporter" in answer.err
    assert (tmp_path / "x.marshal").read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["store", "x.marshal"]


def test_a_directory_that_cannot_be_made_is_one_line(job, call, tmp_path):
    (tmp_path / "file").write_text("")
    answer = call("export", "-o", "file/x.json")
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "Traceback" not in answer.err


def test_items_have_their_values_back(shelf, call, tmp_path):
    item = {"when": datetime.date(2024, 1, 1), "pair": (1, 2)}
    shelf.crawl(shelf.begin(), done=[[item, Book("Emma")]])
    assert call("export", "-o", "x.pickle").code == 0
    with open("x.pickle", "rb") as file:
        assert [pickle.load(file), pickle.load(file)] == [item, {"title": "Emma"}]


def test_a_job_without_items_is_an_empty_file(shelf, call, tmp_path):
    shelf.close(shelf.begin())
    assert call("export", "-o", "x.json").out.startswith("0 items")
    assert json.loads((tmp_path / "x.json").read_text()) == []
    assert call("export", "-o", "x.csv").code == 0
    assert (tmp_path / "x.csv").read_text() == ""


def test_a_job_that_is_not_there_leaves_no_file(job, call, tmp_path):
    assert call("export", "nope", "-o", "x.json").code == 1
    assert os.listdir(tmp_path) == ["store"]


def test_items_of_all_numbers_are_those_of_the_latest_first(shelf, call, tmp_path):
    for number, items in ((1, [{"n": 1}, {"n": 2}]), (2, [{"n": 3}]), (10, [{"n": 1}])):
        job = shelf.begin("books", number)
        shelf.crawl(job, done=[items])
        shelf.close(job)
    other = shelf.begin("books2")
    shelf.crawl(other, done=[[{"n": 9}]])
    answer = call("export", "books", "--all-numbers", "-o", "-:jsonlines")
    assert (answer.code, answer.err) == (0, "")
    assert [json.loads(line)["n"] for line in answer.out.splitlines()] == [1, 3, 1, 2]
    answer = call("export", "books", "--all-numbers", "-o", "x.csv")
    assert answer.out == "4 items of all numbers of books are in x.csv (csv)\n"


def test_of_each_item_key_only_the_latest_is_written(shelf, call):
    for number, prices in ((1, {"a": 1, "b": 1}), (2, {"b": 2}), (3, {"a": 3, "c": 3})):
        job = shelf.begin("books", number)
        items = [{"id": key, "price": price} for key, price in prices.items()]
        shelf.crawl(job, done=[items], keyed="id")
        shelf.close(job)
    answer = call("export", "books", "--all-numbers", "-o", "-:jsonlines")
    found = {line["id"]: line["price"] for line in map(json.loads, answer.out.splitlines())}
    assert found == {"a": 3, "b": 2, "c": 3}
    assert len(answer.out.splitlines()) == 3
