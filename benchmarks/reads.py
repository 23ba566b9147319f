"""What it costs to look at a large job: CPU and memory of the reading commands.

    python benchmarks/reads.py --requests 1000000 --items 1
    python benchmarks/reads.py --requests 100000 --items 11 --steps 1     # a million pending steps

CPU is that of the whole process less that of `scrapy version`: what Scrapy itself needs to start.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.large_job import LargeJob
from tests.support.tables import table

COMMANDS = (
    ["status"],
    ["status", "--json"],
    ["list"],
    ["show"],
    ["failed"],
    ["report"],
    ["report", "-o", "report.html", "--overwrite"],
    ["requests", "--limit", "20"],
    ["requests", "--state", "failed", "--limit", "20"],
    ["export", "-o", "items.jsonl", "--overwrite"],
    ["export", "-o", "items.csv", "--overwrite"],
)


OF_STEPS = (
    ["steps"],
    ["items", "--step", "step-1", "--step-state", "pending", "--limit", "20"],
    ["items", "--step", "step-1", "--step-state", "failed", "--limit", "20"],
)


@dataclass(frozen=True)
class Cost:
    """What a process came to."""

    cpu_seconds: float
    peak_bytes: int


def cost(words: list[str], folder: Path) -> Cost:
    """Of ``scrapy …``, run in a folder."""
    command = [sys.executable, "-m", "scrapy", *words]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with exit code {process.returncode}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def typical(words: list[str], folder: Path, runs: int) -> Cost:
    """The median of some runs."""
    costs = [cost(words, folder) for _ in range(runs)]
    return Cost(median(one.cpu_seconds for one in costs), max(one.peak_bytes for one in costs))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=1, help="of each page")
    parser.add_argument("--steps", type=int, default=0, help="pending ones, of each item")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--store", help="instead of a folder: the URL of an empty database")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = options.store or str(folder / "store")
        pending = options.requests // 10
        seen = options.requests - pending
        steps = tuple(f"step-{number + 1}" for number in range(options.steps))
        job = LargeJob("http://h", seen, pending, 50, options.items, steps, failed_every=20)
        job.build(store, "large")
        start_up = typical(["version"], folder, options.runs).cpu_seconds
        rows = []
        for words in (*COMMANDS, *(OF_STEPS if steps else ())):
            found = typical(["resume", *words, "-s", f"RESUME_STORE={store}"], folder, options.runs)
            extra = found.cpu_seconds - start_up
            rows.append([" ".join(words), f"{extra:.2f}", f"{found.peak_bytes / 1e6:.0f}"])
        count = seen * 19 // 20 * options.items * options.steps
        size = f"{options.requests:,} requests and {count:,} pending steps"
        print(f"a job of {size}; start-up of Scrapy {start_up:.2f} s CPU")
        print(table(("scrapy resume", "CPU s beside it", "peak MB"), rows))


if __name__ == "__main__":
    main()
