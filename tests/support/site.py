"""The local site as tests see it: a process to start, a hit log to ask."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlencode

from tests.support.server import CONTROL

REPO = Path(__file__).resolve().parents[2]
NOT_PAGES = ("/robots.txt", "/image/", "/file/")
"""What Scrapy downloads around the scheduler."""


@dataclass(frozen=True)
class Hit:
    """One request as the site saw it; times are of the system's monotonic clock.

    ``answered_at`` and ``status`` are ``None`` while the site has not answered;
    status 0 is a connection that the site closed without an answer.
    """

    number: int
    url: str
    method: str
    asked_at: float
    answered_at: float | None = None
    status: int | None = None

    @property
    def key(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def is_settled(self) -> bool:
        """Whether no retry is due: not answered by 503, nor dropped."""
        return self.status not in {0, 503}

    def was_in_flight(self, moment: float) -> bool:
        return self.asked_at <= moment and (self.answered_at is None or self.answered_at > moment)


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that another process is writing: it may be in the midst of the last."""
    return path.read_text().rpartition("\n")[0].splitlines()


class HitLog:
    """Reads one hit log; ``asked_count`` reads on from where it left off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._asked = 0

    def asked_count(self) -> int:
        """How many requests reached the site so far. Cheap enough to poll."""
        with self.path.open("rb") as log:
            log.seek(self._offset)
            fresh, newline, _ = log.read().rpartition(b"\n")
        fresh += newline
        self._offset += len(fresh)
        self._asked += fresh.count(b'"event": "asked"')
        return self._asked

    def hits(self) -> list[Hit]:
        """Every request so far, in the order in which the site was asked."""
        found: dict[int, Hit] = {}
        for line in whole_lines(self.path):
            row = json.loads(line)
            if row["event"] == "asked":
                found[row["hit"]] = Hit(row["hit"], row["url"], row["method"], row["at"])
            else:
                asked = found[row["hit"]]
                found[row["hit"]] = Hit(
                    asked.number, asked.url, asked.method, asked.asked_at, row["at"], row["status"]
                )
        return list(found.values())


class LoggedSite(Protocol):
    """What a crawl needs of a site: where it is, and the log of its hits."""

    url: str
    log: HitLog


class Site:
    """A running local site.

    ``begin(log)`` starts a new hit log and makes flaky pages flaky again, so that one
    process serves many crawls, one after another, under one URL.
    """

    def __init__(
        self,
        folder: Path,
        *,
        pages: int = 60,
        latency: float = 0.0,
        addresses: Sequence[str] = ("127.0.0.1",),
    ) -> None:
        self.addresses = addresses
        self.folder = folder
        self.pages = pages
        self.latency = latency
        self.url = ""
        self.log = HitLog(folder / "hits.jsonl")

    def __enter__(self) -> Site:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.support.server", "--log", str(self.log.path)]
        command += ["--pages", str(self.pages), "--latency", str(self.latency)]
        command += ["--address", *self.addresses]
        self._process = subprocess.Popen(
            command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port.isdigit(), "the local site did not start"
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, log: Path, *, latency: float | None = None, stage: int = 1) -> HitLog:
        """Starts a new hit log; hits that are still being answered end in the old one.

        ``stage``: how far the shop (``/listing/0``) has come since the beginning, 1.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        given = self.latency if latency is None else latency
        query = urlencode({"log": str(log), "latency": given, "stage": stage})
        with urllib.request.urlopen(f"{self.url}{CONTROL}?{query}", timeout=10) as reply:
            reply.read()
        self.log = HitLog(log)
        return self.log

    def hits(self) -> list[Hit]:
        return self.log.hits()

    def in_flight(self, moment: float | None = None) -> list[Hit]:
        """The requests being answered at a moment; without one, at the log's end."""
        when = float("inf") if moment is None else moment
        return [hit for hit in self.hits() if hit.was_in_flight(when)]
