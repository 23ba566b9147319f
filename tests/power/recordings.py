"""Recorded disks: what a job does to its files from its start to its completion."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.power.crawls import ANSWERS, Crawls
from tests.power.disk import Disk
from tests.power.recorder import Event, Recorder, Snapshot, snapshot
from tests.support.kills import Kill, Live
from tests.support.runs import Run

LATENCY_SECONDS = 0.06


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
    first: int = 1
    """The power goes after so many events at the earliest, and at the latest after ``last``."""
    last: int = 1

    def disk(self, count: int) -> Disk:
        """The disk after so many events."""
        return Disk(self.before, self.events[:count])

    def ended(self, count: int) -> set[str]:
        """The processes that had ended after so many events."""
        return {end.what for end in self.ends if end.count <= count}

    def begun(self, count: int) -> set[str]:
        """The processes that had begun by then."""
        starts = [0, *(end.count for end in self.ends)]
        return {e.what for e, start in zip(self.ends, starts, strict=False) if start < count}

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

    def crawl(self, what: str, kill: Kill | None = None, *, broken: bool = False) -> Run:
        """One ``scrapy crawl``; of a ``broken`` one some callbacks fail."""
        variables = {**self._recorder.variables(), "KINDS_BROKEN": "1" if broken else ""}
        run = self.crawls.run(kill=kill, variables=variables)
        assert run.exit_code == (-signal.SIGKILL if what == "killed" else 0), run.tail()
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

    def recording(self, statuses: Sequence[str | None], first: str | None = None) -> Recording:
        """All of it; the power goes after the process ``first`` has ended.

        Fails if the events do not tell how the disk came to be as it is, or if the job had other
        statuses after its processes (``None``: there is no job).
        """
        found = [end.jobs[0]["status"] if end.jobs else None for end in self._ends]
        assert found == list(statuses), found
        recorder = self._recorder
        events = list(recorder.events())
        begin = max((end.count for end in self._ends if end.what == first), default=1)
        recording = Recording(recorder.before, events, self._ends, begin, len(events))
        seen = recording.disk(len(recording.events)).seen()
        mapped = recording.disk(len(recording.events)).mapped()
        real = {n: found and found[1] for n, found in snapshot(self.crawls.disk).items()}
        assert sorted(seen) == sorted(real), "names that were not recorded"
        different = [name for name in real if real[name] != seen[name] and name not in mapped]
        assert different == [], "bytes that were not recorded"
        return recording
