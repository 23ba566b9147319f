"""Exporters, filters, storages, plugins and parameters of the user's; signals and stats."""

from __future__ import annotations

import fcntl
import itertools
import json
import re
import signal
from collections import Counter
from typing import Any

import pytest

from .conftest import NewCrawl
from .runs import Crawl, Live, when_holding

PARTS = "tests.feeds.parts"


def on_its_way(live: Live) -> None:
    live.logged("Spider opened")
    live.wait(0.2)
    live.send()


def through_kills(crawl: Crawl, kills: int = 2) -> str:
    for _ in range(kills):
        crawl.run_killed(on_its_way)
    return crawl.run_to_the_end()


def heard(crawl: Crawl) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (crawl.folder / "heard.jsonl").read_text().splitlines()]


def test_an_exporter_with_a_memory_goes_on_where_it_was(new_crawl: NewCrawl) -> None:
    settings = {"FEED_EXPORTERS": json.dumps({"sums": f"{PARTS}.Summed"})}
    crawl = new_crawl(feed="out/items.sums", options={"format": "sums"}, settings=settings)
    crawl.run(kill=when_holding(crawl.feed, 300))
    through_kills(crawl, 1)
    first, *lines, last = crawl.path.read_text().splitlines()
    assert first == "pages"
    assert Counter(int(line.partition(",")[0]) for line in lines) == Counter(
        dict.fromkeys(range(40), 3)
    )
    total = 0
    for line in lines:
        page, so_far = re.fullmatch(r"(\d+), so far (\d+)", line).groups()  # type: ignore[union-attr]
        total += int(page)
        assert int(so_far) == total
    assert last == f"total {total}"


def test_an_item_that_cannot_be_exported_is_told_and_leaves_no_bytes(new_crawl: NewCrawl) -> None:
    settings = {"FEED_EXPORTERS": json.dumps({"picky": f"{PARTS}.Picky"})}
    crawl = new_crawl(feed="out/items.picky", options={"format": "picky"}, settings=settings)
    log = crawl.run()
    assert crawl.path.read_bytes() == b"{}\n" * 117
    assert log.count("an item cannot be exported") == 3
    assert "ValueError: not this one" in log
    assert "'resume/feeds/items_failed': 3" in log
    assert "Stored picky feed" in log


def test_an_item_at_which_a_filter_raises_is_told_and_left_out(new_crawl: NewCrawl) -> None:
    how = {"options": {"item_filter": f"{PARTS}.Moody"}}
    plain, crawl = new_crawl("plain", **how), new_crawl(**how)
    plain.run(plain=True)
    log = crawl.run()
    assert "ValueError: not this one either" in log
    assert "'resume/feeds/items_failed': 3" in log
    assert crawl.items() == plain.items()
    assert crawl.items().total() == 117


@pytest.mark.parametrize(
    "options",
    [
        {"item_filter": f"{PARTS}.EvenPages"},
        {"item_classes": ["tests.feeds.spider.Priced"]},
        {"fields": {"text": "words", "page": "p"}, "encoding": "latin-1"},
        pytest.param({"format": "json", "indent": 4}, marks=pytest.mark.soak),
        {"format": "csv", "item_export_kwargs": {"include_headers_line": False}},
        pytest.param(
            {"format": "xml", "item_export_kwargs": {"root_element": "all", "item_element": "one"}},
            marks=pytest.mark.soak,
        ),
        {"postprocessing": [f"{PARTS}.Shout"]},
    ],
    ids=lambda options: next(reversed(options)),
)
def test_options_give_what_they_give_in_plain_scrapy(
    new_crawl: NewCrawl, options: dict[str, Any]
) -> None:
    how = {"options": {"format": "jsonlines", **options}, "settings": {"CONCURRENT_REQUESTS": 1}}
    how["arguments"] = {"pages": 15}
    plain, whole, killed = new_crawl("plain", **how), new_crawl("whole", **how), new_crawl(**how)
    plain.run(plain=True)
    whole.run()
    through_kills(killed)
    assert whole.path.read_bytes() == plain.path.read_bytes()
    # One request at a time: what was killed is fetched next.
    assert sorted(killed.path.read_bytes()) == sorted(plain.path.read_bytes())


def test_the_parameters_of_a_uri_stay_the_jobs_own(new_crawl: NewCrawl) -> None:
    feed = "out/%(name)s-%(time)s-%(batch_id)d-%(made_at)s.jsonl"
    options = {"format": "jsonlines", "uri_params": f"{PARTS}.uri_params", "batch_item_count": 50}
    plain, crawl = new_crawl("plain", options=options), new_crawl(feed=feed, options=options)
    plain.options = {"format": "jsonlines"}
    plain.run(plain=True)
    through_kills(crawl, 3)
    files = sorted((crawl.folder / "out").iterdir(), key=lambda path: path.name.split("-")[-2])
    assert [path.name.split("-")[-2] for path in files] == ["1", "2", "3"]
    items = [list(crawl.parsed(path.read_bytes())) for path in files]
    assert [len(some) for some in items] == [50, 50, 20]
    assert Counter(itertools.chain.from_iterable(items)) == plain.items()


