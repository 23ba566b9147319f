"""A site of many hosts as tests see it: a process to start, a hit log to ask."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.hosts_graph import HostGraph, page_of
from tests.support.hosts_server import DOWN, HOLD, HOLD_FROM, RELEASE, UP
from tests.support.site import REPO, Hit, HitLog, whole_lines

LATENCY_SECONDS = 0.05


@dataclass(frozen=True)
class HostHit(Hit):
    """One request as the site saw it, and who had sent it when, as the worker says."""

    host: str = ""
    worker: str = ""
    sent_at: float | None = None

    @property
    def page(self) -> int:
        return page_of(self.url)

    @property
    def said_sent_at(self) -> float:
        """When the downloader let it go; when it came, if the worker does not say."""
        return self.asked_at if self.sent_at is None else self.sent_at


class HostHitLog(HitLog):
    """The hit log of a site of many hosts."""

    def hits(self) -> list[HostHit]:
        """Every request so far, in the order in which the site was asked."""
        found: dict[int, HostHit] = {}
        for line in whole_lines(self.path):
            row = json.loads(line)
            if row["event"] == "asked":
                found[row["hit"]] = asked(row)
            else:
                found[row["hit"]] = replace(
                    found[row["hit"]], answered_at=row["at"], status=row["status"]
                )
        return list(found.values())


def asked(row: dict[str, Any]) -> HostHit:
    return HostHit(
        row["hit"],
        row["url"],
        row["method"],
        row["at"],
        host=row["host"],
        worker=row["worker"],
        sent_at=row["sent_at"],
    )


class HostsSite:
    """A running site of many hosts, with a hit log of its own."""

    def __init__(
        self, folder: Path, graph: HostGraph, *, latency_seconds: float = LATENCY_SECONDS
    ) -> None:
        self.graph = graph
        self.latency_seconds = latency_seconds
        self.port = 0
        self.log = HostHitLog(folder / "hits.jsonl")

    @property
    def url(self) -> str:
        return self.graph.url(0, self.port)

    def __enter__(self) -> HostsSite:
        self.log.path.parent.mkdir(parents=True, exist_ok=True)
        self.log.path.touch()
        command = [sys.executable, "-m", "tests.support.hosts_server"]
        command += ["--log", str(self.log.path), "--graph", str(self.graph)]
        command += ["--latency", str(self.latency_seconds)]
        self._process = subprocess.Popen(
            command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port.isdigit():
            self._process.communicate()
            raise AssertionError("the site of many hosts did not start")
        self.port = int(port)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; its log stays. Harmless if done before."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()

    def hold(self) -> None:
        """From now on nothing is answered, though all that is asked is written down."""
        self._control(HOLD)

    def hold_from(self, count: int) -> None:
        """As ``hold``, from so many requests on (since the beginning): a crawl that has more to
        ask for stands still there until ``release``, however late the test looks at it."""
        self._control(f"{HOLD_FROM}{count}")

    def release(self) -> None:
        self._control(RELEASE)

    @contextmanager
    def held(self) -> Iterator[None]:
        self.hold()
        try:
            yield
        finally:
            self.release()

    def fail(self, host: str, how: str = "503") -> None:
        """From now on a host answers with that status, or drops connections (``drop``)."""
        self._control(f"{DOWN}/{host}/{how}")

    def mend(self, host: str) -> None:
        """The host answers again."""
        self._control(f"{UP}/{host}")

    def _control(self, path: str) -> None:
        url = f"http://{self.graph.host_names[0]}:{self.port}{path}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=10) as reply:
            reply.read()

    def hits(self) -> list[HostHit]:
        return self.log.hits()

    def hits_of(self, worker: str) -> list[HostHit]:
        """What one worker has asked for."""
        return [hit for hit in self.hits() if hit.worker == worker]
