"""The recorded launch of a crawl gives the command that resumes it, and its directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_resume.errors import ConfigurationError
from scrapy_resume.run.launch import Launch
from scrapy_resume.run.restart import restart_directory, scrapy_words


def test_the_same_crawl_is_started_again() -> None:
    launch = Launch(
        command="crawl",
        arguments={"q": "a", "page": "1"},
        settings={"DOWNLOAD_DELAY": "2", "FEEDS": {"a b.csv": {}}, "NONE": None, "NO": False},
    )
    words = scrapy_words(launch, "books", {"q": "a=b c"}, {"DOWNLOAD_DELAY": 0})
    assert words == [
        "crawl", "books", "-a", "q=a=b c", "-a", "page=1", "-s", "DOWNLOAD_DELAY=0", "-s",
        'FEEDS={"a b.csv": {}}', "-s", "NONE=None", "-s", "NO=False",
    ]  # fmt: skip


def test_what_was_not_kept_has_to_be_given() -> None:
    launch = Launch(command="crawl", withheld_arguments=("token",), withheld_settings=("KEY",))
    with pytest.raises(ConfigurationError, match="-a token=… -s KEY=…"):
        scrapy_words(launch, "books", {}, {})
    assert scrapy_words(launch, "books", {"token": "t"}, {"KEY": "k"})[-4:] == [
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
    assert restart_directory(started_in(project, tmp_path)) == str(tmp_path)
    assert restart_directory(started_in(project, project / "data")) == str(project / "data")
    assert restart_directory(started_in(project, project / "gone")) == str(project)


def test_the_directory_moves_with_the_project(project: Path) -> None:
    assert restart_directory(started_in("/old/shop", "/old/shop/data")) == str(project / "data")
    assert restart_directory(started_in("/old/shop", "/old/shop/gone")) == str(project)
    assert restart_directory(started_in("/old/shop", "/")) == str(project)


def test_elsewhere_it_says_what_is_missing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRAPY_SETTINGS_MODULE", "other.settings")
    with pytest.raises(ConfigurationError, match=r"of other\.settings: .* shop\.settings in /a"):
        restart_directory(started_in("/a", "/a"))
    monkeypatch.delenv("SCRAPY_SETTINGS_MODULE")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"not a project: .* shop\.settings in /a"):
        restart_directory(started_in("/a", "/a"))
    with pytest.raises(ConfigurationError, match=r"/a/b\.py is not there"):
        restart_directory(Launch(command="runspider", file="/a/b.py", directory="/"))
