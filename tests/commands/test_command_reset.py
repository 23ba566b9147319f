from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Somebody sits there and types that."""

    def sit(typed):
        monkeypatch.setattr(sys, "stdin", Terminal(typed))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    return sit


def files(shelf) -> list[str]:
    return sorted(path.name for path in shelf.directory.iterdir() if ".sqlite3" in path.name)


def test_a_job_is_deleted_with_all_that_lies_beside_it(shelf, call):
    shelf.close(shelf.begin("books"))
    job = shelf.begin("quotes")
    shelf.crawl(job, leased=1)
    shelf.crash(job)
    answer = call("reset", "quotes", "--yes")
    assert (answer.code, answer.out, answer.err) == (0, "quotes#1 is deleted\n", "")
    assert files(shelf) == ["books#1.sqlite3"]
    assert json.loads(call("reset", "books", "--yes", "--json").out) == {
        "deleted": ["books#1"],
        "left": [],
    }
    assert files(shelf) == []


def test_a_name_means_the_latest_of_it(shelf, call):
    for number in (1, 2):
        shelf.close(shelf.begin("books", number))
    assert call("reset", "books", "--yes").out == "books#2 is deleted\n"
    # Whoever reads a file at rest leaves an empty -wal and a -shm beside it.
    assert {name.removesuffix("-wal").removesuffix("-shm") for name in files(shelf)} == {
        "books#1.sqlite3"
    }


def test_where_nobody_can_be_asked_yes_is_needed(shelf, call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    shelf.close(shelf.begin())
    answer = call("reset", "books")
    assert answer.code == 2
    assert "--yes" in answer.err
    assert files(shelf) == ["books#1.sqlite3"]


@pytest.mark.parametrize(("typed", "left"), [("y\n", []), ("n\n", ["books#1.sqlite3"]), ("", None)])
def test_on_a_terminal_it_asks(shelf, call, terminal, typed, left):
    shelf.close(shelf.begin())
    terminal(typed)
    answer = call("reset", "books")
    assert "Delete 1 job (books#1)? [y/N]" in answer.err
    assert files(shelf) == (["books#1.sqlite3"] if left is None else left)
    assert answer.code == (1 if files(shelf) else 0)


def test_names_or_all_have_to_be_given(shelf, call):
    shelf.close(shelf.begin())
    assert call("reset", "--yes").code == 2
    assert call("reset", "books", "--all", "--yes").code == 2
    assert files(shelf) == ["books#1.sqlite3"]


def test_a_job_that_is_not_there_keeps_all_from_being_deleted(shelf, call):
    shelf.close(shelf.begin("books"))
    answer = call("reset", "books", "boks", "--yes")
    assert answer.code == 1
    assert "nearest: books" in answer.err
    assert files(shelf) == ["books#1.sqlite3"]


def test_all_without_jobs_says_so(shelf, call):
    answer = call("reset", "--all", "--yes")
    assert (answer.code, answer.out) == (0, f"There are no jobs in {shelf.directory}.\n")
    assert json.loads(call("reset", "--all", "--yes", "--json").out)["deleted"] == []
    assert not shelf.directory.exists()


def test_all_never_touches_what_runs_nor_what_is_not_a_job(shelf, call, tmp_path):
    for name in ("done", "other"):
        shelf.close(shelf.begin(name))
    live = shelf.begin("live")
    shelf.close(shelf.begin("newer"))
    shelf.make_newer("newer")
    shelf.close(shelf.begin("broken"))
    shelf.damage("broken")
    elsewhere = tmp_path / "elsewhere.sqlite3"
    (shelf.directory / "done#1.sqlite3").rename(elsewhere)
    (shelf.directory / "link#1.sqlite3").symlink_to(elsewhere)
    (shelf.directory / "dangling#1.sqlite3").symlink_to(tmp_path / "nothing")
    (shelf.directory / "folder#1.sqlite3").mkdir()
    (shelf.directory / "empty#1.sqlite3").touch()
    (shelf.directory / "notes.txt").write_text("mine")
    before = {path: _content(path) for path in shelf.directory.iterdir()}
    answer = call("reset", "--all", "--yes", "--json")
    assert answer.code == 1
    document = json.loads(answer.out)
    assert document["deleted"] == ["other#1"]
    left = {row["job"]: row["error"] for row in document["left"]}
    assert sorted(left) == [
        "broken#1", "dangling#1", "empty#1", "folder#1", "link#1", "live#1", "newer#1",
    ]  # fmt: skip
    assert "being crawled by another process (host:7" in left["live#1"]
    assert "is not a database" in left["broken#1"]
    assert "newer version" in left["newer#1"]
    for name in ("link#1", "dangling#1", "folder#1"):
        assert "not an ordinary file" in left[name]
    assert answer.err.count("\n") == 1
    kept = {path: text for path, text in before.items() if not path.name.startswith("other#1")}
    after = {path: _content(path) for path in kept}
    assert after == kept
    assert elsewhere.exists()
    shelf.crawl(live, done=[[{"a": 1}]])  # its owner goes on


def _content(path: Path) -> bytes | str | None:
    if path.is_symlink():
        return str(path.readlink())
    return path.read_bytes() if path.is_file() and "live" not in path.name else None


def test_a_half_deleted_job_is_listed_and_its_deletion_completed(shelf, call):
    shelf.close(shelf.begin())
    path = shelf.directory / "books#1.sqlite3"
    path.rename(f"{path}.deleted")
    answer = call("list")
    assert (answer.code, answer.err.count("\n")) == (0, 1)
    assert "books#1 is half deleted: `scrapy resume reset books#1 --yes`" in answer.err
    answer = call("reset", "books#1", "--yes", "--json")
    assert json.loads(answer.out) == {"deleted": ["books#1"], "left": []}
    assert "deletion of books#1, which was interrupted, is completed" in answer.err
    assert call("list").err == ""


def test_a_deletion_takes_the_event_log_of_the_job_alone(shelf, call):
    shelf.close(shelf.begin())
    events = shelf.directory / "events"
    events.mkdir()
    for name in ("books#1.run-1.0001.jsonl", "books#1.run-1.0001.jsonl.part", "books#11.x"):
        (events / name).write_text("{}\n")
    assert call("reset", "books", "--yes").code == 0
    assert [path.name for path in events.iterdir()] == ["books#11.x"]
