"""What a dashboard with twenty clients costs the crawl that they look at.

    python benchmarks/dashboard.py [--pairs 12] [--clients 20] [--pages 500]

Pairs of crawls of the example shop, one alone and one with the dashboard and its clients: each
keeps an event stream open and fetches the page of the job again whenever it is told of a change.
Printed is the CPU time of the crawl's process in each, and the ratios of medians and of minima.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

PROJECT = Path(__file__).resolve().parents[1] / "example_project"
SCRAPY = [sys.executable, "-m", "scrapy"]
TOKEN = "benchmark"


def crawl(folder: Path, site: str, pages: int) -> float:
    """Crawl so many pages of the shop; seconds of CPU."""
    command = [*SCRAPY, "crawl", "books", "-a", f"site={site}", "-s", "RESUME_JOB=books"]
    command += ["-s", f"RESUME_STORE={folder / 'store'}", "-s", "RESUME_STEPS={}", "--nolog"]
    command += ["-s", f"CLOSESPIDER_PAGECOUNT={pages}"]
    process = subprocess.Popen(command, cwd=PROJECT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the crawl ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


@contextmanager
def shop(folder: Path) -> Iterator[str]:
    command = [sys.executable, str(PROJECT / "shop_site.py"), "--port", "0"]
    command += ["--hits", str(folder / "hits.jsonl"), "--latency", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


@contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    command = [*SCRAPY, "resume", "web", "--port", "0", "-s", f"RESUME_STORE={folder / 'store'}"]
    environment = {**os.environ, "RESUME_WEB_TOKEN": TOKEN}
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.stdout.readline().strip().partition("/?")[0]
        process.terminate()


def look(address: str, ended: threading.Event, pages: list[int]) -> None:
    """One client."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    while not ended.is_set():
        try:
            with urlopen(Request(f"{address}/stream", headers=headers), timeout=20) as stream:
                for line in stream:
                    if ended.is_set():
                        return
                    if line.startswith(b"data"):
                        with urlopen(Request(f"{address}/jobs/books", headers=headers)) as page:
                            pages.append(len(page.read()))
        except (URLError, OSError):
            ended.wait(0.2)  # the job is not there yet


def once(clients: int, wanted: int) -> tuple[float, int]:
    """(seconds of CPU of a crawl, pages that the clients were given)."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = stack.enter_context(shop(folder))
        pages: list[int] = []
        ended = threading.Event()
        if clients:
            address = stack.enter_context(dashboard(folder))
            for _ in range(clients):
                threading.Thread(target=look, args=(address, ended, pages), daemon=True).start()
        try:
            return crawl(folder, site, wanted), len(pages)
        finally:
            ended.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--pages", type=int, default=500, help="of each crawl")
    options = parser.parse_args()
    costs: list[tuple[float, float]] = []
    for pair in range(options.pairs):
        order = (0, options.clients) if pair % 2 else (options.clients, 0)
        found = {clients: once(clients, options.pages) for clients in order}
        alone, (watched, pages) = found[0][0], found[options.clients]
        costs.append((alone, watched))
        print(f"alone {alone:.2f} s, watched {watched:.2f} s, {pages} pages", flush=True)
    medians, minima = (ratio_of(costs, which) for which in (statistics.median, min))
    told = f"{options.pairs} pairs with {options.clients} clients"
    print(f"{told}: {medians:.3f} (medians), {minima:.3f} (minima)")


def ratio_of(costs: Sequence[tuple[float, float]], which: Callable[[list[float]], float]) -> float:
    """What of the watched crawls, to the same of the others."""
    return which([watched for _, watched in costs]) / which([alone for alone, _ in costs])


if __name__ == "__main__":
    main()
