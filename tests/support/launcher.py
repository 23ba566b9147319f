"""Starts crawls by fork from a process that has imported Scrapy already.

Each crawl is a process of its own, in a process group of its own, and runs
``scrapy.cmdline``; it only skips the second that importing Scrapy takes. Tests of
start-up itself start Python anew instead.

The program reads one JSON line for each process to start, answers with its pid, waits
for it and answers with its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, TypeVar

P = TypeVar("P", bound="Program")

MODULES = [  # as far as they are installed: older Scrapys need fewer
    "scrapy.cmdline",
    "scrapy.commands.crawl",
    "scrapy.core.downloader.handlers.datauri",
    "scrapy.core.downloader.handlers.file",
    "scrapy.core.downloader.handlers.ftp",
    "scrapy.core.downloader.handlers.http11",
    "scrapy.core.downloader.handlers.s3",
    "scrapy.core.downloader.tls",
    "scrapy.core.engine",
    "scrapy.core.scheduler",
    "scrapy.crawler",
    "scrapy.extensions.feedexport",
    "scrapy.pipelines.images",
    "scrapy.spiders",
    "aiohttp",
    "attrs",
    "pydantic",
    "tldextract",
    "aiohttp.web",
    "jsonlines",
    "mmap",
    "queuelib",
    "scrapy.logformatter",
    "scrapy.pqueues",
    "scrapy.squeues",
    "scrapy.statscollectors",
    "sqlite3",
    "twisted.conch.telnet",
    "twisted.internet.asyncioreactor",
]

DEFAULTS = "scrapy.settings.default_settings"

PACKAGES = ("scrapy.commands", "scrapy_resume")
"""All their modules."""

COMPONENTS = ("DOWNLOADER_MIDDLEWARES_BASE", "EXTENSIONS_BASE", "SPIDER_MIDDLEWARES_BASE")
"""Settings that name what every crawl makes."""


class Forked:
    """A process that a launcher forked; as much of ``Popen`` as runs need."""

    def __init__(self, launcher: Launcher, pid: int) -> None:
        self.launcher = launcher
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended_within(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("forked", timeout or 0)
        return code

    def _ended_within(self, timeout: float | None) -> int | None:
        if self.returncode is None and self.launcher.has_answer(timeout):
            self.returncode = int(self.launcher.answer())
        return self.returncode


class Program:
    """A process that forks crawls as it is told to."""

    module = __name__
    """What Python runs."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        """``variables``: what this process itself has in its environment, in addition."""
        self._variables = variables or {}

    def __enter__(self: P) -> P:
        self._program = subprocess.Popen(
            [sys.executable, "-m", self.module],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, **self._variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        with self._program:
            self._program.wait(10)

    def order(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        """Have ``scrapy`` started with these words; output goes to the log."""
        log.touch()
        order = {
            "words": list(words),
            "folder": str(folder),
            "environment": dict(environment),
            "log": str(log),
        }
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps(order).encode() + b"\n")


class Launcher(Program):
    """One forked process at a time."""

    def start(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path
    ) -> Forked:
        """Starts ``scrapy`` with these words; output goes to the log."""
        self.order(words, folder, environment, log)
        return Forked(self, int(self.answer()))

    def has_answer(self, timeout: float | None) -> bool:
        assert self._program.stdout is not None
        return bool(select.select([self._program.stdout], [], [], timeout)[0])

    def answer(self) -> bytes:
        assert self._program.stdout is not None
        line: bytes = self._program.stdout.readline()
        assert line, "the launcher ended"
        return line


def become_scrapy(order: dict[str, Any]) -> NoReturn:
    """In the forked process: takes over what an own start would have given."""
    output = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    execute = importlib.import_module("scrapy.cmdline").execute
    sys.argv = ["scrapy", *order["words"]]
    code = 1
    try:
        execute()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    raise SystemExit(code)


def import_all() -> None:
    """Imports what a crawl would import, so that no forked process has to."""
    for module in MODULES:
        if find_spec(module.partition(".")[0]):
            importlib.import_module(module)
    for setting in COMPONENTS:
        for component in getattr(importlib.import_module(DEFAULTS), setting):
            importlib.import_module(component.rpartition(".")[0])
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        for found in pkgutil.walk_packages(path, f"{package}."):
            importlib.import_module(found.name)


def main() -> None:
    import_all()
    assert "twisted.internet.reactor" not in sys.modules, "a reactor was installed too early"
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            become_scrapy(json.loads(line))
        os.setpgid(pid, pid)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
