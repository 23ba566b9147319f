"""How a crawl was started is recorded, without credentials."""

from __future__ import annotations

import json

import pytest
from scrapy.settings import BaseSettings, Settings

from scrapy_resume.run.launch import (
    LONGEST_VALUE,
    given_settings,
    launch_from,
    launch_of,
    masked,
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
    ("cookie", "x"),
    ("login_cookies", "x"),
    ("sessionid", "x"),
    ("session_key", "x"),
    ("Authorization", "x"),
    ("proxy", "http://user:geheim@proxy:8080"),
    ("feeds", {"ftp://user:geheim@host/a.csv": {"format": "csv"}}),
    ("dsn", "host=a password=geheim"),
    ("FEEDS", BaseSettings({"postgresql://user:geheim@host/db#t": {"format": "sql"}})),
]
HARMLESS = [
    ("author", "x"),
    ("passenger", "x"),
    ("keyword", "x"),
    ("RESUME_ITEM_KEY", "id"),
    ("compass", "x"),
    ("COOKIES_ENABLED", "False"),
    ("session", "x"),
    ("url", "http://host:80/a@b"),
    ("url", "http://user@host/"),
]


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_what_looks_like_a_credential_is_not_kept(name: str, value: object) -> None:
    assert masked({name: value, "page": "1"}) == {name: "***", "page": "1"}


@pytest.mark.parametrize(("name", "value"), HARMLESS)
def test_what_does_not_is_kept(name: str, value: object) -> None:
    assert masked({name: value}) == {name: value}


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
