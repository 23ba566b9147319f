"""A documentation site that nobody here wrote, crawled through five SIGKILLs.

    python -m tests.crash.real

Takes the PostgreSQL manual from a Debian package (over 1,000 pages), serves it with
``http.server`` and crawls it with a CrawlSpider, once plain, once through the kills.
Without ``apt-get`` or network, ``--deb FILE`` names a package that is there already.
"""

from __future__ import annotations

import argparse
import functools
import io
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

from tests.support.kills import Kill, at_hits
from tests.support.oracles import Truth, Verdict, verdict
from tests.support.pages import Query
from tests.support.runs import Workplace, crawl, crawl_through, recorded_items, stored_items
from tests.support.server import HitLog as HitWriter
from tests.support.site import REPO, HitLog
from tests.support.tables import table

PACKAGES = ("postgresql-doc-15", "postgresql-doc-17", "postgresql-doc-16", "postgresql-doc-14")
CACHE = REPO / ".cache" / "real"
SPIDER = "documentation"
PAGES_AT_LEAST = 1000
KILLS = 5
AR_MAGIC = b"!<arch>\n"
AR_HEADER_BYTES = 60
HEADINGS = ("", "pages", "items", "lost", "twice", "never fetched", "fetched again", "allowed")


class NotToBeHadError(Exception):
    """The documentation cannot be had; the message says why and what to do."""


def fetched_package(folder: Path) -> Path:
    """The package's file, from the folder or by ``apt-get download``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGES:
        for path in sorted(folder.glob(f"{name}_*.deb")):
            return path
    if shutil.which("apt-get") is None:
        raise NotToBeHadError("there is no apt-get here: name a package with --deb")
    said = ""
    for name in PACKAGES:
        command = ["apt-get", "download", name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        for path in folder.glob(f"{name}_*.deb"):
            return path
        said = (done.stderr.strip().splitlines() or [said])[-1]
    raise NotToBeHadError(f"offline, or no package list ('apt-get update' gets one): {said}")


def members(package: Path) -> Iterator[tuple[str, bytes]]:
    """The files in an ``ar`` archive, which is what a Debian package is."""
    content = package.read_bytes()
    if not content.startswith(AR_MAGIC):
        raise NotToBeHadError(f"{package} is not a Debian package: delete it and try again")
    at = len(AR_MAGIC)
    while at + AR_HEADER_BYTES <= len(content):
        header = content[at : at + AR_HEADER_BYTES]
        name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
        at += AR_HEADER_BYTES
        yield name, content[at : at + size]
        at += size + size % 2


def unpacked(package: Path, folder: Path) -> Path:
    """Unpacks the HTML pages of a package; the folder that has the index page."""
    for name, content in members(package):
        if not name.startswith("data.tar"):
            continue
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                source = archive.extractfile(member) if member.isfile() else None
                if source is None or ".." in path.parts or path.suffix not in {".html", ".css"}:
                    continue
                target = folder / path.relative_to("." if path.parts[0] != "/" else "/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read())
    indexes = sorted(folder.rglob("index.html"), key=lambda path: len(path.parts))
    if not indexes:
        raise NotToBeHadError(f"{package} has no index page in a form that can be unpacked")
    return indexes[0].parent


class Pages(SimpleHTTPRequestHandler):
    """Serves files, and logs every hit as the other test sites do."""

    protocol_version = "HTTP/1.1"
    site: StaticSite
    hits = count()

    def do_GET(self) -> None:
        hit, query, log = next(self.hits), Query("GET", self.path), self.site.writer
        log.write("asked", hit, query, None)
        super().do_GET()
        log.write("answered", hit, query, 200)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing; the hit log has it all."""


class PatientServer(ThreadingHTTPServer):
    """Says nothing of clients that were killed."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class StaticSite:
    """An ordinary static web server over a folder."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.begin(log)
        pages = type("PagesOfSite", (Pages,), {"site": self})
        serve = functools.partial(pages, directory=str(folder))
        self.server = PatientServer(("127.0.0.1", 0), serve)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def begin(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.writer = HitWriter.open(str(log))
        self.log = HitLog(log)


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[StaticSite]:
    site = StaticSite(folder, log)
    thread = threading.Thread(target=site.server.serve_forever, daemon=True)
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()


def five_kills(seed: int, hits: int) -> list[Kill]:
    """SIGKILLs at random moments, most of them well before the end."""
    chance = random.Random(seed)
    share = hits // (KILLS + 1)
    return [at_hits(chance.randint(1, share), chance.uniform(0, 0.3)) for _ in range(KILLS)]


def judged(documentation: Path, folder: Path, seed: int) -> tuple[Truth, Verdict]:
    """One plain crawl of the documentation, one through the kills, and the verdict."""
    with serving(documentation, folder / "plain" / "hits.jsonl") as site:
        plain_place, place = Workplace(folder / "plain"), Workplace(folder / "resumed")
        plain = crawl(SPIDER, site=site, place=plain_place, plain=True, timeout_seconds=300)
        if not plain.is_finished:
            raise NotToBeHadError(f"the plain crawl did not finish: {plain.tail()}")
        truth = Truth(recorded_items(plain_place), site.log.hits())
        print(f"plain: {len(truth.hits)} pages in {plain.ended_at - plain.started_at:.0f} s")
        site.begin(place.path / "hits.jsonl")
        kills = five_kills(seed, len(truth.hits))
        runs = crawl_through(SPIDER, kills, site=site, place=place, timeout_seconds=300)
        found = verdict(truth, stored_items(place, SPIDER), site.log.hits(), runs, place.store)
        return truth, found


def shown(truth: Truth, found: Verdict) -> str:
    again = sum(kill.again.total() for kill in found.kills)
    allowed = sum(kill.allowed.total() for kill in found.kills)
    pages = str(len({hit.url for hit in truth.hits}))
    plain = ["plain", pages, str(found.expected), "", "", "", "", ""]
    counts = (
        found.expected - found.lost.total() + found.twice.total(),
        found.lost.total(),
        found.twice.total(),
        found.never_fetched.total(),
        again + found.unexplained.total(),
        allowed,
    )
    killed = f"killed {len(found.kills)} times"
    fetched = str(int(pages) - len(found.never_fetched))
    return table(HEADINGS, [plain, [killed, fetched, *map(str, counts)]])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deb", type=Path, help="a Debian package with HTML documentation")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the kills")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            package = options.deb or fetched_package(CACHE)
            documentation = unpacked(package, folder / "pages")
            print(f"{package.name}, seed {options.seed}")
            truth, found = judged(documentation, folder, options.seed)
        except NotToBeHadError as error:
            print(f"make real: {error}", file=sys.stderr)
            return 2
    print(shown(truth, found))
    pages = len({hit.url for hit in truth.hits})
    if pages < PAGES_AT_LEAST:
        print(f"only {pages} pages: too small a site", file=sys.stderr)
        return 1
    if not found.is_clean or len(found.kills) < KILLS:
        print(str(found), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
