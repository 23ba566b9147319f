"""Databases as feeds of real crawls: the command line, passwords, what is owed, and the export."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scrapy_resume import open_store
from scrapy_resume.databases import check
from scrapy_resume.databases.address import filled, name_of, parsed_address
from scrapy_resume.databases.check import check_feeds
from scrapy_resume.databases.options import parsed_options
from scrapy_resume.errors import ConfigurationError, RowsNotWrittenError
from tests.feeds.runs import Crawl, Live
from tests.support.stores import location
from tests.web.conftest import board_of, client_of

from .conftest import NewCrawl
from .following import Job, follow
from .shelf import Shelf

OUT = "postgresql://me:topsecret@127.0.0.1:1/shop#items"


class StoreOf(NamedTuple):
    """A store, as the dashboard's tests want it."""

    directory: Path

    @property
    def location(self) -> str:
        return location(self.directory)


class CommandLine(Crawl):
    """Feeds by ``-o``."""

    outputs: tuple[str, ...] = ()

    def words(self, *, plain: bool) -> list[str]:
        words = super().words(plain=plain)
        place = next(n for n, word in enumerate(words) if word.startswith("FEEDS="))
        del words[place - 1 : place + 1]
        for output in self.outputs:
            words += ["-o", output]
        return words


def status_of(crawl: Crawl) -> dict[str, Any]:
    (status,) = open_store(location(crawl.folder / "store")).jobs()
    return dict(status)


def test_a_feed_of_the_command_line_beside_a_file(
    new_crawl: NewCrawl, whole: Counter[str], tmp_path: Path
) -> None:
    made = new_crawl()
    crawl = CommandLine(made.folder, made.launcher)
    crawl.outputs = ("sqlite:///shop.db#books:sql", "out/items.jsonl")
    log = crawl.run()
    with Shelf(f"sqlite:///{crawl.folder / 'shop.db'}") as shelf:
        assert shelf.items("books") == whole
    assert crawl.items() == whole
    assert "Stored sql feed" in log


@pytest.mark.parametrize("by", ["settings", "command line"])
def test_a_database_that_is_out_keeps_the_job_open_and_its_password_is_nowhere(
    new_crawl: NewCrawl, by: str, tmp_path: Path
) -> None:
    how: dict[str, Any] = {
        "arguments": {"pages": 10},
        "settings": {"RESUME_CLOSE_TIMEOUT": 1, "RESUME_EVENT_LOG": 1, "LOG_LEVEL": "DEBUG"},
    }
    if by == "settings":
        crawl = new_crawl(feed=OUT, options={"format": "sql"}, **how)
    else:
        made = new_crawl()
        crawl = CommandLine(made.folder, made.launcher, **how)
        crawl.outputs = (f"{OUT}:sql",)
    log = crawl.run(code=1)
    status = status_of(crawl)
    assert status["status"] == "paused"
    assert status["undelivered"] == ["postgresql://me:***@127.0.0.1:1/shop#items"]
    assert status["error"]["class"] == "DatabaseUnavailableError"
    assert "30 changes behind" in status["error"]["message"]
    assert status["requests"]["done"] == 10
    assert "The crawl goes on" in log
    shown = log + json.dumps(status)
    for path in crawl.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            shown += (gzip.decompress(content) if path.suffix == ".gz" else content).decode(
                "latin-1"
            )
    assert '"run_closed"' in shown  # the event log is among them
    with client_of(board_of(StoreOf(crawl.folder / "store"))) as client:
        (job,) = client.get("/api/jobs").json()
        for path in ("", "/errors", "/events", "/items"):
            shown += client.get(f"/api/jobs/{job['id']}{path}").text
            shown += client.get(f"/jobs/{job['id']}{path}").text
        shown += client.get("/").text
    assert "me:***@127.0.0.1" in shown
    assert "topsecret" not in shown


def test_a_database_that_is_behind_shows_while_the_crawl_runs(new_crawl: NewCrawl) -> None:
    crawl = new_crawl(
        feed=OUT, options={"format": "sql"}, arguments={"pages": 400, "pause_seconds": 0.1}
    )

    def kill(live: Live) -> None:
        live.until(lambda: crawl.items_stored() > 0 and bool(status_of(crawl)["undelivered"]))
        live.send()

    crawl.run(kill=kill)
    status = status_of(crawl)
    assert status["status"] == "crashed"
    assert status["undelivered"] == ["postgresql://me:***@127.0.0.1:1/shop#items"]


