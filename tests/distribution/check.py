"""Builds the distributions and uses the wheel as its users do.

    python -m tests.distribution.check dist

The wheel is built from the sdist, so that both are whole. ``twine check`` reads their metadata;
the wheel has to hold the package, whole, and nothing else. It is then installed into an empty
virtual environment, outside of this tree, and a project made by ``scrapy startproject`` is
crawled with it: killed by SIGKILL, run again, and its items compared with those of plain Scrapy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support.site import REPO, Site

PACKAGE = "scrapy_resume"
SPIDER = REPO / "tests" / "support" / "standalone.py"
PAGES = 60
KILL_AT_HITS = 25
LATENCY_SECONDS = 0.02
LIMIT_SECONDS = 600.0
"""For each program: pip may have to download all that the package depends on."""

POLL_SECONDS = 0.01

QUICKLY = {"DOWNLOAD_DELAY": "0", "CONCURRENT_REQUESTS_PER_DOMAIN": "8"}
"""The settings that ``startproject`` writes are polite to strangers: one page a second."""


def run(
    words: Sequence[str | Path], folder: Path, environment: dict[str, str] | None = None
) -> str:
    """What a program prints; ends this one, with all that it said, if it fails."""
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    check(done.returncode == 0, f"{' '.join(map(str, words))} failed:\n{done.stdout}")
    return done.stdout


def check(holds: bool, message: str) -> None:
    if not holds:
        raise SystemExit(message)


# ---- build


def built(target: Path) -> Path:
    """Builds sdist and wheel into ``target``, in the place of older ones; the wheel's path."""
    for older in target.glob("scrapy_resume-*"):
        older.unlink()
    run([sys.executable, "-m", "build", "--outdir", target, REPO], REPO)
    [wheel], [sdist] = target.glob("*.whl"), target.glob("*.tar.gz")
    run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], REPO)
    check_contents(wheel, sdist)
    return wheel


def check_contents(wheel: Path, sdist: Path) -> None:
    package = {
        path.relative_to(REPO).as_posix()
        for path in (REPO / PACKAGE).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    check(f"{PACKAGE}/py.typed" in found, f"{wheel.name} has no py.typed: its types go unused")
    check(found == package, f"{wheel.name} is not the package: {sorted(found ^ package)}")
    with tarfile.open(sdist) as archive:
        kept = {name.partition("/")[2] for name in archive.getnames()}
    wanted = package | {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "Makefile"}
    check(wanted <= kept, f"{sdist.name} lacks {sorted(wanted - kept)}")


# ---- use


class Project:
    """A project outside of the tree, whose Python has the wheel and what it depends on."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.programs = folder / "environment" / "bin"
        self.folder = folder / "shop"
        own = ("PATH", "HOME", "TMPDIR")
        self.environment = {name: os.environ[name] for name in own if name in os.environ}
        python = self.programs / "python"
        run([sys.executable, "-m", "venv", "--without-pip", self.programs.parent], folder)
        pip = [sys.executable, "-m", "pip", "--python", python]
        run([*pip, "install", "--quiet", "--no-compile", wheel], folder)
        run([*pip, "check"], folder)
        place = run(
            [python, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)"], folder, self.environment
        )
        check(place.startswith(str(self.programs.parent)), f"the package comes from {place}")
        self.scrapy("startproject", "shop", folder=folder)
        shutil.copy(SPIDER, self.folder / "shop" / "spiders")
        with (self.folder / "shop" / "settings.py").open("a") as settings:
            settings.write('\nADDONS = {"scrapy_resume.Addon": 500}\n')

    def scrapy(self, *words: str, folder: Path | None = None) -> str:
        return run([self.programs / "scrapy", *words], folder or self.folder, self.environment)

    def crawl(self, site: Site, feed: str, *more: str) -> list[str]:
        """The words after ``scrapy``."""
        settings = [word for name, value in QUICKLY.items() for word in ("-s", f"{name}={value}")]
        return ["crawl", "standalone", "-a", f"site={site.url}", "-o", feed, *settings, *more]

    def killed(self, words: Sequence[str], site: Site) -> None:
        """A crawl that gets SIGKILL while the site is being asked."""
        log = self.folder / "killed.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self.programs / "scrapy", *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + LIMIT_SECONDS
        try:
            while site.log.asked_count() < KILL_AT_HITS:
                alive = process.poll() is None and time.monotonic() < deadline
                check(alive, f"the crawl was not to end yet:\n{log.read_text()}")
                time.sleep(POLL_SECONDS)
        finally:
            process.kill()
            process.wait()

    def items(self, feed: str) -> Counter[str]:
        return Counter(
            json.dumps(json.loads(line), sort_keys=True)
            for line in (self.folder / feed).read_text().splitlines()
        )


def use(wheel: Path) -> int:
    """A crawl, a kill and a resume; how many items there were, each once."""
    with (
        tempfile.TemporaryDirectory(prefix="scrapy-resume-wheel-") as folder,
        Site(Path(folder) / "site", pages=PAGES, latency=LATENCY_SECONDS) as site,
    ):
        project = Project(Path(folder), wheel)
        site.begin(project.folder / "plain.hits")
        project.scrapy(*project.crawl(site, "plain.jsonl", "-s", "ADDONS={}"))
        expected = project.items("plain.jsonl")
        check(expected.total() == PAGES, f"plain Scrapy found {expected.total()} of {PAGES} items")

        site.begin(project.folder / "killed.hits")
        words = project.crawl(site, "items.jsonl")
        project.killed(words, site)
        before = len(site.hits())
        told = project.scrapy(*words)
        again = len(site.hits()) - before
        found = project.items("items.jsonl")
        check(found == expected, f"lost {expected - found}, twice {found - expected}:\n{told}")
        check(again < PAGES, f"{again} pages were fetched after the kill: it began anew:\n{told}")
        [job] = json.loads(project.scrapy("resume", "list", "--json"))
        check(job["status"] == "completed", f"the job is {job['status']}")
        return found.total()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, help="folder of the distributions")
    wheel = built(parser.parse_args().target.resolve())
    count = use(wheel)
    print(f"{wheel.name}: installed, crawled, killed and resumed; {count} items, each once")


if __name__ == "__main__":
    main()
