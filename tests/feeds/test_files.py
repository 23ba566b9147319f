"""Local feeds on a resume: what is ours is cut back or written again, what is others' stays."""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from .conftest import NewCrawl
from .runs import GZIP, Crawl, Live, at_random, retry, when_holding

FOREIGN = b'{"page": -1, "place": 0, "text": "somebody else\'s"}\n'


def expected_with(whole: Counter[str], *lines: bytes) -> Counter[str]:
    return whole + Counter(json.dumps(json.loads(line), sort_keys=True) for line in lines)


def killed_in_the_middle(crawl: Crawl, size: int = 2_000) -> Path:
    """Slowed down, so that its end does not come before the kill."""
    usual, crawl.settings = crawl.settings, {**crawl.settings, "DOWNLOAD_DELAY": 0.04}
    crawl.run(kill=when_holding(crawl.feed, size))
    crawl.settings = usual
    assert not crawl.is_completed()
    return crawl.path


def ownership_notes(crawl: Crawl) -> list[Path]:
    return list(crawl.path.parent.glob(".*.resume"))


# What was there before


@pytest.mark.parametrize("suffix", ["", pytest.param(".gz", marks=pytest.mark.soak)])
def test_without_overwrite_a_job_appends_and_a_resume_keeps_what_was_there(
    new_crawl: NewCrawl, suffix: str
) -> None:
    options = {"format": "jsonlines"} | ({"postprocessing": [GZIP]} if suffix else {})
    how = {"feed": f"out/items.jsonl{suffix}", "options": options}
    plain = new_crawl("plain", **how)
    crawl = new_crawl(**how)
    for one in (plain, crawl):
        one.path.parent.mkdir(parents=True)
        one.run(plain=True)
    before = crawl.path.read_bytes()
    plain.run(plain=True)
    crawl.run_killed(at_random(random.Random(5)))
    crawl.run_to_the_end()
    assert crawl.path.read_bytes().startswith(before)
    assert crawl.items() == plain.items()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_overwrite_drops_what_was_there_when_the_job_begins_and_never_again(
    new_crawl: NewCrawl, whole: Counter[str], suffix: str
) -> None:
    options = {"format": "jsonlines", "overwrite": True}
    options |= {"postprocessing": [GZIP]} if suffix else {}
    crawl = new_crawl(feed=f"out/items.jsonl{suffix}", options=options)
    crawl.path.parent.mkdir(parents=True)
    crawl.path.write_bytes(FOREIGN)
    crawl.run_killed(lambda live: (live.logged("Spider opened"), live.wait(0.2), live.send()))
    crawl.run_killed(lambda live: (live.logged("Closing spider"), live.send()))
    crawl.run_to_the_end()
    assert crawl.items() == whole


