"""What RESUME_STORE may name, and what is said of what it may not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scrapy_resume.errors import ConfigurationError, StoreUnavailableError
from scrapy_resume.model import JobKey
from scrapy_resume.store import open_location
from scrapy_resume.store.sqlite import SqliteStore

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
    with pytest.raises(ConfigurationError, match="postgresql://user@host"):
        open_location("postgresql://host/db?no_such_parameter=1")


def test_a_missing_driver_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("scrapy_resume.store.postgres")]:
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
