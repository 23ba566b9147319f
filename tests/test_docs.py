from __future__ import annotations

import ast
import json
import os
import re
import sqlite3
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Thread

import pytest

from scrapy_resume import signals
from scrapy_resume.commands import SUBCOMMANDS
from scrapy_resume.events.log_files import TYPES
from scrapy_resume.settings.table import SETTINGS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "scrapy_resume"


def table_rows(name: str) -> dict[str, list[str]]:
    """The first cell of each row, without its backquotes, to the other cells."""
    rows = {}
    for line in (DOCS / name).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and (named := re.match(r"`([^`]+)`", cells[0])):
            rows[named[1]] = cells[1:]
    return rows


def sections(name: str) -> dict[str, str]:
    text = (DOCS / name).read_text(encoding="utf-8")
    parts = re.split(r"^## `([^`]+)`$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# -- settings


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_every_setting_is_documented_with_its_default(row):
    documented = table_rows("settings.md")[row.name][0]
    if row.default is not None:
        assert documented == f"`{row.default}`"
    else:
        assert documented


def test_every_documented_setting_exists():
    documented = {name for name in table_rows("settings.md") if name.startswith("RESUME_")}
    assert documented == {row.name for row in SETTINGS}


# -- commands


def test_every_subcommand_is_documented_and_no_other():
    assert tuple(sections("commands.md")) == SUBCOMMANDS


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_option_of_a_subcommand_is_documented(name):
    source = (PACKAGE / "commands" / f"{name}.py").read_text(encoding="utf-8")
    options = re.findall(r'"(--?[a-z][a-z-]*)"', source)
    assert [o for o in options if o != "--output" and o not in sections("commands.md")[name]] == []


# -- the store


def view_columns() -> dict[str, list[str]]:
    schema = files("scrapy_resume.store").joinpath("sql", "sqlite", "schema.sql")
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(schema.read_text(encoding="utf-8"))
        views = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")
        return {
            view: [name for _, name, *_ in connection.execute(f"PRAGMA table_info({view})")]
            for (view,) in views.fetchall()
        }
    finally:
        connection.close()


def test_every_view_is_documented_column_by_column():
    documented = {
        view: re.findall(r"^\| `([a-z_]+)` \|", text, flags=re.MULTILINE)
        for view, text in sections("store.md").items()
    }
    assert documented == view_columns()


# -- signals


def test_every_signal_is_documented_and_no_other():
    rows = table_rows("signals.md")
    assert list(rows) == list(signals.BY_NAME)
    assert all(signals.BY_NAME[name] is getattr(signals, name) for name in rows)


def recipe() -> str:
    """The extension that ``signals.md`` shows."""
    text = (DOCS / "signals.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return code


def test_the_webhook_posts_what_has_failed_and_how_the_job_ended(tmp_path):
    """The recipe, as it stands in the documentation, in a crawl of its own process."""
    (tmp_path / "webhook.py").write_text(recipe(), encoding="utf-8")
    (tmp_path / "spider.py").write_text(BROKEN_SPIDER, encoding="utf-8")
    with Hook() as hook:
        settings = {
            "ADDONS": '{"scrapy_resume.Addon": 500}',
            "EXTENSIONS": '{"webhook.Webhook": 500}',
            "RESUME_STORE": tmp_path / "store",
            "WEBHOOK_URL": hook.url,
        }
        words = [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]
        run = subprocess.run(
            [sys.executable, "-m", "scrapy", "runspider", "spider.py", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert run.returncode == 0, run.stderr
    assert hook.messages == [
        {"job": "broken#1", "url": "data:,page", "error": "ValueError"},
        {"job": "broken#1", "status": "completed", "reason": "finished"},
    ], run.stderr


BROKEN_SPIDER = """
import scrapy


class Broken(scrapy.Spider):
    name = "broken"
    start_urls = ["data:,page"]

    def parse(self, response):
        raise ValueError("no such page")
"""


class Hook:
    """A server that keeps the JSON that is posted to it."""

    def __enter__(self):
        messages = self.messages = []

        class Post(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                messages.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Post)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


# -- stats


def stats_in_source() -> set[str]:
    """Names in the source; a part that is filled in at run time is shown as ``*``."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for name in re.findall(r"\"(resume/[a-z_/{}.\[\]]+)\"", path.read_text(encoding="utf-8")):
            names.add(re.sub(r"\{[^}]*\}", "*", name))
    return names


def test_every_stat_is_documented_and_no_other():
    documented = {
        re.sub(r"<[^>]*>", "*", name)
        for name in table_rows("stats.md")
        if name.startswith("resume/")
    }
    assert documented == stats_in_source()


def test_every_total_is_documented():
    source = (PACKAGE / "run" / "run_log.py").read_text(encoding="utf-8")
    totals = re.search(r"totals = \{(.*?)\}", source, flags=re.DOTALL)
    assert totals is not None
    names = re.findall(r'"([a-z_]+)":', totals[1])
    text = (DOCS / "stats.md").read_text(encoding="utf-8")
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []


def test_tests_that_the_guarantee_names_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantee.md").read_text()))
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert not [name for name in sorted(named) if f"def {name}(" not in sources]


def test_each_row_of_what_works_with_it_names_a_test_or_the_date_and_version_of_its_trial() -> None:
    text = (DOCS / "works-with.md").read_text(encoding="utf-8").partition("## Tried beside it")[2]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) > 15
    for with_what, _tried, held_by in rows[1:]:
        named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", held_by)
        if named is None:
            assert re.fullmatch(r"tried in \d{4}-\d{2} with \S.* \d\S*", held_by), with_what
        else:
            assert f"def {named[2]}(" in (ROOT / named[1]).read_text(encoding="utf-8"), with_what


def house() -> str:
    """The section of CONTRIBUTING that draws the house."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text.partition("## How the house is built")[2].partition("## Adding")[0]


def test_every_package_and_top_module_has_a_place_in_the_picture_of_the_house() -> None:
    names = [
        f"{path.name}/" if path.is_dir() else path.stem
        for path in sorted(PACKAGE.iterdir())
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    ]
    picture = house().partition("### One request")[0]
    drawn = set(re.findall(r"[a-z]+/?", picture))
    assert "tracking/" in names
    assert [name for name in names if name != "__init__" and name not in drawn] == []


def functions_of(path: Path) -> set[str]:
    """The functions of a module, methods as ``Class.method``."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return found


@pytest.mark.parametrize(("heading", "length"), [("### One request", 10), ("### One item", 5)])
def test_the_way_of_a_request_names_functions_that_exist(heading: str, length: int) -> None:
    way = house().partition(heading)[2].partition("\n##")[0]
    steps = re.findall(r"^(\d+)\. ", way, flags=re.MULTILINE)
    named = re.findall(r"`([a-z_/]+\.py)`\s+`([A-Za-z_.]+)`", way)
    assert steps == [str(number) for number in range(1, length + 1)]
    assert len(named) >= len(steps)
    missing = [f"{file} {name}" for file, name in named if name not in functions_of(PACKAGE / file)]
    assert missing == []


# -- events


def test_every_type_of_event_is_documented_and_no_other():
    rows = table_rows("events.md")
    fields = ("time", "type", "job", "run", "worker")
    assert tuple(name for name in rows if name not in fields) == TYPES


# -- what the pages lead to


def test_every_command_line_of_the_readme_uses_a_subcommand_that_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = re.findall(r"^ +scrapy resume (\S+)", text, flags=re.MULTILINE)
    used += re.findall(r"`scrapy resume (\S+?)`", text)
    assert used
    assert not [name for name in used if name not in SUBCOMMANDS]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name
)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    relative = [link.partition("#")[0] for link in links if "://" not in link]
    assert not [link for link in relative if link and not (page.parent / link).is_file()]
