"""All that images need: a site, launchers, what plain Scrapy gives, recordings of a job."""

from __future__ import annotations

import pickle
import signal
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TypeVar, cast

from tests.power.crawls import FEEDS, JOB, Crawls, Plain, plain, put
from tests.power.images import image
from tests.power.judges import BACKUPS, RESET, RESTORE, CommandJudge, Judge
from tests.power.recorder import compiled, preloaded
from tests.power.recordings import LATENCY_SECONDS, Recorded, Recording
from tests.support.kills import at_hits
from tests.support.launcher import Launcher
from tests.support.site import Site

PAGES = 12
KILLED_AT, STOPPED_AT = 10, 9
"""Pages that the first run asks for before it is killed, and the second before it is stopped."""

B = TypeVar("B", bound="Bench")

COMMANDS = "commands"
"""The recording of backup, reset and restore."""

RETRIED = "retried"
"""The recording of a job that was completed, and whose failed pages are fetched again."""

NAMES = ("normal", "full", COMMANDS, RETRIED)


class Bench:
    """Records and judges in a folder; what takes time is made when it is asked for first.

    Recordings are kept in the folder: the next bench in it has the same images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._open = ExitStack()

    def __enter__(self: B) -> B:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @cached_property
    def library(self) -> Path:
        """The recorder."""
        return compiled(self.folder)

    @cached_property
    def launcher(self) -> Launcher:
        """Its processes can be recorded: each is, if its environment says where."""
        return self._open.enter_context(Launcher(preloaded(self.library)))

    @cached_property
    def site(self) -> Site:
        """The local site."""
        return self._open.enter_context(Site(self.folder / "site", pages=PAGES))

    @cached_property
    def plain(self) -> Plain:
        """What plain Scrapy gives."""
        folder = self.folder / "plain"
        return plain(folder / "disk", folder / "aside", self.site, self.launcher)

    def judge(self, name: str) -> Judge:
        """Lets the jobs of a recording go on."""
        judge = CommandJudge if name == COMMANDS else Judge
        plain = self.plain
        self.site.begin(self.folder / "hits.jsonl", latency=0)
        return judge(self._crawls(name), plain)

    def recording(self, name: str) -> Recording:
        """One of ``NAMES``: a crawl with a durability, or what commands do. ``full+7``: how a job
        goes on with an image of ``full``, the 7th that is chosen for it."""
        kept = self.folder / f"recording-{name}.pickle"
        if not kept.exists():
            kept.write_bytes(pickle.dumps(self._made(name)))
        return cast("Recording", pickle.loads(kept.read_bytes()))

    def _made(self, name: str) -> Recording:
        first, _, number = name.partition("+")
        if number:
            return self._of_second_cut(first, int(number))
        made = {COMMANDS: self._of_commands, RETRIED: self._of_retry}
        return made[name]() if name in made else self._of_crawl(name)

    def _crawls(self, name: str) -> Crawls:
        name = name.partition("+")[0]
        crawls = Crawls(
            self.folder / name / "disk", self.folder / name / "aside", self.site, self.launcher
        )
        if name == RETRIED:
            # What is fetched again is in the last batch, and in the one that was full before.
            return replace(crawls, feeds=FEEDS)
        return replace(crawls, durability="full") if name == "full" else crawls

    def _begun(self, name: str) -> Recorded:
        crawls = self._crawls(name)
        crawls.prepare()
        self.site.begin(self.folder / f"hits-{name}.jsonl", latency=LATENCY_SECONDS)
        return Recorded(crawls, self.folder / name)

    def _of_crawl(self, name: str) -> Recording:
        """A crawl that is killed, goes on, is stopped gracefully, and goes on to its end."""
        recorded = self._begun(name)
        recorded.crawl("killed", recorded.killed(KILLED_AT))
        recorded.crawl("stopped", at_hits(STOPPED_AT, signum=signal.SIGTERM))
        recorded.crawl("completed")
        return recorded.recording(["crashed", "paused", "completed"])

    def _of_commands(self) -> Recording:
        """A job is backed up when it was killed, and when it was stopped; it is deleted, restored,
        and goes on to its end."""
        recorded = self._begun(COMMANDS)
        recorded.crawl("killed", recorded.killed(KILLED_AT))
        recorded.command(BACKUPS[0], "backup", JOB, BACKUPS[0])
        recorded.crawl("stopped", at_hits(STOPPED_AT, signum=signal.SIGTERM))
        recorded.command(BACKUPS[1], "backup", JOB, BACKUPS[1])
        recorded.command(RESET, "reset", JOB, "--yes")
        recorded.command(RESTORE, "restore", BACKUPS[1])
        recorded.crawl("completed")
        statuses = ["crashed", "crashed", "paused", "paused", None, "paused", "completed"]
        recording = recorded.recording(statuses, first="killed")
        # And a little of the crawl that goes on with what was restored.
        return replace(recording, last=recording.ends[-2].count + 200)

    def _of_retry(self) -> Recording:
        """A job is completed, with pages that failed; they are fetched again, and what they gave
        before is replaced."""
        recorded = self._begun(RETRIED)
        recorded.crawl("first", broken=True)
        recorded.command("retry", "retry", JOB)
        recorded.crawl("completed")
        return recorded.recording(["completed", "paused", "completed"], first="first")

    def _of_second_cut(self, name: str, number: int) -> Recording:
        """A job goes on after one power cut; the power goes again meanwhile."""
        crawls = self._crawls(name)
        for candidate in count(100 * number):
            put(image(self.recording(name), 0, candidate).tree, crawls.disk)
            if crawls.status() != "completed":
                break
        self.site.begin(self.folder / "hits.jsonl", latency=0)
        recorded = Recorded(crawls, self.folder / name)
        recorded.crawl("completed")
        return recorded.recording(["completed"])
