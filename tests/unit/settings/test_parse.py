from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import scrapy
from scrapy import Spider
from scrapy.settings import Settings

from scrapy_resume.errors import ConfigurationError, InputChangedError
from scrapy_resume.model import SkipRule
from scrapy_resume.settings.input_files import hash_inputs
from scrapy_resume.settings.job_name import job_name
from scrapy_resume.settings.location import store_location
from scrapy_resume.settings.masking import without_password
from scrapy_resume.settings.parse import ResumeSettings, parse_settings, with_spider
from scrapy_resume.settings.table import SETTINGS


@pytest.fixture(autouse=True)
def _outside_any_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def parsed(**values: object) -> ResumeSettings:
    return parse_settings(Settings(values))


def refusal(**values: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parsed(**values)
    return str(caught.value)


def test_without_any_setting_the_defaults_hold():
    settings = parsed()
    assert settings.enabled is True
    assert settings.mode == "auto"
    assert settings.start == "always"
    assert settings.commit_interval_seconds == 0.1
    assert settings.ignored_http_codes == {404, 410}
    assert settings.input_files == ()
    assert settings.item_key is None
    assert settings.job is None
    assert settings.event_log is False
    assert settings.event_directory == str(Path(settings.store) / "events")


def test_every_row_of_the_table_is_a_field_and_every_field_is_in_the_table():
    fields = [field.name for field in dataclasses.fields(ResumeSettings)]
    assert [row.field for row in SETTINGS] + ["event_directory"] == fields


def test_settings_cannot_be_changed():
    settings = parsed(RESUME_METADATA={"a": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.mode = "fresh"  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.metadata["a"] = 2  # type: ignore[index]


def test_none_is_the_same_as_leaving_a_setting_out():
    assert parsed(**{row.name: None for row in SETTINGS}) == parsed()


@pytest.mark.parametrize(
    ("name", "given", "field", "expected"),
    [
        ("RESUME_ENABLED", "0", "enabled", False),
        ("RESUME_ENABLED", "true", "enabled", True),
        ("RESUME_FORCE", "1", "force", True),
        ("RESUME_JOB", "../books #1", "job", "../books #1"),
        ("RESUME_MODE", "fresh", "mode", "fresh"),
        ("RESUME_MODE", "delta", "mode", "delta"),
        ("RESUME_ORDER", "bfo", "order", "bfo"),
        ("RESUME_INPUT_FILES", "a.csv, b.csv", "input_files", ("a.csv", "b.csv")),
        ("RESUME_INPUT_FILES", Path("a.csv"), "input_files", ("a.csv",)),
        ("RESUME_INPUT_FILES", [Path("a.csv"), "b,c"], "input_files", ("a.csv", "b,c")),
        ("RESUME_COMMIT_INTERVAL", "0.5", "commit_interval_seconds", 0.5),
        ("RESUME_CRASH_LIMIT", "4", "crash_limit", 4),
        ("RESUME_CRASH_LIMIT", 4.0, "crash_limit", 4),
        ("RESUME_KEEP", 0, "keep", 0),
        ("RESUME_IGNORED_HTTP_CODES", "403,404", "ignored_http_codes", {403, 404}),
        ("RESUME_IGNORED_HTTP_CODES", "[403, 404]", "ignored_http_codes", {403, 404}),
        ("RESUME_IGNORED_HTTP_CODES", [], "ignored_http_codes", set()),
        ("RESUME_CODECS", '{"a.B": "c.D"}', "codecs", {"a.B": "c.D"}),
        ("RESUME_METADATA", '{"ticket": 7}', "metadata", {"ticket": 7}),
        ("RESUME_METADATA", {"tags": ("a", "b")}, "metadata", {"tags": ["a", "b"]}),
        ("RESUME_EVENT_LOG", "True", "event_log", True),
        ("RESUME_EVENT_LOG", Path("/logs"), "event_log", "/logs"),
        (
            "RESUME_SKIP",
            "*/a/*, unit:Paris*",
            "skip",
            (SkipRule(url="*/a/*"), SkipRule(unit="Paris*")),
        ),
        ("RESUME_SKIP", '["*?a=1,2"]', "skip", (SkipRule(url="*?a=1,2"),)),
        ("RESUME_SKIP", ("*/b", "*/b"), "skip", (SkipRule(url="*/b"),)),
        ("RESUME_SKIP", ["http*//a/*"], "skip", (SkipRule(url="http*//a/*"),)),
        ("RESUME_SKIP", ["HTTP://a/"], "skip", (SkipRule(url="HTTP://a/"),)),
        (
            "RESUME_SKIP",
            ["data:,a", "d?ta:*"],
            "skip",
            (SkipRule(url="data:,a"), SkipRule(url="d?ta:*")),
        ),
        ("RESUME_RETRY_ROUNDS", "3", "retry_rounds", 3),
    ],
)
def test_text_from_the_command_line_and_python_values_are_understood(name, given, field, expected):
    assert getattr(parsed(**{name: given}), field) == expected


@pytest.mark.parametrize(
    ("name", "given", "allowed"),
    [
        ("RESUME_ENABLED", "perhaps", "True or False"),
        ("RESUME_ENABLED", 2, "True or False"),
        ("RESUME_STORE", 7, "a directory or a postgresql:// URL"),
        ("RESUME_STORE", " ", "a directory or a postgresql:// URL"),
        ("RESUME_JOB", "", "non-empty text"),
        ("RESUME_MODE", "restart", "'auto', 'fresh', 'resume', 'once', 'retry-failed', 'delta'"),
        ("RESUME_START", "never", "'always', 'once'"),
        ("RESUME_ORDER", "random", "'dfo', 'bfo'"),
        ("RESUME_INPUT_FILES", 3, "a path or a list of paths"),
        ("RESUME_INPUT_FILES", [3], "a path or a list of paths"),
        ("RESUME_INPUT_FILES", {"a": 1}, "a path or a list of paths"),
        ("RESUME_ON_INPUT_CHANGE", "ask", "'refuse', 'warn', 'fresh'"),
        ("RESUME_COMMIT_INTERVAL", 0, "a number from 0.001 to 60"),
        ("RESUME_COMMIT_INTERVAL", "soon", "a number from 0.001 to 60"),
        ("RESUME_COMMIT_INTERVAL", "nan", "a number from 0.001 to 60"),
        ("RESUME_COMMIT_INTERVAL", True, "a number from 0.001 to 60"),
        ("RESUME_DURABILITY", "max", "'normal', 'full'"),
        ("RESUME_RETRY_DELAY", -1, "a number of 0 or more"),
        ("RESUME_RETRY_DELAY_MAX", "inf", "a number of 0 or more"),
        ("RESUME_SKIP", {"url": "*"}, "a list of globs of URLs, or unit:GLOB"),
        ("RESUME_SKIP", ["unit:"], "a list of globs of URLs, or unit:GLOB"),
        ("RESUME_SKIP", [3], "a list of globs of URLs, or unit:GLOB"),
        ("RESUME_SKIP", "Paris", "'Paris' can match no URL"),
        ("RESUME_SKIP", "*/a/*, /private/*", "'/private/*' can match no URL"),
        ("RESUME_SKIP", ["shop.example/a"], "'shop.example/a' can match no URL"),
        ("RESUME_RETRY_ROUNDS", -1, "a whole number of 0 or more"),
        ("RESUME_CRASH_LIMIT", 0, "a whole number of 1 or more"),
        ("RESUME_CRASH_LIMIT", 1.5, "a whole number of 1 or more"),
        ("RESUME_CRASH_LIMIT", [], "a whole number of 1 or more"),
        ("RESUME_IGNORED_HTTP_CODES", [4040], "HTTP status codes from 100 to 599"),
        ("RESUME_IGNORED_HTTP_CODES", "[4", "HTTP status codes"),
        ("RESUME_IGNORED_HTTP_CODES", 404, "HTTP status codes"),
        ("RESUME_CODECS", "a.B", "a dict of type path"),
        ("RESUME_CODECS", ["a.B"], "a dict of type path"),
        ("RESUME_METADATA", "ticket", "a dict with text keys"),
        ("RESUME_METADATA", {"when": object()}, "a dict with text keys"),
        ("RESUME_METADATA", {"share": float("nan")}, "a dict with text keys"),
        ("RESUME_METADATA", {1: 2}, "a dict with text keys"),
        ("RESUME_HOSTS", "none", "'exclusive', 'shared'"),
        ("RESUME_PROGRESS_EVERY", 0, "a whole number of 1 or more"),
        ("RESUME_EVENT_LOG", "", "True, False or a directory"),
        ("RESUME_ITEM_KEY", 5, "a field, a list of fields"),
        ("RESUME_ITEM_KEY", [], "a field, a list of fields"),
        ("RESUME_ITEM_KEY", "no_such_module.key", "cannot be loaded"),
        ("RESUME_ITEM_KEY", "json.no_such_function", "cannot be loaded"),
        ("RESUME_ITEM_KEY", "string.digits", "cannot be called"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_the_value_and_what_is_allowed(name, given, allowed):
    message = refusal(**{name: given})
    assert message.startswith(name)
    assert repr(given) in message
    assert allowed in message
    assert "remove it" in message


def test_a_mistyped_name_is_refused_with_the_nearest():
    assert "did you mean RESUME_COMMIT_INTERVAL?" in refusal(RESUME_COMIT_INTERVAL=1)
    assert "RESUME_ZZZ" in refusal(RESUME_ZZZ=1)


def test_jobdir_beside_it_is_refused_and_the_message_says_what_to_remove():
    assert "Remove JOBDIR" in refusal(JOBDIR="crawls/1")


def test_jobdir_is_nobody_s_business_when_the_package_is_switched_off():
    assert parsed(JOBDIR="crawls/1", RESUME_ENABLED=False).enabled is False


def test_a_spider_adds_to_input_files_and_metadata():
    spider = Spider("books", resume_input_files=["b.csv", "a.csv"], resume_metadata={"ticket": 7})
    settings = parsed(RESUME_INPUT_FILES=["a.csv"], RESUME_METADATA={"ticket": 1, "team": "x"})
    merged = with_spider(settings, spider)
    assert merged.input_files == ("a.csv", "b.csv")
    assert merged.metadata == {"ticket": 7, "team": "x"}
    assert with_spider(settings, Spider("plain")) == settings


def test_a_spider_s_wrong_attribute_is_refused_by_name():
    class Books(Spider):
        name = "books"
        resume_metadata = 5

    with pytest.raises(ConfigurationError, match=r"^Books\.resume_metadata is 5, but"):
        with_spider(parsed(), Books())


# -- where the store is


def test_outside_a_project_the_store_is_in_the_working_directory(tmp_path):
    assert store_location(Settings()) == str(tmp_path / ".scrapy" / "resume")
    assert os.listdir(tmp_path) == []


def test_in_a_project_the_store_is_beside_scrapy_cfg_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = not_importable.settings\n")
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    assert store_location(Settings()) == str(tmp_path / ".scrapy" / "resume")
    assert sorted(os.listdir(tmp_path)) == ["scrapy.cfg", "shop"]


def test_a_project_s_own_data_directory_is_obeyed(tmp_path):
    (tmp_path / "scrapy.cfg").write_text(f"[datadir]\ndefault = {tmp_path}/elsewhere\n")
    assert store_location(Settings()) == str(tmp_path / "elsewhere" / "resume")


@pytest.mark.parametrize("given", ["crawls", Path("crawls")])
def test_a_relative_store_is_relative_to_the_working_directory(tmp_path, given):
    assert store_location(Settings({"RESUME_STORE": given})) == str(tmp_path / "crawls")


def test_home_is_expanded(tmp_path):
    assert store_location(Settings({"RESUME_STORE": "~/crawls"})) == str(tmp_path / "crawls")


@pytest.mark.parametrize("url", ["postgresql://me@host/db", "postgres://host/db?sslmode=require"])
def test_the_url_of_a_database_passes_as_it_is(url):
    assert store_location(Settings({"RESUME_STORE": url})) == url


def test_other_urls_are_refused():
    assert "'redis://'" in refusal(RESUME_STORE="redis://host")
    assert "'sqlite://'" in refusal(RESUME_STORE="sqlite:///crawls.db")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/crawls/a:b@c", "/crawls/a:b@c"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql://me:s3:cret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?password=s3cret&x=1", "postgresql://host/db?password=***&x=1"),
    ],
)
def test_a_password_in_a_location_is_not_shown(location, shown):
    assert without_password(location) == shown


def test_a_password_does_not_get_into_messages():
    message = refusal(JOBDIR="x", RESUME_STORE="postgresql://me:s3cret@host/db")
    assert "s3cret" not in message


# -- the job's name


def test_a_spider_without_arguments_names_its_job():
    assert job_name("books", {}, None) == "books"


def test_arguments_are_part_of_the_name():
    name = job_name("books", {"category": "poetry"}, None)
    assert re.fullmatch(r"books-[0-9a-f]{8}", name)
    assert name != job_name("books", {"category": "travel"}, None)
    assert name != job_name("books", {"category": "po\udce9sie"}, None)  # a byte that is not UTF-8


def test_the_order_of_arguments_does_not_count():
    assert job_name("books", {"a": "1", "b": "2"}, None) == job_name(
        "books", {"b": "2", "a": "1"}, None
    )


def test_arguments_that_begin_with_an_underscore_do_not_count():
    assert job_name("books", {"_job": "8f2"}, None) == "books"
    assert job_name("books", {"_job": "8f2", "a": "1"}, None) == job_name("books", {"a": "1"}, None)


def test_an_explicit_name_wins():
    assert job_name("books", {"a": "1"}, "nightly") == "nightly"


def test_the_name_is_the_same_in_every_process():
    program = (
        "from scrapy_resume.settings.job_name import job_name;"
        "print(job_name('books', {'tags': {'x', 'y', 'z'}, 'q': 'ü'}, None))"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(names) == 1


def test_values_from_a_program_are_part_of_the_name_if_they_always_look_the_same():
    assert job_name("books", {"since": datetime.date(2024, 1, 1)}, None) == job_name(
        "books", {"since": datetime.date(2024, 1, 1)}, None
    )
    with pytest.raises(ConfigurationError, match="RESUME_JOB"):
        job_name("books", {"prices": {1: "a", "b": 2}}, None)


def test_objects_that_no_other_process_can_know_do_not_count():
    assert job_name("books", {"session": object()}, None) == "books"
    assert job_name("books", {"hooks": [print, lambda: 1]}, None) == "books"
    with_text = job_name("books", {"q": "a function at 0x10"}, None)
    assert with_text not in {"books", job_name("books", {"q": "a function at 0x11"}, None)}
    assert job_name("books", {"q": "x", "db": object()}, None) == job_name(
        "books", {"q": "x"}, None
    )


# -- the item key


@attrs.define
class Book:
    isbn: str
    shop: int = 0


def test_a_field_is_the_key():
    key = parsed(RESUME_ITEM_KEY="isbn").item_key
    assert key is not None
    assert key({"isbn": "978"}) == "978"
    assert key(Book("978")) == "978"
    assert key({"isbn": 978}) == "978"


def test_an_item_without_the_field_stands_for_itself():
    key = parsed(RESUME_ITEM_KEY="isbn").item_key
    assert key is not None
    assert key({}) is None
    assert key({"isbn": ""}) is None
    assert key({"isbn": None}) is None


class Volume(scrapy.Item):
    isbn = scrapy.Field()
    title = scrapy.Field()


def test_a_field_that_the_first_item_of_a_type_lacks_is_said(caplog):
    key = parsed(RESUME_ITEM_KEY="isbn,shpo").item_key
    key({"isbn": "1"})
    key({"isbn": "2", "shop": 3})
    key(Book("978"))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, "at the first of each type"
    assert "names 'shpo', and the first dict has no such field (it has 'isbn')" in said[0]
    assert "the first Book has no such field (it has 'isbn', 'shop')" in said[1]


def test_a_field_that_is_declared_and_empty_is_no_typo(caplog):
    key = parsed(RESUME_ITEM_KEY="isbn").item_key
    assert key(Volume(title="Emma")) is None
    assert key({"isbn": None}) is None
    assert caplog.records == []


@pytest.mark.parametrize("given", [["isbn", "shop"], "isbn,shop", '["isbn", "shop"]'])
def test_several_fields_are_the_key_together(given):
    key = parsed(RESUME_ITEM_KEY=given).item_key
    assert key is not None
    assert key(Book("978", 1)) == key({"shop": 1, "isbn": "978"})
    assert key(Book("978", 1)) != key(Book("978", 2))
    assert key({"isbn": "978"}) == json.dumps(["978", None])
    assert key({}) is None


def length_as_key(item):
    return len(item)


@pytest.mark.parametrize("given", [length_as_key, f"{__name__}.length_as_key", "builtins.len"])
def test_a_function_gives_the_key(given):
    key = parsed(RESUME_ITEM_KEY=given).item_key
    assert key is not None
    assert key({"a": 1, "b": 2}) == "2"


# -- input files


def test_input_files_are_hashed(tmp_path):
    (tmp_path / "seeds.txt").write_bytes(b"abc")
    assert hash_inputs(["seeds.txt"]) == {
        "seeds.txt": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    }


def test_a_missing_input_file_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ConfigurationError, match=r"seeds\.txt.*RESUME_INPUT_FILES"):
        hash_inputs(["seeds.txt"])
    with pytest.raises(ConfigurationError, match="directory"):
        hash_inputs([str(tmp_path)])


def test_an_input_file_that_went_missing_since_the_job_began_is_a_change():
    with pytest.raises(InputChangedError, match="RESUME_MODE=fresh"):
        hash_inputs(["seeds.txt"], recorded={"seeds.txt": "00"})


def test_backups_beside_a_database_are_its_operators_business():
    said = refusal(RESUME_BACKUP=300, RESUME_STORE="postgresql://me:s3cret@host/db")
    assert "pg_dump" in said
    assert "s3cret" not in said
    assert parsed(RESUME_BACKUP=0, RESUME_STORE="postgresql://me@host/db").backup_seconds == 0
    assert parsed(RESUME_BACKUP="300").backup_seconds == 300
    assert "a number of 0 or more" in refusal(RESUME_BACKUP=-1)
