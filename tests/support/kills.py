"""When to interrupt a crawl, and how.

A kill is a function that watches a live crawl, sends its signals when the moment has
come and gives that moment; ``None`` when the crawl ended by itself before.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.site import HitLog

POLL_SECONDS = 0.002


class Process(Protocol):
    """A started process, the leader of a process group of its own."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


@dataclass(frozen=True)
class Live:
    """A crawl under way. ``hits_before`` were there when it began."""

    process: Process
    hit_log: HitLog
    hits_before: int
    log: Path
    deadline: float

    def until(self, condition: Callable[[], bool]) -> bool:
        """Waits; false when the process or the time ended before the condition held."""
        while self.process.poll() is None and time.monotonic() < self.deadline:
            if condition():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def send(self, signum: signal.Signals) -> float | None:
        """Signals the whole process group; the moment, or ``None`` if it is gone."""
        if self.process.poll() is not None:
            return None
        moment = time.monotonic()
        os.killpg(self.process.pid, signum)
        return moment

    def hits(self) -> int:
        return self.hit_log.asked_count() - self.hits_before


Kill = Callable[[Live], "float | None"]


def at_feed_lines(feed: Path, lines: int) -> Kill:
    """SIGKILL once the crawl has written so many lines of the feed: their items are committed."""

    def kill(live: Live) -> float | None:
        live.until(lambda: feed.exists() and feed.read_text().count("\n") >= lines)
        return live.send(signal.SIGKILL)

    return kill


def at_hits(count: int, seconds: float = 0.0, signum: signal.Signals = signal.SIGKILL) -> Kill:
    """When this run has asked the site for that many pages, or so many seconds later."""

    def kill(live: Live) -> float | None:
        if not live.until(lambda: live.hits() >= count):
            return None
        return after_seconds(seconds, signum)(live)

    return kill


def after_seconds(seconds: float, signum: signal.Signals = signal.SIGKILL) -> Kill:
    """That long after the process was started, during its start-up for instance."""

    def kill(live: Live) -> float | None:
        moment = time.monotonic() + seconds
        return live.send(signum) if live.until(lambda: time.monotonic() >= moment) else None

    return kill


def when_logged(text: str, seconds: float = 0.0, signum: signal.Signals = signal.SIGKILL) -> Kill:
    """When the log holds a text, or so many seconds later."""

    def kill(live: Live) -> float | None:
        if not live.until(lambda: text.encode() in live.log.read_bytes()):
            return None
        return after_seconds(seconds, signum)(live)

    return kill


def in_turn(*kills: Kill) -> Kill:
    """One after another, all on the same run; the moment is that of the last."""

    def kill(live: Live) -> float | None:
        moment = None
        for one in kills:
            moment = one(live) or moment
        return moment

    return kill


def twice(count: int, signum: signal.Signals = signal.SIGTERM, gap_seconds: float = 0.05) -> Kill:
    """Two signals in a row."""
    return in_turn(at_hits(count, signum=signum), after_seconds(gap_seconds, signum))


def random_kills(seed: int, hits_expected: int, count: int) -> list[Kill]:
    """SIGKILLs at random hit counts, spread so that most of them find a crawl under way."""
    chance = random.Random(seed)
    left = hits_expected
    kills = []
    for kills_left in range(count, 0, -1):
        hits = chance.randint(1, max(1, left * 2 // (kills_left + 2)))
        kills.append(at_hits(hits, chance.uniform(0, 0.15)))
        left -= hits
    return kills
