"""All that images need: a site, launchers, what plain Scrapy gives, recordings of a job."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from tests.power.crawls import Crawls, Plain, plain
from tests.power.images import Judge
from tests.power.recorder import compiled, preloaded
from tests.power.recordings import LATENCY_SECONDS, Recorded, Recording
from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.site import Site

PAGES = 20
KILLED_AT, STOPPED_AT = 15, 12
"""Pages that the first run asks for before it is killed, and the second before it is stopped."""

B = TypeVar("B", bound="Bench")


class Bench:
    """Records and judges in a folder; what takes time is made when it is asked for first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._open = ExitStack()
        self._recordings: dict[str, Recording] = {}

    def __enter__(self: B) -> B:
        self.folder.mkdir(parents=True, exist_ok=True)
        site = Site(self.folder / "site", pages=PAGES)
        self.site = self._open.enter_context(site)
        self.launcher = self._open.enter_context(Launcher())
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def library(self) -> Path:
        """The recorder."""
        return compiled(self.folder)

    @cached_property
    def recording_launcher(self) -> Launcher:
        """A launcher whose processes can be recorded."""
        return self._open.enter_context(Launcher(preloaded(self.library)))

    @cached_property
    def plain(self) -> Plain:
        """What plain Scrapy gives."""
        folder = self.folder / "plain"
        return plain(folder / "disk", folder / "aside", self.site, self.launcher)

    def crawls(self, durability: str, launcher: Launcher | None = None) -> Crawls:
        """The crawls of one durability, all on one disk."""
        folder = self.folder / durability
        return Crawls(
            folder / "disk", folder / "aside", self.site, launcher or self.launcher, durability
        )

    def judge(self, durability: str) -> Judge:
        """Lets jobs of one durability go on."""
        self.site.begin(self.folder / "hits.jsonl", latency=0)
        return Judge(self.crawls(durability), self.plain, durability == "full")

    def recording(self, durability: str) -> Recording:
        """A crawl that is killed, goes on, is stopped gracefully, and goes on to its end."""
        if durability not in self._recordings:
            self._recordings[durability] = self._recorded(durability)
        return self._recordings[durability]

    def _recorded(self, durability: str) -> Recording:
        crawls = self.crawls(durability, self.recording_launcher)
        crawls.prepare()
        self.site.begin(self.folder / f"hits-{durability}.jsonl", latency=LATENCY_SECONDS)
        recorded = Recorded(crawls, self.folder / durability)
        killed = recorded.crawl("killed", recorded.killed(KILLED_AT))
        assert killed.killed_at is not None, killed.tail()
        stopped = recorded.crawl("stopped", at_hits(STOPPED_AT, signum=signal.SIGTERM))
        assert stopped.exit_code == 0, stopped.tail()
        completed = recorded.crawl("completed")
        assert completed.is_finished, completed.tail()
        recording = recorded.recording()
        found = [end.jobs[0]["status"] for end in recording.ends]
        assert found == ["crashed", "paused", "completed"], found
        return recording