@pytest.mark.soak  # four crawls; the commands' tests have it by the export
def test_numbers_of_a_job_add_their_rows_and_overwrite_takes_them(
    new_crawl: NewCrawl, whole: Counter[str], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with Shelf(url) as shelf:
        for table, times, overwrite in (("all", 2, False), ("last", 1, True)):
            options = {"format": "sql", "overwrite": overwrite}
            crawl = new_crawl(table, feed=shelf.uri(table), options=options)
            crawl.run()
            crawl.run()
            assert shelf.items(table) == Counter({one: times * n for one, n in whole.items()})


# ---- what is refused before anything is touched


@pytest.mark.parametrize(
    ("uri", "options", "message"),
    [
        ("sqlite://#t", {}, "names no file"),
        ("sqlite:///:memory:#t", {}, "names no file"),
        ("mysql://me:topsecret@host/db#t", {}, "use sqlite"),
        ("out.txt", {}, "use sqlite"),
        ("postgresql://me:top@topsecret@h/d#t", {}, "write %40"),
        ("postgresql://me:top#topsecret@h/d", {}, "write %40"),
        ("postgresql://me:top#topsecret@h/d", {"batch_size": 0}, "from 1"),
        ("postgresql:/me:topsecret@h/d", {"batch_size": 0}, "from 1"),
        ("sqlite:///x.db#a.", {}, "empty part"),
        ("sqlite:///x.db#t", {"primarykey": "a"}, "unknown option primarykey"),
        ("sqlite:///x.db#t", {"primary_key": 5}, "primary_key"),
        ("sqlite:///x.db#t", {"primary_key": ["a", "a"]}, "twice"),
        ("sqlite:///x.db#t", {"on_conflict": "replace"}, "update, fill, ignore"),
        ("sqlite:///x.db#t", {"on_removed": "drop"}, "keep, mark, delete"),
        ("sqlite:///x.db#t", {"schema": "free"}, "evolve, freeze, discard"),
        ("sqlite:///x.db#t", {"batch_size": 0}, "from 1"),
        ("sqlite:///x.db#t", {"batch_item_count": 5}, "several files"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    uri: str, options: dict[str, Any], message: str
) -> None:
    from scrapy.settings import Settings

    feeds = {uri: {"format": "sql", **options}}
    with pytest.raises(ConfigurationError, match=message) as raised:
        check_feeds(Settings({"FEEDS": feeds}))
    assert "topsecret" not in str(raised.value)


def test_without_the_extra_the_line_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    for uri in ("sqlite:///x.db#t", "postgresql://h/d#t"):
        with pytest.raises(ConfigurationError, match=r'pip install "scrapy-resume\[sql\]"'):
            check.check_installed(parsed_address(uri, "t"))


def test_a_refused_start_touches_nothing(new_crawl: NewCrawl) -> None:
    crawl = new_crawl(feed="sqlite:///shop.db#t", options={"format": "sql", "schema": "free"})
    log = crawl.run(code=1)
    assert "evolve, freeze, discard" in log
    assert sorted(path.name for path in crawl.folder.iterdir()) == ["1.log"]


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///shop.db#scrapy_resume_row",
        "postgresql://h/d#public.Scrapy_Resume_feed",
        "sqlite:///shop.db#sqlite_master",
    ],
)
def test_a_table_that_holds_what_others_keep_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="keep for themselves"):
        parsed_address(uri, "x")


def test_a_primary_key_that_no_item_has_is_named(database: Shelf) -> None:
    job = Job()
    for number in range(3):
        job.put({"n": number}, number)
    feed = follow(database.uri(), job, primary_key="url")
    assert isinstance(feed.error, RowsNotWrittenError)
    assert "field 'url': it has no value, and is of the primary key" in str(feed.error)
    job.put({"n": 3, "url": "a"}, 3)
    follow(database.uri(), job, primary_key="url")
    assert [(row["n"], row["url"]) for row in database.rows()] == [(3, "a")]


def test_addresses() -> None:
    assert parsed_address("sqlite:////a/b.db#t", "x").url == "sqlite:////a/b.db"
    assert parsed_address("sqlite:////a/b.db", "x").table == "x"
    address = parsed_address("postgresql://u:p%40w@h/d#s%2Ex.t%20t", "x")
    assert (address.schema, address.table) == ("s.x", "t t")
    assert address.shown == "postgresql://u:***@h/d#s%2Ex.t%20t"
    assert name_of("postgresql://u:%(x)s#y@h/d#t") == "postgresql://u:***@h/d#t"
    assert name_of("postgresql://me:top#secret@h/d") == "postgresql://me:***@h/d"
    assert parsed_address("postgresql://u:p@h/d#a@b", "x").table == "a@b"
    assert filled("sqlite:///%(name)s%20.db#%t", {"name": "b"}) == "sqlite:///b%20.db#%t"
    with pytest.raises(ConfigurationError, match="no attribute"):
        filled("sqlite:///%(nothing)s.db", {})
    assert parsed_options("x", {"primary_key": ["a", "b"]}).primary_key == ("a", "b")