def test_batches_that_were_taken_away_are_not_written_again(new_crawl: NewCrawl) -> None:
    options = {"format": "jsonlines", "batch_item_count": 10}
    crawl = new_crawl(feed="out/%(batch_id)d.jsonl", options=options)
    crawl.run_killed(lambda live: (live.logged("out/4.jsonl"), live.wait(0.1), live.send()))
    taken = crawl.path.with_name("1.jsonl")
    taken.unlink()
    crawl.run_to_the_end()
    assert not taken.exists()
    assert len(crawl.files()) == 11


def test_signals_and_stats_are_those_of_plain_scrapy(new_crawl: NewCrawl) -> None:
    how: dict[str, Any] = {
        "feed": "out/%(batch_id)d.json",
        "options": {"format": "json", "batch_item_count": 50},
        "settings": {"EXTENSIONS": json.dumps({f"{PARTS}.Listener": 0})},
    }
    plain, crawl = new_crawl("plain", **how), new_crawl(**how)
    logs = plain.run(plain=True), crawl.run()
    key = json.dumps
    assert sorted(map(key, heard(crawl))) == sorted(map(key, heard(plain)))
    assert heard(crawl)[-1] == {"exporter": "closed"}
    for log in logs:
        assert "'feedexport/success_count/FileFeedStorage': 3" in log
        stored = "[scrapy.extensions.feedexport] INFO: Stored json feed (20 items) in: out/3.json"
        assert stored in log


@pytest.mark.parametrize(
    ("form", "store_empty"),
    [
        ("json", True),
        ("csv", False),
        pytest.param("json", False, marks=pytest.mark.soak),
        pytest.param("csv", True, marks=pytest.mark.soak),
    ],
)
def test_a_feed_without_items(new_crawl: NewCrawl, form: str, store_empty: bool) -> None:
    how = {"feed": f"out/items.{form}", "options": {"format": form, "store_empty": store_empty}}
    how["arguments"] = {"per_page": 0}
    plain, crawl = new_crawl("plain", **how), new_crawl(**how)
    plain.run(plain=True)
    through_kills(crawl)
    assert crawl.path.exists() == plain.path.exists() == store_empty
    if store_empty:
        assert crawl.path.read_bytes() == plain.path.read_bytes()


