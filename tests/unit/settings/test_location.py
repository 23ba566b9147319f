"""What looks like a URL is one, or is refused without its password; it never is a directory."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from scrapy.settings import Settings

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.reporting.reports import open_store
from scrapy_resume.settings.location import event_directory, store_location
from scrapy_resume.settings.masking import masked_text
from scrapy_resume.settings.parse_location import parsed_location
from scrapy_resume.steering import retry
from scrapy_resume.store import open_location
from scrapy_resume.store.sqlite.store import SqliteStore

PLACES: list[Callable[[object], object]] = [
    lambda given: store_location(Settings({"RESUME_STORE": given})),
    lambda given: open_location(given),  # type: ignore[arg-type]
    lambda given: open_store(given),  # type: ignore[arg-type]
    lambda given: retry(given),  # type: ignore[arg-type]
    lambda given: event_directory(Settings({"RESUME_EVENT_LOG": given})),
]


class BytesPath:
    def __repr__(self) -> str:
        return "BytesPath()"  # in the name of a test, which is the same in each process

    def __fspath__(self) -> bytes:
        return b"postgres:s3cret@host/db"


MISTAKES = [
    "postgres:s3cret@host/db",
    "postgresql:me:s3cret@host/db",
    "postgresql:/me:s3cret@host/db",
    "postgresql//me:s3cret@host/db",
    "//me:s3cret@host/db",
    "me:s3cret@host/db",
    "me:s3c/ret@host/db",
    "postgresql+psycopg://me:s3cret@host/db",
    "jdbc:postgresql://host/db?user=me&password=s3cret",
    "host=db.example user=me password=s3cret dbname=shop",
    "dbname = shop password = 's3 s3cret' host=h",
    "password=s3 cret dbname=shop",
    "sqlite:///s3cret",
    "http://me:s3cret@host/",
    "mysql://me:s3cret@host/db",
    '"postgresql://me:s3cret@host/db"',
    "'postgresql://me:s3cret@host/db'",
    "\u201cpostgresql://me:s3cret@host/db\u201d",
    "postgresql://me:s3cret@host/db\n#",
    "postgresql://me:s3\tcret@host/db",
    "postgresql://me:s3 cret@host/db",
    "postgresql://me:s3cret@ho\u200bst/db",
    "\ufeffpostgresql://me:s3cret@host/db",
    "\u200bpostgresql://me:s3cret@host/db",
    "postgre\u200bsql://me:s3cret@host/db",
    "postgresql\uff1a//me:s3cret@host/db",
    "RESUME_STORE=postgresql://me:s3cret@host/db",
    "$PGURL",
    "${PGURL}",
    "%(pgurl)s",
    "localhost:5432/s3cret",
    " crawls",
    "crawls\n",
    "",
    "  \t",
    b"postgresql://me:s3cret@host/db",
    b"host=h password=s3cret",
    BytesPath(),
    PurePosixPath("postgresql://me:s3cret@host/db"),
    PurePosixPath("/srv/project") / "postgresql://me:s3cret@host/db",
    "/srv/project/postgres:s3cret@host/db",
    ["postgresql://me:s3cret@host/db"],
    "~nobody-of-this-name/crawls",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", MISTAKES, ids=ascii)
@pytest.mark.parametrize("place", PLACES, ids=["settings", "write", "read", "steer", "events"])
def test_a_mistaken_location_is_refused_in_one_line_without_its_password(
    given: object, place: Callable[[object], object], folder: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        place(given)
    message = str(caught.value)
    assert message.isprintable()
    if given != "sqlite:///s3cret":
        assert "cret" not in message
    assert "write " in message or "must be" in message
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (" postgresql://me:s3cret@host/db", "postgresql://me:s3cret@host/db"),
        ("postgresql://me:s3cret@host/db\n", "postgresql://me:s3cret@host/db"),
        ("POSTGRESQL://me:s3cret@Host/db", "postgresql://me:s3cret@Host/db"),
        ("Postgres:///db", "postgres:///db"),
    ],
)
def test_a_url_is_one_whatever_its_case_and_the_space_around_it(given: str, url: str) -> None:
    assert store_location(Settings({"RESUME_STORE": given})) == url
    assert open_location(given).shared


@pytest.mark.parametrize(
    "name", ["./postgres:pw@host", "../up:x@y", "./$PGURL", "./host=a password=b", "./ x"]
)
def test_an_odd_name_is_a_directory_after_a_dot(name: str, folder: Path) -> None:
    place = parsed_location(name)
    assert place == str(folder / name)
    store = open_location(place)  # as a crawl does, which has parsed its settings before
    assert isinstance(store, SqliteStore)
    assert store.directory == folder / name


def test_a_whole_path_that_exists_is_a_directory_whatever_it_looks_like(folder: Path) -> None:
    odd = folder / "postgres:pw@host"
    with pytest.raises(ConfigurationError, match="create it first"):
        parsed_location(odd)
    odd.mkdir()
    assert parsed_location(odd) == parsed_location(str(odd)) == str(odd)


@pytest.mark.parametrize(
    "name", ["crawls", "my crawls", "a/b#1", "books@home", "ü", "10:30", "a=b", "C:\\x", "50%"]
)
def test_ordinary_names_stay_directories(name: str, folder: Path) -> None:
    assert parsed_location(name) == str(folder / name)


def test_the_home_directory_is_the_same_for_readers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert parsed_location("~") == str(folder)
    assert open_store("~/crawls").location == str(folder / "crawls")


# -- passwords in what is shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:s3cret@host/a?b=c@d", "https://me:***@host/a?b=c@d"),
        ("https://me:s3@cret@host/", "https://me:***@host/"),
        ("https://me:s3/cret@host/", "https://me:***@host/"),
        ("https://:s3cret@host/", "https://:***@host/"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("invalid hostname: me:s3cret@127.0.0.1", "invalid hostname: me:***@127.0.0.1"),
        ("write to mailto:me@host, x:y", "write to mailto:me@host, x:y"),
        ("https://host/?q=a:b@c and /a:b@c", "https://host/?q=a:b@c and /a:b@c"),
        ("as postgresql://user:password@host/db", "as postgresql://user:password@host/db"),
        ("https://host/?mail=a@b.c&password=s3cret&x=1", None),
        ("https://host/?mail=a@b.c&x=1#c:d", "https://host/?mail=a@b.c&x=1#c:d"),
        ("https://host/?passengers=2&passport=no", "https://host/?passengers=2&passport=no"),
        (
            "to ftp://me:s3cret@a/ and ftp://me:cret@b/: 5@6",
            "to ftp://me:***@a/ and ftp://me:***@b/: 5@6",
        ),
    ],
)
def test_passwords_of_urls_are_masked_and_nothing_else(text: str, shown: str | None) -> None:
    shown = shown or text.replace("s3cret", "***")
    assert masked_text(text) == shown
    assert masked_text(shown) == shown


def test_our_log_lines_have_neither_passwords_nor_control_characters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("scrapy_resume")
    try:
        raise ValueError("https://me:s3cret@host/ \x1b]0;owned\x07")
    except ValueError:
        log.warning("%s failed\x1b[2J", "https://me:s3cret@host/", exc_info=True)
    assert "s3cret" not in caplog.text
    assert "\x1b" not in caplog.text
    assert r"https://me:***@host/ failed\x1b[2J" in caplog.text
    assert "Traceback" in caplog.text
