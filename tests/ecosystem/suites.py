"""Runs the suite of another package, from its sdist, with the add-on switched on and without."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_path

from tests.support.site import REPO

SWITCHED_ON = Path(__file__).parent / "switched_on"
SDISTS = REPO / ".cache" / "sdists"
"""``make clean`` removes it."""
LEFT_OUT = ("PYTEST_", "PYTHONDONTWRITEBYTECODE")
"""Variables that a trial does not get. Without bytecode each program that a suite starts
compiles the package: half a second of CPU, of the 2 or 15 s that it has."""


@dataclass(frozen=True)
class Suite:
    """The suite of a package, in the release that is installed."""

    package: str
    options: tuple[str, ...] = ()
    mode: str = "on"
    """``on``: the add-on is among the add-ons of every crawler. ``every``: crawlers that get their
    settings before they crawl are jobs as well. ``off``: plain Scrapy."""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """What became of each test, by its node id; crawlers that had the add-on, and their jobs."""

    outcomes: dict[str, str]
    crawlers: int
    jobs: int
    log: str

    def ended(self, outcome: str) -> set[str]:
        return {test for test, ended in self.outcomes.items() if ended == outcome}


@dataclass(frozen=True)
class Comparison:
    """Tests that pass without the add-on and don't with it, and what they are a part of."""

    lost: set[str]
    passed: int
    crawlers: int
    jobs: int
    log: str


@cache
def source_of(package: str) -> Path:
    """The unpacked sdist of the release of a package that is installed, downloaded once."""
    name = f"{package.replace('-', '_')}-{version(package)}"
    folder = SDISTS / name
    if not folder.exists():
        words = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package]
        release = f"{package}=={version(package)}"
        subprocess.run([sys.executable, *words, "-d", str(SDISTS), release], check=True)
        with tarfile.open(SDISTS / f"{name}.tar.gz") as archive:
            archive.extractall(SDISTS, filter="data")
    assert (folder / "tests").is_dir(), f"the sdist of {package} has no tests"
    return folder


def run(suite: Suite, tests: Iterable[str], mode: str, scratch: Path) -> Trial:
    """Run these tests of a suite. Raises ``AssertionError`` if pytest itself fails."""
    scratch.mkdir()
    _install_switch()
    outcomes = scratch / "outcomes.json"
    programs = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([programs, os.environ["PATH"]]),
        "TRIAL_OUTCOMES": str(outcomes),
        **suite.environment,
    }
    if mode != "off":
        environment |= {"RESUME_TRIAL": mode, "RESUME_TRIAL_STORES": str(scratch)}
    words = ["-m", "pytest", "-q", "-p", "outcomes", "-p", "no:cacheprovider", *suite.options]
    with (scratch / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *words, *tests],
            cwd=source_of(suite.package),
            env={key: environment[key] for key in environment if not key.startswith(LEFT_OUT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            # The servers that its tests have started end with it, also when the time is out.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    text = (scratch / "log").read_text(errors="replace")
    assert code in (0, 1), text[-4000:]
    crawlers = sum(1 for _ in scratch.glob("crawler-*"))
    jobs = sum(1 for _ in scratch.glob("store-*/*.sqlite3"))
    return Trial(json.loads(outcomes.read_text()), crawlers, jobs, text)


def _install_switch() -> None:
    """Have each process of a trial find ``outcomes``, and import the switch if it is on.

    A PYTHONPATH would not do: some tests start programs with one of their own.
    """
    path = str(SWITCHED_ON)
    line = (
        f'import os, sys; "TRIAL_OUTCOMES" in os.environ and sys.path.append({path!r}); '
        '"RESUME_TRIAL" in os.environ and __import__("switch_on")\n'
    )
    Path(get_path("purelib"), "scrapy_resume_trial.pth").write_text(line)


def compare(suite: Suite, tests: Iterable[str], scratch: Path) -> Comparison:
    """Run tests with the add-on, and those that did not pass once more with it and without it.

    A test is lost that passes without the add-on and, twice, does not pass with it.
    """
    with_it = run(suite, tests, suite.mode, scratch / "with")
    not_passed = sorted(set(with_it.outcomes) - with_it.ended("passed") - with_it.ended("xfailed"))
    lost: set[str] = set()
    log = ""
    if not_passed:
        without = run(suite, not_passed, "off", scratch / "without")
        lost = without.ended("passed")
    if lost:
        again = run(suite, sorted(lost), suite.mode, scratch / "again")
        lost -= again.ended("passed")
        log = again.log
    return Comparison(lost, len(with_it.ended("passed")), with_it.crawlers, with_it.jobs, log)
