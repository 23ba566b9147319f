"""Recorded disks: what a job does to its files from its start to its completion."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.power.crawls import ANSWERS, Crawls
from tests.power.disk import Disk
from tests.power.recorder import Event, Recorder, Snapshot, snapshot
from tests.support.kills import Kill, Live
from tests.support.runs import Run

LATENCY_SECONDS = 0.03


@dataclass(frozen=True)
class Ended:
    """A process has ended. ``count``: how many events there were by then."""

    what: str
    count: int
    jobs: list[dict[str, Any]]
    """What the store shows then."""


@dataclass(frozen=True)
class Recording:
    """A recorded disk; processes ended at ``ends``."""

    before: Snapshot
    events: list[Event]
    ends: list[Ended]

    def disk(self, count: int) -> Disk:
        """The disk after so many events."""
        return Disk(self.before, self.events[:count])

    def answers(self, disk: Disk) -> dict[str, int]:
        """How much of the job had been answered as kept: the last line of the answers."""
        lines = (disk.seen().get(ANSWERS) or b"").split(b"\n")[:-1]
        return dict(json.loads(lines[-1])) if lines else {}


class Recorded:
    """Records processes of one job, one after another."""

    def __init__(self, crawls: Crawls, aside: Path) -> None:
        """``crawls`` have a launcher that has loaded the recorder."""
        self.crawls = crawls
        self._recorder = Recorder.begin(aside / "record", crawls.disk)
        self._ends: list[Ended] = []

    def crawl(self, what: str, kill: Kill | None = None) -> Run:
        """One ``scrapy crawl``."""
        run = self.crawls.run(kill=kill, variables=self._recorder.variables())
        self._ended(what)
        return run

    def command(self, what: str, *words: str) -> None:
        """One ``scrapy resume``."""
        run = self.crawls.command(*words, variables=self._recorder.variables())
        assert run.exit_code == 0, run.tail()
        self._ended(what)

    def _ended(self, what: str) -> None:
        self._ends.append(Ended(what, self._recorder.count(), self.crawls.jobs()))

    def killed(self, hits: int) -> Kill:
        """SIGKILL when the run has asked for so many pages, between two events."""

        def kill(live: Live) -> float | None:
            if not live.until(lambda: live.hits() >= hits):
                return None
            with self._recorder.frozen():
                moment = live.send(signal.SIGKILL)
                live.process.wait(10)
            return moment

        return kill

    def recording(self) -> Recording:
        """All of it. Fails if the events do not tell how the disk came to be as it is."""
        recorder = self._recorder
        recording = Recording(recorder.before, list(recorder.events()), self._ends)
        seen = recording.disk(len(recording.events)).seen()
        mapped = recording.disk(len(recording.events)).mapped()
        real = {n: found and found[1] for n, found in snapshot(self.crawls.disk).items()}
        assert sorted(seen) == sorted(real), "names that were not recorded"
        different = [name for name in real if real[name] != seen[name] and name not in mapped]
        assert different == [], "bytes that were not recorded"
        return recording
