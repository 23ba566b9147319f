"""What RESUME_STORE may name, and what is said of what it may not."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from scrapy.settings import Settings

from scrapy_resume.errors import ConfigurationError, StoreUnavailableError
from scrapy_resume.model import JobKey
from scrapy_resume.reporting.reports import Reports, open_store
from scrapy_resume.settings.masking import without_password
from scrapy_resume.settings.parse import parse_settings
from scrapy_resume.store import open_location
from scrapy_resume.store.sqlite.store import SqliteStore

pytest.importorskip("psycopg")


def test_a_path_is_a_directory(tmp_path: Path) -> None:
    assert isinstance(open_location(tmp_path), SqliteStore)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_database_is_not_asked_before_a_job_is(scheme: str) -> None:
    assert open_location(f"{scheme}://nobody@127.0.0.1:1/nothing").shared


def test_a_scheme_without_a_store_is_named() -> None:
    with pytest.raises(ConfigurationError, match="redis://"):
        open_location("redis://localhost/0")


def test_a_url_that_is_none_is_refused_with_an_example() -> None:
    with pytest.raises(ConfigurationError, match="postgresql://user:password@host"):
        open_location("postgresql://host/db?no_such_parameter=1")


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.startswith("scrapy_resume.store.postgres.store")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"scrapy-resume\[postgres\]"):
        open_location("postgresql://host/db")


def test_a_database_out_of_reach_is_told_without_its_password() -> None:
    store = open_location("postgresql://me:secret@127.0.0.1:1/crawls")
    with pytest.raises(StoreUnavailableError) as caught, store.door("books"):
        pass
    assert "the database crawls on 127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreUnavailableError):
        store.latest(JobKey("books", 1).name)


WRITTEN_WRONG = [
    "postgresql://me:se@cret@127.0.0.1/crawls",
    "postgresql://me:se/cret@127.0.0.1/crawls",
    "postgresql://me:5432/cret@127.0.0.1/crawls",
    "postgresql://me:cret%zz@127.0.0.1/crawls",
    "postgresql://me:cret[x@127.0.0.1:x/crawls",
    "postgresql://m/e:cret@127.0.0.1/crawls",
    "postgresql://127.0.0.1/crawls?password=cret&nonsense=1",
]


@pytest.mark.parametrize("url", WRITTEN_WRONG)
def test_a_password_that_was_written_wrong_is_nowhere_to_be_seen(url: str) -> None:
    for open_it in (open_location, open_store):
        with pytest.raises(ConfigurationError) as caught:
            open_it(url)
        told = "".join(traceback.format_exception(caught.value))
        assert "cret" not in told.replace(url, "")  # the test itself is in the traceback
    assert "cret" not in without_password(url)


@pytest.mark.parametrize("ask", [lambda store: store.jobs(), lambda store: store.find("books")])
def test_a_reader_that_cannot_connect_keeps_the_password_to_itself(
    ask: Callable[[Reports], object],
) -> None:
    store = open_store("postgresql://me:s%65cret@127.0.0.1:1/crawls?sslpassword=hidden")
    with pytest.raises(StoreUnavailableError) as caught:
        ask(store)
    told = "".join(traceback.format_exception(caught.value))
    assert "secret" not in told
    assert "s%65cret" not in told
    assert "hidden" not in told
    assert "s%65cret" not in store.location
    assert "hidden" not in store.location


def test_settings_that_are_printed_are_without_the_password() -> None:
    settings = Settings({"RESUME_STORE": "postgresql://me:secret@127.0.0.1/crawls"})
    assert "secret" not in repr(parse_settings(settings))
