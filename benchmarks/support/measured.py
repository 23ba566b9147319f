"""Crawls as processes, and what the kernel says that they have cost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.support.site import REPO

TAIL_LINES = 30
LIMIT_SECONDS = 1_200.0
"""A crawl that takes longer hangs."""


@dataclass(frozen=True)
class Cost:
    """What one process came to, from its start to its end."""

    cpu_seconds: float
    """User and system."""
    peak_bytes: int
    """The largest resident size."""
    log: str

    def stat(self, name: str) -> float:
        """A number of Scrapy's stats; 0 if it is not there."""
        found = re.search(rf"'{re.escape(name)}': ([\d.]+)", self.log)
        return float(found[1]) if found else 0.0

    @property
    def running_cpu_seconds(self) -> float:
        """Without starting Python, importing Scrapy and opening the job."""
        return self.cpu_seconds - self.stat("bench/start_up_cpu_seconds")


def environment(*, plain: bool) -> dict[str, str]:
    """That of a process with the benchmarks' settings."""
    path = os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])
    own = {
        "BENCH_PLAIN": "1" if plain else "0",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": path,
        "SCRAPY_SETTINGS_MODULE": "benchmarks.support.settings",
    }
    return {**os.environ, **own}


def crawl_words(
    spider: str, site_url: str, store: Path | str, arguments: Mapping[str, Any] | None = None
) -> list[str]:
    """The command of a crawl."""
    words = [sys.executable, "-m", "scrapy", "crawl", spider]
    words += ["-s", f"SITE={site_url}", "-s", f"RESUME_STORE={store}"]
    for name, value in (arguments or {}).items():
        words += ["-a", f"{name}={value}"]
    return words


def started(words: Sequence[str], log: Path, *, plain: bool) -> subprocess.Popen[bytes]:
    """A process whose output goes to the log."""
    with log.open("wb") as output:
        return subprocess.Popen(
            words,
            cwd=log.parent,
            env=environment(plain=plain),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def ended(process: subprocess.Popen[bytes], log: Path) -> Cost:
    """Waits for a process; one that hangs is killed.

    Raises ``SystemExit`` with the end of its log if it failed.
    """
    limit = threading.Timer(LIMIT_SECONDS, process.kill)
    limit.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        limit.cancel()
        process.kill()
    text = log.read_text(errors="replace")
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}:\n{tail_of(text)}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, text)


def tail_of(text: str) -> str:
    """The last lines of a log."""
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def measured(words: Sequence[str], log: Path, *, plain: bool) -> Cost:
    """Runs a crawl to its end."""
    return ended(started(words, log, plain=plain), log)


def end_in_order() -> None:
    """Have SIGTERM end this process as Ctrl-C does: with all that it has started."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def load() -> str:
    """How busy the machine is, for whoever reads the figures."""
    averages = " ".join(f"{average:.1f}" for average in os.getloadavg())
    return f"load average {averages} on {os.cpu_count()} cores"
