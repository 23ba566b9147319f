"""A system without POSIX locks: everything can be imported, a crawl is refused in one line."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import scrapy_resume
from tests.support.site import REPO

POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
"""Modules of the standard library that Windows lacks."""

WITHOUT_FCNTL = """
import sys
import twisted.internet.fdesc, twisted.internet.process  # these need it on this system
sys.modules["fcntl"] = None
"""

SCRAPY = WITHOUT_FCNTL + "from scrapy.cmdline import execute; execute()"


def imported(tree: ast.AST) -> Iterator[str]:
    """The first part of each module that a file imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_one_module_imports_what_only_posix_has() -> None:
    [package] = scrapy_resume.__path__
    found = {
        file.relative_to(package).as_posix()
        for file in Path(package).rglob("*.py")
        if POSIX_ONLY.intersection(imported(ast.parse(file.read_text())))
    }
    assert found == {"posix.py"}


def run(folder: Path, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(REPO / "example_project"),
        "SCRAPY_SETTINGS_MODULE": "shop.settings",
    }
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_fcntl_the_package_can_be_imported(tmp_path: Path) -> None:
    program = WITHOUT_FCNTL + (
        "import scrapy_resume, scrapy_resume.scheduler, scrapy_resume.extensions,"
        " scrapy_resume.feedexport, scrapy_resume.steering;"
        "print(scrapy_resume.Addon, scrapy_resume.item_key, scrapy_resume.open_store)"
    )
    done = run(tmp_path, program)
    assert done.returncode == 0, done.stderr


def test_without_fcntl_scrapys_own_commands_work(tmp_path: Path) -> None:
    done = run(tmp_path, SCRAPY, "list")
    assert (done.returncode, done.stdout.split()) == (0, ["books", "sitemap"]), done.stderr


@pytest.mark.parametrize("store", ["jobs", "postgresql://127.0.0.1:1/nobody"])
def test_without_fcntl_a_crawl_is_refused_in_one_line(tmp_path: Path, store: str) -> None:
    words = ["crawl", "books", "-s", f"RESUME_STORE={store}", "-O", "out.jsonl"]
    done = run(tmp_path, SCRAPY, *words)
    told = [line for line in done.stderr.splitlines() if "ERROR" in line]
    assert done.returncode == 1
    assert len(told) == 1, done.stderr
    assert "needs a POSIX system" in told[0]
    assert "use WSL" in told[0]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_fcntl_a_command_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, SCRAPY, "resume", "list")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "needs a POSIX system" in line