def test_a_second_job_appends_to_the_feed_of_the_first(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()
    crawl.run()
    crawl.run()
    assert crawl.items() == whole + whole
    assert crawl.leftovers() == []


# What others did meanwhile


def test_lines_that_somebody_else_appended_after_a_kill_stay(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()
    path = killed_in_the_middle(crawl)
    for _ in range(2):
        with path.open("ab") as file:
            file.write(FOREIGN)
        crawl.run_killed(when_holding(crawl.feed, path.stat().st_size + 1_500))
    crawl.run_to_the_end()
    assert crawl.items() == expected_with(whole, FOREIGN, FOREIGN)


def test_lines_that_somebody_else_appends_while_the_crawl_runs_stay(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()

    def meddle(live: Live) -> None:
        for size in (500, 3_000):
            live.until(lambda size=size: crawl.path.exists() and crawl.path.stat().st_size > size)
            with crawl.path.open("ab") as file:
                file.write(FOREIGN)
        live.until(lambda: crawl.path.stat().st_size > 4_500)
        live.send()

    crawl.run(kill=meddle)
    crawl.run_to_the_end()
    assert crawl.items() == expected_with(whole, FOREIGN, FOREIGN)


@pytest.mark.soak
def test_two_jobs_may_take_turns_at_one_feed(new_crawl: NewCrawl, whole: Counter[str]) -> None:
    take_turns(new_crawl, whole, 0.1)


@pytest.mark.soak
def test_two_jobs_may_take_turns_at_one_feed_of_which_the_store_knows_nothing(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    """A commit interval that is long: nothing of what is in the feed is in a record yet."""
    take_turns(new_crawl, whole, 1.0)


def take_turns(new_crawl: NewCrawl, whole: Counter[str], commit_interval: float) -> None:
    settings = {"RESUME_COMMIT_INTERVAL": commit_interval}
    one = new_crawl(settings=settings)
    # Several commits long: a feed has nothing before the first.
    slower = {**settings, "DOWNLOAD_DELAY": 0.5 * max(commit_interval, 0.2)}
    other = new_crawl(feed=str(one.path), arguments={"pages": 7}, settings=slower)
    other.folder = one.folder.parent / "other"
    size = killed_in_the_middle(one).stat().st_size
    other.run(kill=when_holding(other.feed, size + 1))
    assert not other.is_completed()
    one.run(kill=when_holding(one.feed, 4_000))
    other.run_to_the_end()
    one.run_to_the_end()
    smaller = Counter({item: 1 for item in whole if json.loads(item)["page"] < 7})
    assert one.items() == whole + smaller
    assert one.leftovers() == []


def test_two_feeds_of_one_job_may_go_into_one_file(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()
    (crawl.folder / "out").mkdir(parents=True)
    link = crawl.folder / "link"
    link.symlink_to(crawl.path)
    options = {"format": "jsonlines"}
    crawl.settings = {"FEEDS": json.dumps({crawl.feed: options, str(link): options})}
    killed_in_the_middle(crawl, 4_000)
    crawl.run_killed(at_random(random.Random(1)))
    crawl.run_to_the_end()
    assert crawl.items() == whole + whole
    assert crawl.leftovers() == []
    assert link.is_symlink()


@pytest.mark.parametrize(
    "form",
    [
        "json",
        pytest.param("jsonlines", marks=pytest.mark.soak),
        pytest.param("csv", marks=pytest.mark.soak),
    ],
)
def test_a_feed_that_was_deleted_is_written_again(new_crawl: NewCrawl, form: str) -> None:
    how = {"feed": f"out/items.{form}", "options": {"format": form}}
    plain = new_crawl("plain", **how)
    plain.run(plain=True)
    crawl = new_crawl(**how)
    killed_in_the_middle(crawl).unlink()
    crawl.run_to_the_end()
    assert crawl.items() == plain.items()


@pytest.mark.sqlite("a feed grows while it is crawled on SQLite alone")
def test_a_feed_that_is_deleted_while_the_crawl_runs_is_written_again(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()
    kill = when_holding(crawl.feed, 2_000)

    def delete(live: Live) -> None:
        live.send, send = lambda *_: None, live.send  # type: ignore[method-assign,assignment]
        kill(live)
        live.send = send  # type: ignore[method-assign]
        crawl.path.unlink()

    log = crawl.run(kill=delete)
    assert "was deleted or moved; it is written again" in log
    assert crawl.is_completed()
    assert crawl.items() == whole


def test_a_feed_that_was_moved_away_is_written_again_and_the_moved_one_left(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()
    path = killed_in_the_middle(crawl)
    moved = path.with_name("moved")
    path.rename(moved)
    before = moved.read_bytes()
    crawl.run_to_the_end()
    assert crawl.items() == whole
    assert moved.read_bytes() == before


def test_an_altered_feed_is_left_alone_and_the_whole_one_is_named(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()
    path = killed_in_the_middle(crawl)
    altered = path.read_bytes().replace(b'"place": 0', b'"PLACE": 0', 1)
    path.write_bytes(altered)
    log = crawl.run()
    assert "somebody else has changed what the job wrote" in log
    other = path.with_name("items.resumed.jsonl")
    assert str(other) in log
    assert path.read_bytes() == altered
    assert Counter(crawl.parsed(other.read_bytes())) == whole


# Cuts


@pytest.mark.sqlite("a feed grows while it is crawled on SQLite alone")
def test_a_feed_cut_at_every_byte_of_its_last_batch(
    new_crawl: NewCrawl, whole: Counter[str], tmp_path: Path
) -> None:
    cut_everywhere(new_crawl, whole, tmp_path, step=67)


@pytest.mark.soak
@pytest.mark.timeout(3_000)
def test_a_feed_cut_at_really_every_byte_of_its_last_batch(
    new_crawl: NewCrawl, whole: Counter[str], tmp_path: Path
) -> None:
    cut_everywhere(new_crawl, whole, tmp_path, step=1)


def cut_everywhere(new_crawl: NewCrawl, whole: Counter[str], tmp_path: Path, step: int) -> None:
    killed = new_crawl("killed")
    path = killed_in_the_middle(killed, 4_500)
    content = path.read_bytes()
    for size in [0, 1, *range(len(content) - 600, len(content) + 1, step)]:
        shutil.copytree(killed.folder, tmp_path / f"cut-{size}")
        crawl = new_crawl(f"cut-{size}")
        crawl.path.write_bytes(content[:size])
        crawl.run_to_the_end()
        assert crawl.items() == whole, f"cut to {size} of {len(content)} bytes"
        shutil.rmtree(crawl.folder)


@pytest.mark.sqlite("puts back a copy of a job's file")
@pytest.mark.parametrize(
    ("later", "suffix"),
    [
        ("killed again", ""),
        ("completed", ".gz"),
        pytest.param("killed again", ".gz", marks=pytest.mark.soak),
        pytest.param("completed", "", marks=pytest.mark.soak),
    ],
)
def test_an_older_store_beside_a_newer_feed(
    new_crawl: NewCrawl, whole: Counter[str], suffix: str, later: str
) -> None:
    options = {"format": "jsonlines"} | ({"postprocessing": [GZIP]} if suffix else {})
    crawl = new_crawl(feed=f"out/items.jsonl{suffix}", options=options)
    store, copy = crawl.folder / "store", crawl.folder / "copy"

    def paused(live: Live) -> None:
        live.logged("Spider opened")
        live.wait(0.25)
        live.send(signal.SIGTERM)

    crawl.run(kill=paused)
    shutil.copytree(store, copy)
    if later == "completed":
        crawl.run_to_the_end()
    else:
        crawl.run_killed(lambda live: (live.logged("Spider opened"), live.wait(0.2), live.send()))
    shutil.rmtree(store)
    copy.rename(store)
    crawl.run_to_the_end()
    assert crawl.items() == whole


@pytest.mark.sqlite("puts back a copy of a job's file")
def test_a_copy_of_a_live_store_put_back_after_a_kill(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()
    store, copy = crawl.folder / "store", crawl.folder / "copy"

    def copied_then_killed(live: Live) -> None:
        live.until(lambda: crawl.path.exists() and crawl.path.stat().st_size > 1_000)
        live.send(signal.SIGSTOP)
        shutil.copytree(store, copy)
        live.send(signal.SIGCONT)
        live.until(lambda: crawl.path.stat().st_size > 4_000)
        live.send()

    crawl.run(kill=copied_then_killed)
    shutil.rmtree(store)
    copy.rename(store)
    crawl.run_to_the_end()
    assert crawl.items() == whole


# Other settings on a resume


def test_a_feed_that_is_new_on_a_resume_receives_the_earlier_items_too(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl()
    killed_in_the_middle(crawl)
    crawl.feed = "out/other.jsonl"
    crawl.run_to_the_end()
    assert crawl.items() == whole


def test_a_feed_with_other_options_on_a_resume_is_written_again(new_crawl: NewCrawl) -> None:
    fields = {"place": "n", "page": "p"}
    how = {"feed": "out/items.csv", "options": {"format": "csv", "fields": fields}}
    plain = new_crawl("plain", **how)
    plain.run(plain=True)
    crawl = new_crawl(feed="out/items.csv", options={"format": "csv"})
    killed_in_the_middle(crawl)
    crawl.options = how["options"]
    crawl.run_to_the_end()
    assert crawl.items() == plain.items()


def test_a_completed_job_that_goes_on_with_other_options_writes_its_feed_again(
    new_crawl: NewCrawl,
) -> None:
    how = {"feed": "out/items.json", "variables": {"FEEDING_FAIL": "7"}}
    crawl = new_crawl(**how)
    crawl.run()
    first = crawl.items()
    retry(crawl)
    crawl.options = {"indent": 2}
    crawl.variables = {}
    crawl.run_to_the_end()
    assert crawl.items() == first
    assert crawl.path.read_bytes().startswith(b"[\n{")


# Pauses


@pytest.mark.sqlite("a feed grows while it is crawled on SQLite alone")
@pytest.mark.parametrize(
    "form", ["json", *(pytest.param(form, marks=pytest.mark.soak) for form in ("csv", "xml"))]
)
def test_a_paused_feed_is_whole_and_goes_on(new_crawl: NewCrawl, form: str) -> None:
    how = {"feed": f"out/items.{form}", "options": {"format": form, "indent": 2}}
    how["arguments"] = {"pages": 150}
    plain = new_crawl("plain", **how)
    plain.run(plain=True)
    crawl = new_crawl(**how)
    counts = []
    size = 0
    for _ in range(2):
        crawl.run(kill=when_holding(crawl.feed, size + 500, signum=signal.SIGTERM))
        counts.append(crawl.items().total())
        size = crawl.path.stat().st_size
    assert 0 < counts[0] < counts[1] < plain.items().total()
    crawl.run_to_the_end()
    assert crawl.items() == plain.items()
