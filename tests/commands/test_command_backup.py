"""``backup``, ``restore`` and ``verify``."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing


def test_a_live_job_is_copied_and_put_back(shelf, call, tmp_path):
    job = shelf.begin()
    shelf.crawl(job, done=[[{"a": 1}], [{"a": 2}]], leased=1)
    answer = call("backup", "books", "copy.sqlite3", "--json")
    assert (answer.code, answer.err) == (0, "")
    size = (tmp_path / "copy.sqlite3").stat().st_size
    assert json.loads(answer.out) == {"job": "books#1", "file": "copy.sqlite3", "bytes": size}
    refused = call("restore", "copy.sqlite3")
    assert refused.code == 1
    assert "books#1 exists already" in refused.err
    shelf.close(job)
    assert call("reset", "books", "--yes").code == 0
    answer = call("restore", "copy.sqlite3", "--json")
    assert (answer.code, answer.err) == (0, "")
    document = json.loads(answer.out)
    assert (document["job"], document["status"]) == ("books#1", "paused")
    assert document["items"]["stored"] == 2
    assert (document["requests"]["pending"], document["requests"]["leased"]) == (1, 0)
    assert call("verify").out.startswith("books#1 is consistent: ")


def test_a_file_that_exists_is_replaced_only_if_that_is_meant(shelf, call, tmp_path):
    shelf.close(shelf.begin())
    file = tmp_path / "copy"
    file.write_text("mine")
    answer = call("backup", "books", "copy")
    assert answer.code == 1
    assert "copy exists; --overwrite" in answer.err
    assert file.read_text() == "mine"
    answer = call("backup", "books", "copy", "--overwrite")
    assert answer.out.startswith("books#1 is copied to copy (")
    assert file.read_bytes().startswith(b"SQLite format 3")
    assert call("backup", "books", ".", "--overwrite").code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "store"]


def test_no_copy_is_left_of_a_job_that_is_damaged_or_not_there(shelf, call, tmp_path):
    shelf.close(shelf.begin())
    assert call("backup", "boks", "copy").code == 1
    shelf.damage("books")
    answer = call("backup", "books", "copy")
    assert answer.code == 1
    assert answer.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_what_is_no_backup_is_not_restored(shelf, call, tmp_path):
    for name, content in (("text", b"x" * 999), ("empty", b""), ("gz", b"\x1f\x8b")):
        (tmp_path / name).write_bytes(content)
        answer = call("restore", name)
        assert answer.code == 1
        assert answer.err.count("\n") == 1
    with closing(sqlite3.connect(tmp_path / "other")) as connection:
        connection.execute("CREATE TABLE job (name, number)")
    answer = call("restore", "other")
    assert answer.code == 1
    assert "not one of scrapy-resume" in answer.err
    assert call("restore", "missing").code == 1
    assert not list(shelf.directory.glob("*.sqlite3"))


def test_what_does_not_hold_is_told_line_by_line(shelf, call):
    shelf.close(shelf.begin())
    with closing(sqlite3.connect(shelf.directory / "books#1.sqlite3")) as connection, connection:
        connection.execute("UPDATE job SET done = 4, failed = 1")
    answer = call("verify")
    assert answer.code == 1
    assert answer.out.splitlines() == [
        "the job counts 1 failed, there are 0",
        "the job counts 4 done, there are 0",
    ]
    assert answer.err == "scrapy resume: books#1 is inconsistent: 2 violations\n"
    document = json.loads(call("verify", "--json").out)
    assert document["violations"] == answer.out.splitlines()
    with closing(sqlite3.connect(shelf.directory / "books#1.sqlite3")) as connection, connection:
        connection.execute("UPDATE job SET done = 0")
    assert call("verify").err == "scrapy resume: books#1 is inconsistent: 1 violation\n"


def test_text_from_the_web_is_escaped_in_what_does_not_hold(shelf, call):
    job = shelf.begin()
    shelf.crawl(job, done=[[]])
    shelf.close(job)
    with closing(sqlite3.connect(shelf.directory / "books#1.sqlite3")) as connection, connection:
        changes = "beginning = NULL, url = 'http://a/' || char(27) || '[31m', slot = 77"
        connection.execute(f"UPDATE request SET {changes}")
    answer = call("verify")
    assert "http://a/\\x1b[31m is of a slot that is not there" in answer.out
    assert "\x1b" not in answer.out + answer.err


def test_a_damaged_file_does_not_hold(shelf, call):
    shelf.close(shelf.begin())
    file = shelf.damage("books")
    answer = call("verify", "--json")
    assert answer.code == 1
    (violation,) = json.loads(answer.out)["violations"]
    assert f"{file} is not a database" in violation
