"""A launch that somebody else has written into the store starts nothing of theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.run.launch import Launch, launch_from
from scrapy_resume.run.recorded_launch import Surroundings, doubts


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / ".scrapy" / "resume").mkdir(parents=True)
    (folder / "books.py").write_text("class Books(Spider):\n    name = 'books'\n")
    (folder / "setup.py").write_text("import os\nos.remove('everything')\nname = 'books'\n")
    (folder / "old.csv").write_text("precious")
    (folder / "begun.csv").write_text("a")
    return folder


@pytest.fixture
def around(place: Path) -> Surroundings:
    return Surroundings(
        directory=place,
        roots=[place],
        store=place / ".scrapy" / "resume",
        packages=("shop",),
        is_own_feed=lambda path: path.name == "begun.csv",
    )


def doubted(around: Surroundings, given: tuple[str, ...] = (), **fields: Any) -> list[str]:
    launch = launch_from({"command": "crawl", "directory": str(around.directory), **fields})
    return list(doubts(launch, "books", given, around))


HARMLESS = {
    "DOWNLOAD_DELAY": "0.5",
    "CONCURRENT_REQUESTS": 1,
    "ROBOTSTXT_OBEY": "False",
    "LOG_LEVEL": "INFO",
    "FEED_EXPORT_ENCODING": "utf-8",
    "USER_AGENT": "Mozilla/5.0 (https://shop.example; a.b.c)",
    "RETRY_HTTP_CODES": [500, 502],
    "ADDONS": {"scrapy_resume.Addon": 500},
    "EXTENSIONS": '{"shop.extensions.Told": 1, "scrapy.extensions.telnet.TelnetConsole": null}',
    "ITEM_PIPELINES": {"scrapy.pipelines.files.FilesPipeline": 1},
    "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
    "TWISTED_REACTOR": "twisted.internet.selectreactor.SelectReactor",
    "RESUME_ITEM_KEY": "url",
    "LOG_FILE": "crawl.log",
    "FILES_STORE": "files",
    "FEEDS": {
        "sqlite:///shop.db#books": {"format": "sql"},
        "new.csv": {"format": "csv"},
        "begun.csv": {"format": "csv", "overwrite": True},
    },
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_names_no_foreign_code_or_file_is_taken_as_recorded(
    around: Surroundings, name: str
) -> None:
    assert doubted(around, settings={name: HARMLESS[name]}) == []


HOSTILE: list[tuple[str, Any]] = [
    ("SPIDER_MODULES", "antigravity"),
    ("SPIDER_MODULES", ["os.path"]),
    ("COMMANDS_MODULE", "antigravity"),
    ("ADDONS", {"pydoc.pipepager": 1}),
    ("EXTENSIONS", '{"subprocess.Popen": 1}'),
    ("EXTENSIONS", '{"scrapy.utils.misc.load_object": 1}'),
    ("EXTENSIONS", {"shopping.extensions.X": 1}),
    ("EXTENSIONS", '{"scrapy.extensions.'),
    ("ITEM_PIPELINES", {"scrapy.pipelines.files.os": 1}),
    ("STATS_CLASS", "evil.Stats"),
    ("TWISTED_REACTOR", "evil.Reactor"),
    ("RESUME_TRUSTED", "pydoc"),
    ("RESUME_CODECS", {"shop.X": "pydoc.pipepager"}),
    ("RESUME_ITEM_KEY", "antigravity.fly"),
    ("EDITOR", "rm"),
    ("JOBDIR", "jobs"),
    ("MY_OWN_CLASS_PATH", "evil.Thing"),
    ("MY_OWN", "evil.Thing"),
    ("MY_PROXY", "http://evil.example"),
    ("HTTP_PROXY", "//evil"),
    ("TELNETCONSOLE_HOST", "0.0.0.0"),
    ("PLAYWRIGHT_LAUNCH_OPTIONS", {"executable_path": "/tmp/evil"}),
    ("LOG_FILE", "/etc/evil.log"),
    ("LOG_FILE", "../evil.log"),
    ("LOG_FILE", "books.py"),
    ("LOG_FILE", ".scrapy/resume/a.log"),
    ("HTTPCACHE_DIR", "/tmp"),
    ("HTTPCACHE_DIR", ".scrapy/resume/cache"),
    ("FILES_STORE", "s3://evil/"),
    ("FEEDS", {"sqlite:////etc/evil.db#t": {"format": "sql"}}),
    ("FEEDS", {"sqlite:///../evil.db#t": {"format": "sql"}}),
    ("FEEDS", {"sqlite:///books.py#t": {"format": "sql"}}),
    ("FEEDS", {"sqlite:///shop.db#scrapy_resume_row": {"format": "sql"}}),
    ("FEEDS", {"postgresql://host/db#t": {"format": "sql"}}),
    ("FEEDS", {"/etc/cron.d/evil.csv": {"format": "csv"}}),
    ("FEEDS", {"../evil.csv": {"format": "csv"}}),
    ("FEEDS", {"file:///etc/evil.csv": {"format": "csv"}}),
    ("FEEDS", {"books.py": {"format": "csv", "overwrite": True}}),
    ("FEEDS", {"sitecustomize.py": {"format": "csv"}}),
    ("FEEDS", {".bashrc": {"format": "csv"}}),
    ("FEEDS", {"old.csv": {"format": "csv", "overwrite": True}}),
    ("FEEDS", {"s3://evil/a.csv": {"format": "csv"}}),
    ("FEEDS", {"ftp://evil/a.csv": {"format": "csv"}}),
    ("FEEDS", {"new.csv": {"format": "csv", "item_filter": "subprocess.Popen"}}),
    ("FEEDS", {"new.csv": {"format": "csv", "postprocessing": ["evil.Plugin"]}}),
    ("FEEDS", {"new.csv": {"format": "csv", "uri_params": "os.system"}}),
    ("FEEDS", {"new.csv": {"format": "csv", "item_classes": ["evil.X"]}}),
    ("FEEDS", {"new.csv": "csv"}),
    ("FEEDS", "new.csv"),
    ("HTTPCACHE_DIR=/tmp/evil", "w"),
    ("--pidfile", "w"),
    ("LOG_LEVEL", "IN\0FO"),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE, ids=lambda part: str(part)[:40])
def test_what_names_foreign_code_or_files_has_to_be_given_again(
    around: Surroundings, name: str, value: Any
) -> None:
    (doubt,) = doubted(around, settings={name: value, "DOWNLOAD_DELAY": "1"})
    assert doubt.startswith(f"-s {name}=")
    assert doubted(around, (name,), settings={name: value}) == []


@pytest.mark.parametrize("name", ["--pidfile", "-x", "a=b", "", "a b"])
def test_an_argument_is_no_option(around: Surroundings, name: str) -> None:
    assert len(doubted(around, arguments={name: "1", "url": "http://a.com/?b=c"})) == 1


def test_only_a_file_that_defines_the_spider_is_run(around: Surroundings, place: Path) -> None:
    def run(file: object, directory: object = place) -> list[str]:
        fields = {"file": str(file), "directory": str(directory)}
        return doubted(around, **{"command": "runspider", **fields})

    assert run(place / "books.py") == []
    assert run(place / "setup.py") == [f"runspider {place / 'setup.py'}"]
    assert run("/usr/lib/python3/antigravity.py") == ["runspider /usr/lib/python3/antigravity.py"]
    outside = place.parent / "books.py"
    outside.write_bytes((place / "books.py").read_bytes())
    assert run(outside) == [f"runspider {outside}"]
    inside = place / ".scrapy" / "resume" / "books.py"
    inside.write_bytes((place / "books.py").read_bytes())
    assert run(inside) == [f"runspider {inside}"]
    link = place / "link.py"
    link.symlink_to(outside)
    assert run(link) == [f"runspider {link}"]
    assert run(place / "books.py", "/tmp") == ["cd /tmp"]
    (place / "books.py").chmod(0o666)
    assert run(place / "books.py") == [f"runspider {place / 'books.py'}"]


def test_what_is_never_recorded_is_not_taken() -> None:
    settings = {"RESUME_FORCE": "True", "RESUME_STORE": "/x", "API_KEY": "x", "A": "1"}
    launch = launch_from({"command": "crawl", "settings": settings, "arguments": {"token": "x"}})
    assert launch.settings == {"A": "1"}
    assert launch.withheld_settings == ("API_KEY",)
    assert launch.withheld_arguments == ("token",)


@pytest.mark.parametrize(
    "fields",
    [
        {"command": "shell"},
        {"command": "-c"},
        {"command": ["crawl"]},
        {"command": "crawl", "settings": ["a"]},
        {"command": "crawl", "arguments": "a"},
        {"command": "crawl", "directory": 3},
        {"command": "runspider", "file": {"a": 1}},
        {"command": "crawl", "withheld_settings": [1]},
    ],
    ids=json.dumps,
)
def test_a_launch_of_another_form_is_damage(fields: dict[str, Any]) -> None:
    with pytest.raises(StoreDamagedError):
        launch_from(fields)


def test_a_recorded_launch_comes_back_whole() -> None:
    recorded = {
        "command": "crawl",
        "project": "/a",
        "settings_module": "shop.settings",
        "directory": "/a",
        "arguments": {"a": "1"},
        "settings": {"LOG_LEVEL": "INFO"},
        "withheld_settings": ["KEY"],
        "newer": 1,
    }
    launch = launch_from(recorded)
    assert launch == Launch(
        command="crawl",
        project="/a",
        settings_module="shop.settings",
        directory="/a",
        arguments={"a": "1"},
        settings={"LOG_LEVEL": "INFO"},
        withheld_settings=("KEY",),
    )
