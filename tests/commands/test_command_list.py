from __future__ import annotations

import json


def test_all_jobs_are_listed_the_latest_first(shelf, call):
    shelf.close(first := shelf.begin("books", 1))
    assert first
    second = shelf.begin("quotes", 1)
    shelf.crawl(second, done=[[{"a": 1}, {"a": 2}], []], failed=["boom"], pending=1)
    answer = call("list")
    assert (answer.code, answer.err) == (0, "")
    heading, *rows = [line.split() for line in answer.out.splitlines()]
    assert heading == ["JOB", "STATUS", "PROGRESS", "SUCCESS", "ITEMS", "UPDATED"]
    assert rows[0][:6] == ["quotes#1", "running", "75.0%", "(3/4)", "66.7%", "2"]
    assert rows[1][:5] == ["books#1", "completed", "-", "-", "0"]


def test_json_is_one_document_of_status_documents(shelf, call):
    shelf.close(shelf.begin("books"))
    shelf.begin("quotes")
    answer = call("list", "--json")
    assert (answer.code, answer.err) == (0, "")
    documents = json.loads(answer.out)
    assert [document["job"] for document in documents] == ["quotes", "books"]
    assert documents[1] == json.loads(call("status", "books", "--json").out)


def test_without_jobs_it_says_so_and_creates_nothing(shelf, call):
    answer = call("list")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == f"There are no jobs in {shelf.directory}.\n"
    assert call("list", "--json").out == "[]\n"
    assert not shelf.directory.exists()


def test_a_damaged_job_is_listed_with_the_others_and_the_exit_code_tells(shelf, call):
    for name in ("books", "quotes"):
        shelf.close(shelf.begin(name))
    file = shelf.damage("books")
    answer = call("list")
    assert answer.code == 1
    assert [line.split()[:2] for line in answer.out.splitlines()[1:]] == [
        ["quotes#1", "completed"],
        ["books#1", "damaged"],
    ]
    assert answer.err.count("\n") == 1
    assert str(file) in answer.err
    documents = json.loads(call("list", "--json").out)
    assert documents[1]["status"] == "damaged"
    assert str(file) in documents[1]["error"]


def test_a_job_s_name_cannot_steer_the_terminal(shelf, call):
    shelf.close(shelf.begin("a\x1b[31m\nb"))
    assert "a\\x1b[31m\\nb#1" in call("list").out
    assert "\x1b" not in call("list", "--json").out


def test_extra_arguments_are_wrong_usage(shelf, call):
    answer = call("list", "books")
    assert answer.code == 2
    assert "unrecognized arguments: books" in answer.err
