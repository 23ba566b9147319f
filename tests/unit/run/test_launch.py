"""How a crawl was started is kept, without credentials, and gives the same crawl again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scrapy.settings import Settings

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.run.launch import (
    LONGEST_VALUE,
    Launch,
    directory_of,
    given_settings,
    launch_from,
    launch_of,
    visible,
    words_of,
)

SECRETS = [
    ("password", "x"),
    ("db_password", "x"),
    ("FTP_PASSWORD", "x"),
    ("AWS_SECRET_ACCESS_KEY", "x"),
    ("AWS_ACCESS_KEY_ID", "x"),
    ("token", "x"),
    ("api_key", "x"),
    ("APIKEY", "x"),
    ("pass", "x"),
    ("proxy", "http://user:geheim@proxy:8080"),
    ("feeds", {"ftp://user:geheim@host/a.csv": {"format": "csv"}}),
    ("dsn", "host=a password=geheim"),
]
HARMLESS = [
    ("author", "x"),
    ("passenger", "x"),
    ("keyword", "x"),
    ("RESUME_ITEM_KEY", "id"),
    ("compass", "x"),
    ("url", "http://host:80/a@b"),
    ("url", "http://user@host/"),
]


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_what_looks_like_a_credential_is_not_kept(name: str, value: object) -> None:
    assert visible({name: value, "page": "1"}) == {name: "***", "page": "1"}


@pytest.mark.parametrize(("name", "value"), HARMLESS)
def test_what_does_not_is_kept(name: str, value: object) -> None:
    assert visible({name: value}) == {name: value}


class Crawling:
    """A crawler, as far as it matters."""

    class spidercls:
        __module__ = __name__

    def __init__(self, **settings: object) -> None:
        self.settings = Settings()
        self.settings.setdict(settings, priority="cmdline")


def test_settings_of_the_command_line_are_kept_and_no_others() -> None:
    crawler = Crawling(
        DOWNLOAD_DELAY="2",
        FEEDS={"a.csv": {"format": "csv", "overwrite": True}},
        FTP_PASSWORD="geheim",
        LONG="x" * (LONGEST_VALUE + 1),
        CLASS=Crawling,
        RESUME_JOB="books",
        RESUME_STORE="postgresql://u:geheim@h/d",
        RESUME_MODE="fresh",
    )
    crawler.settings.set("BOT_NAME", "shop", priority="project")
    kept = launch_of(crawler, {"page": "1", "password": "geheim"})  # type: ignore[arg-type]
    assert "geheim" not in json.dumps(kept)
    launch = launch_from(json.loads(json.dumps(kept)))
    assert launch.settings == {
        "DOWNLOAD_DELAY": "2",
        "FEEDS": {"a.csv": {"format": "csv", "overwrite": True}},
    }
    assert sorted(launch.withheld_settings) == ["CLASS", "FTP_PASSWORD", "LONG"]
    assert launch.withheld_arguments == ("password",)
    assert launch.arguments == {"page": "1"}
    assert launch.command == "", "it is no command of Scrapy's that runs here"
    assert given_settings(crawler.settings).keys().isdisjoint({"RESUME_JOB", "BOT_NAME"})


def test_the_same_crawl_is_started_again() -> None:
    launch = Launch(
        command="crawl",
        arguments={"q": "a", "page": "1"},
        settings={"DOWNLOAD_DELAY": "2", "FEEDS": {"a b.csv": {}}, "NONE": None, "NO": False},
    )
    words = words_of(launch, "books", {"q": "a=b c"}, {"DOWNLOAD_DELAY": 0})
    assert words == [
        "crawl", "books", "-a", "q=a=b c", "-a", "page=1", "-s", "DOWNLOAD_DELAY=0", "-s",
        'FEEDS={"a b.csv": {}}', "-s", "NONE=None", "-s", "NO=False",
    ]  # fmt: skip


def test_what_was_not_kept_has_to_be_given() -> None:
    launch = Launch(command="crawl", withheld_arguments=("token",), withheld_settings=("KEY",))
    with pytest.raises(ConfigurationError, match="-a token=… -s KEY=…"):
        words_of(launch, "books", {}, {})
    assert words_of(launch, "books", {"token": "t"}, {"KEY": "k"})[-4:] == [
        "-a", "token=t", "-s", "KEY=k",
    ]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "new" / "shop"
    (folder / "data").mkdir(parents=True)
    (folder / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "shop.settings")
    return folder


def started_in(project: Path | str, directory: Path | str) -> Launch:
    return Launch(
        command="crawl",
        project=str(project),
        settings_module="shop.settings",
        directory=str(directory),
    )


def test_it_is_started_where_it_was(project: Path, tmp_path: Path) -> None:
    assert directory_of(started_in(project, tmp_path)) == str(tmp_path)
    assert directory_of(started_in(project, project / "data")) == str(project / "data")
    assert directory_of(started_in(project, project / "gone")) == str(project)


def test_the_directory_moves_with_the_project(project: Path) -> None:
    assert directory_of(started_in("/old/shop", "/old/shop/data")) == str(project / "data")
    assert directory_of(started_in("/old/shop", "/old/shop/gone")) == str(project)
    assert directory_of(started_in("/old/shop", "/")) == str(project)


def test_elsewhere_it_says_what_is_missing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "other.settings")
    with pytest.raises(ConfigurationError, match=r"of other\.settings: .* shop\.settings in /a"):
        directory_of(started_in("/a", "/a"))
    monkeypatch.delenv("SCRAPY_SETTINGS_MODULE")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"no project: .* shop\.settings in /a"):
        directory_of(started_in("/a", "/a"))
    with pytest.raises(ConfigurationError, match=r"/a/b\.py is not there"):
        directory_of(Launch(command="runspider", file="/a/b.py", directory="/"))
