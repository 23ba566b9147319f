from __future__ import annotations

import json

import pytest

from scrapy_resume.store.contract import Closing


@pytest.fixture
def aged(shelf):
    """books#1 to #3 were completed 40, 30 and 20 days ago, quotes#1 50; and others are not."""
    for number, days in ((1, 40), (2, 30), (3, 20)):
        shelf.close(shelf.begin("books", number))
        shelf.age(f"books#{number}", days)
    shelf.close(shelf.begin("quotes"))
    shelf.age("quotes#1", 50)
    shelf.close(shelf.begin("paused"), "paused", "shutdown")
    shelf.close(shelf.begin("fresh"))
    shelf.crash(shelf.begin("crashed"))
    shelf.begin("live")
    return shelf


def names(shelf) -> list[str]:
    return sorted(path.name.removesuffix(".sqlite3") for path in shelf.directory.glob("*.sqlite3"))


OTHERS = ["crashed#1", "fresh#1", "live#1", "paused#1"]


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["--days", "60"], []),
        (["--days", "35"], ["books#1", "quotes#1"]),
        (["--days", "25"], ["books#1", "books#2", "quotes#1"]),
        (["--days", "25", "--keep", "1"], ["books#1", "books#2"]),
        (["--days", "1", "--keep", "2"], ["books#1"]),
        (["--days", "1", "--keep", "9"], []),
    ],
)
def test_completed_jobs_that_are_old_are_deleted_and_no_other(aged, call, words, gone):
    dry = call("clean", *words, "--dry-run", "--json")
    assert json.loads(dry.out)["deleted"] == gone
    before = names(aged)
    answer = call("clean", *words)
    assert (answer.code, answer.err) == (0, "")
    said = [f"{job} is deleted" for job in gone]
    assert answer.out.splitlines() == (said or ["No job is deleted"])
    assert names(aged) == [job for job in before if job not in gone]
    assert set(OTHERS) <= set(names(aged))


def test_a_dry_run_deletes_nothing(aged, call):
    before = names(aged)
    assert call("clean", "--days", "0.5", "--dry-run").out.count("would be deleted") == 4
    assert names(aged) == before


def test_what_cannot_be_read_is_left_alone_and_told(aged, call):
    aged.damage("quotes")
    (aged.directory / "link#1.sqlite3").symlink_to(aged.directory / "books#1.sqlite3")
    answer = call("clean", "--days", "35", "--json")
    assert answer.code == 1
    document = json.loads(answer.out)
    assert document["deleted"] == ["books#1"]
    assert [row["job"] for row in document["left"]] == ["quotes#1", "link#1"]
    assert answer.err.count("\n") == 1
    assert (aged.directory / "quotes#1.sqlite3").exists()
    assert (aged.directory / "link#1.sqlite3").is_symlink()


def test_the_age_has_to_be_given_and_a_number(shelf, call):
    shelf.close(shelf.begin())
    for words in ([], ["--days=-1"], ["--days", "nan"], ["--days", "1", "--keep", "-1"]):
        assert call("clean", *words).code == 2
    assert names(shelf) == ["books#1"]


def test_a_job_that_was_completed_in_the_future_is_told_and_left(aged, call):
    """Its time is from a clock that was wrong: it would never be old enough."""
    aged.age("fresh#1", -400)
    aged.age("books#3", -0.01)
    answer = call("clean", "--days", "35")
    assert answer.code == 1
    assert answer.out.splitlines() == ["books#1 is deleted", "quotes#1 is deleted"]
    assert "fresh#1 is left alone: it was completed at 20" in answer.err
    assert "scrapy resume reset 'fresh#1'" in answer.err
    assert "books#3" not in answer.err, "clocks of two machines may differ a little"
    assert "fresh#1" in names(aged)


def test_what_a_delta_crawl_rests_on_is_kept_and_told(aged, call):
    aged.close(aged.begin("books", 4, delta=True))
    dry = call("clean", "--days", "35", "--dry-run", "--json")
    assert json.loads(dry.out)["deleted"] == ["quotes#1"]
    answer = call("clean", "--days", "35")
    assert (answer.code, answer.out) == (0, "quotes#1 is deleted\n")
    assert "books#1 is kept: the delta crawl books#4 rests on its items" in answer.err
    assert {"books#1", "books#2", "books#3"} <= set(names(aged))


@pytest.fixture
def left(aged):
    """Beside the completed ones: left 40 days ago, in every way to be left."""
    for name in ("paused", "crashed"):
        aged.age(f"{name}#1", 40)
    aged.close(aged.begin("cancelled"), "cancelled", "cancelled")
    aged.age("cancelled#1", 40)
    aged.age("live#1", 40)
    return aged


def test_unfinished_jobs_go_only_if_that_is_asked_for(left, call):
    kept = call("clean", "--days", "35", "--dry-run", "--json")
    assert json.loads(kept.out)["deleted"] == ["books#1", "quotes#1"]
    words = ["--days", "35", "--unfinished", "--keep", "9"]
    gone = ["cancelled#1", "crashed#1", "paused#1"]
    dry = call("clean", *words, "--dry-run", "--json")
    assert json.loads(dry.out)["deleted"] == gone
    before = names(left)
    answer = call("clean", *words)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines() == [f"{job} is deleted" for job in gone]
    assert "crashed#1 is unfinished (crashed): " in answer.err
    assert names(left) == [job for job in before if job not in gone]
    assert "live#1" in names(left)


def test_an_unfinished_job_that_somebody_goes_on_with_meanwhile_stays(left, call, monkeypatch):
    from scrapy_resume.store.sqlite.store import SqliteStore

    delete = SqliteStore.delete

    def goes_on_first(store, key, **how):
        if key.name == "paused":
            left.store.resume(key, left.opening()).close(Closing("paused", "shutdown"))
        return delete(store, key, **how)

    monkeypatch.setattr(SqliteStore, "delete", goes_on_first)
    answer = call("clean", "--days", "30", "--unfinished", "--json")
    assert "paused#1" not in json.loads(answer.out)["deleted"]
    assert "paused#1" in names(left)


def test_an_extended_job_and_what_a_delta_crawl_rests_on_stay(shelf, call):
    job = shelf.begin("extended")
    shelf.close(job)
    again = shelf.store.resume(job.session.job, shelf.opening(extend=True))
    again.close(Closing("paused", "shutdown"))
    shelf.age("extended#1", 40)
    shelf.close(shelf.begin("fresh"), "cancelled", "cancelled")
    shelf.close(shelf.begin("fresh", 2, delta=True))
    shelf.age("fresh#1", 40)
    answer = call("clean", "--days", "30", "--unfinished", "--json")
    assert json.loads(answer.out)["deleted"] == []
    assert "extended#1 is kept" in answer.err
    assert "fresh#1 is kept: the delta crawl fresh#2" in answer.err