def test_a_storage_of_the_users_gets_all_items_since_the_job_began(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    settings = {"FEED_STORAGES": json.dumps({"shelf": f"{PARTS}.Shelf"})}
    crawl = new_crawl(options={"format": "jsonlines"}, settings=settings)
    shelf = crawl.folder / "shelf" / "items.jsonl"
    crawl.feed = f"shelf:{shelf}"
    through_kills(crawl)
    assert Counter(crawl.parsed(shelf.read_bytes())) == whole


def test_a_storage_of_the_users_that_writes_files_as_scrapys_does_goes_on_with_them(
    new_crawl: NewCrawl,
    whole: Counter[str],
) -> None:
    crawl = new_crawl(settings={"FEED_STORAGES": json.dumps({"": f"{PARTS}.Sorted"})})
    for _ in range(2):
        crawl.run_killed(on_its_way)
    crawl.run_killed(lambda live: (live.logged("Closing spider"), live.send()))
    crawl.run_to_the_end()
    crawl.feed = "out/sorted/items.jsonl"
    assert crawl.items() == whole


def test_a_job_whose_feed_was_not_stored_is_not_completed_and_stores_it_next_time(
    new_crawl: NewCrawl,
) -> None:
    settings = {"FEED_STORAGES": json.dumps({"shelf": f"{PARTS}.Shelf"})}
    crawl = new_crawl(options={"format": "jsonlines"}, settings=settings)
    shelf = crawl.folder / "shelf.jsonl"
    crawl.feed = f"shelf:{shelf}"
    crawl.variables = {"FEEDING_SHELF": "closed"}
    log = crawl.run(code=1)
    assert "[scrapy.extensions.feedexport] ERROR: Error storing jsonlines feed (120 items)" in log
    assert "'feedexport/failed_count/Shelf': 1" in log
    assert not crawl.is_completed()
    crawl.variables = {}
    log = crawl.run_to_the_end()
    assert "'downloader/request_count'" not in log
    assert len(shelf.read_bytes().splitlines()) == 120


def test_standard_output_gets_each_item_and_every_run_a_document_of_its_own(
    new_crawl: NewCrawl,
) -> None:
    crawl = new_crawl(feed="stdout:", options={"format": "json"})
    crawl.settings = {"LOG_FILE": "log", "CONCURRENT_REQUESTS": 1}
    items: Counter[str] = Counter()
    for kill in (when_holding("1.log", 500, signal.SIGTERM), None):
        text = crawl.run(kill=kill)
        items.update(json.dumps(item, sort_keys=True) for item in json.loads(text))
    assert crawl.is_completed()
    assert items.total() == 120
    assert max(items.values()) == 1


@pytest.mark.sqlite("a feed grows while it is crawled on SQLite alone")
def test_a_full_disk_pauses_the_crawl_until_there_is_room(
    new_crawl: NewCrawl, whole: Counter[str]
) -> None:
    crawl = new_crawl(settings={"EXTENSIONS": json.dumps({f"{PARTS}.FullDisk": 0})})

    def make_room(live: Live) -> None:
        live.logged("The crawl waits, and goes on when there is room")
        live.wait(1)
        assert live.process.poll() is None
        (live.folder / "room").touch()

    log = crawl.run(kill=make_room)
    assert "it can be written again" in log
    assert crawl.is_completed()
    assert crawl.items() == whole


@pytest.mark.sqlite("a feed grows while it is crawled on SQLite alone")
def test_a_crawl_waits_while_another_job_rewrites_the_file_of_its_feed(
    new_crawl: NewCrawl,
    whole: Counter[str],
) -> None:
    crawl = new_crawl()

    def rewrite(live: Live) -> None:
        live.until(lambda: crawl.path.exists() and crawl.path.stat().st_size > 500)
        with crawl.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            live.logged("The crawl waits, and goes on when they are done")
            assert live.process.poll() is None

    log = crawl.run(kill=rewrite)
    assert "others are rewriting the file" in log
    assert "it can be written again" in log
    assert crawl.is_completed()
    assert crawl.items() == whole


@pytest.mark.sqlite("a feed grows while it is crawled on SQLite alone")
def test_a_crawl_that_is_stopped_while_the_disk_is_full_goes_on_when_there_is_room(
    new_crawl: NewCrawl,
    whole: Counter[str],
) -> None:
    settings = {"EXTENSIONS": json.dumps({f"{PARTS}.FullDisk": 0}), "RESUME_CLOSE_TIMEOUT": 1}
    crawl = new_crawl(settings=settings)

    def stop(live: Live) -> None:
        live.logged("The crawl waits, and goes on when there is room")
        live.send(signal.SIGTERM)

    log = crawl.run(kill=stop)
    assert "cannot be written: [Errno 28] No space left on device" in log
    assert not crawl.is_completed()
    (crawl.folder / "room").touch()
    crawl.run_to_the_end()
    assert crawl.items() == whole


def test_a_feed_where_nothing_can_be_written_is_told_at_once_and_nothing_is_lost(
    new_crawl: NewCrawl,
) -> None:
    crawl = new_crawl()
    (crawl.folder / "out").parent.mkdir(parents=True)
    (crawl.folder / "out").write_text("a file where the folder should be")
    log = crawl.run(code=1)
    assert "out/items.jsonl cannot be written: [Errno" in log
    assert "the same command writes it" in log
    (crawl.folder / "out").unlink()
    crawl.run_to_the_end()
    assert crawl.items().total() == 120


def test_a_feed_that_cannot_be_opened_leaves_the_job_to_be_gone_on_with(
    new_crawl: NewCrawl,
) -> None:
    crawl = new_crawl(feed=f"{'n' * 250}.jsonl")  # a byte more than a file's name may have
    log = crawl.run(code=1)
    assert "nn.jsonl cannot be opened: [Errno 36] File name too long" in log
    assert "the same command writes it" in log
    assert not crawl.is_completed()
    crawl.feed = "out/items.jsonl"
    crawl.run_to_the_end()
    assert crawl.items().total() == 120


def test_a_feed_whose_uri_cannot_be_made_costs_no_other_feed_its_items(new_crawl: NewCrawl) -> None:
    feeds = {
        "out/%(shop)s.jsonl": {"format": "jsonlines", "uri_params": f"{PARTS}.no_shop"},
        "out/items.jsonl": {"format": "jsonlines"},
    }
    crawl = new_crawl(settings={"FEEDS": json.dumps(feeds)})
    log = crawl.run(code=1)
    assert "Feed out/%(shop)s.jsonl cannot be opened: no shop yet" in log
    assert not crawl.is_completed()
    assert crawl.items().total() == 120
    (crawl.folder / "shop").write_text("corner")
    crawl.run_to_the_end()
    assert crawl.items().total() == 120
    assert len((crawl.folder / "out" / "corner.jsonl").read_bytes().splitlines()) == 120
