"""What grows with the URLs that a job knows, and what does not.

    python benchmarks/scale.py --known 1000000 10000000 --grown 5

For each size a job is written as a crawl that died would have left it: so many finished requests,
a tenth as many that wait, with URLs of 60 characters. Then: the bytes of its file for each; links
that arrive, 95 % of them known, committed as a crawl commits them; the time from the start of a
process to the first request that reaches the site, resumed after a crash, and plain Scrapy's for
comparison; the peak memory and the CPU a page of a resumed crawl of some thousand pages, and of
plain Scrapy's. ``--grown``: the same once more of the last job, when copies have made it so many
times as large.

Before that: the bytes of a file for each of a million finished requests (``--finished``), by what
their URLs have in common.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.first_fetch import SPIDER, Course
from benchmarks.support.addresses import SHOP, flat_url, own_host_url, product_url
from benchmarks.support.large_job import LargeJob, grow
from benchmarks.support.measured import Cost, crawl_words, load, measured
from benchmarks.support.site import FastSite
from scrapy_resume.model import JobKey, State
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import Admission, Batch, Closing, Finish, Opening
from tests.support.tables import table

HEADINGS = (
    "known", "bytes/URL", "links/s", "µs CPU/link", "first fetch s", "over plain",
    "peak MB", "over plain", "CPU ms/page", "plain",
)  # fmt: skip
SHAPES = {
    "a shop's, in 300 categories": product_url,
    "nothing in common but the origin": flat_url,
    "not even the origin": own_host_url,
}
"""URLs by what they have in common."""
BATCH = 500
UNITS = 1_000
KNOWN_SHARE = 0.95
PENDING_SHARE = 10
"""A tenth as many wait."""
ARRIVALS = 200_000
PAGES = 3_000
STARTS = 5


def bytes_each(store: Path, count: int) -> float:
    """Of the job's file, with what its write-ahead log will add to it."""
    return sum(path.stat().st_size for path in store.glob("*.sqlite3")) / count


def finished(count: int) -> list[list[str]]:
    """Of requests that gave no items, the bytes of each."""
    found = []
    for name, address in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            LargeJob(SHOP, count, 0, units=UNITS, address=address).build(folder, SPIDER)
            found.append([name, f"{bytes_each(Path(folder), count):.0f}"])
    return found


def admitted(store: Path, job: LargeJob) -> tuple[float, float]:
    """(links a second of the wall clock, CPU microseconds a link)."""
    run = open_location(store).resume(JobKey(SPIDER, 1), Opening(spider=SPIDER, worker="bench:0"))
    chance = random.Random(1)
    number = run.session.ids.first
    known = job.seen + job.pending
    cpu = wall = 0.0
    for _ in range(ARRIVALS // BATCH):
        arrivals: list[Admission] = []
        for _ in range(BATCH):
            old = chance.random() < KNOWN_SHARE
            like = job.admission(chance.randint(1, known) if old else number)
            arrivals.append(replace(like, id=number, seq=-number, lease=True))
            number += 1
        new = [
            Finish(id=arrival.id, state=State.done, attempts=1, http_status=200)
            for arrival in arrivals
        ]
        began = time.process_time(), time.monotonic()
        answer = run.commit(Batch(next_id=number, arrivals=list(arrivals)))
        cpu += time.process_time() - began[0]
        wall += time.monotonic() - began[1]
        run.commit(
            Batch(next_id=number, finishes=[f for f in new if f.id not in answer.duplicates])
        )
    run.close(Closing("paused", "shutdown"))
    return ARRIVALS / wall, 1e6 * cpu / ARRIVALS


def crawled(site: FastSite, store: Path, *, plain: bool) -> Cost:
    """A crawl of some thousand pages; the resumed one takes them out of the store."""
    arguments = {"urls": PAGES} if plain else {}
    words = crawl_words("leaves" if plain else SPIDER, site.url, store, arguments)
    words += ["-s", f"CLOSESPIDER_PAGECOUNT={PAGES}"]
    with tempfile.TemporaryDirectory() as folder:
        return measured(words, Path(folder) / "crawl.log", plain=plain)


def row(known: int, job: LargeJob, store: Path, course: Course, site: FastSite) -> list[str]:
    """``job`` is what the store's job began with, before it was grown."""
    size = bytes_each(store, known + known // PENDING_SHARE)
    rate, cpu = admitted(store, job)
    starts = [(course.resumed(store), course.plain()) for _ in range(STARTS)]
    resumed, fresh = (median(times) for times in zip(*starts, strict=True))
    ours, plain = crawled(site, store, plain=False), crawled(site, store, plain=True)
    pages = [cost.stat("response_received_count") for cost in (ours, plain)]
    each = [
        1e3 * cost.running_cpu_seconds / count
        for cost, count in zip((ours, plain), pages, strict=True)
    ]
    return [
        f"{known:,}",
        f"{size:.0f}",
        f"{rate:,.0f}",
        f"{cpu:.1f}",
        f"{resumed:.2f}",
        f"{resumed - fresh:+.2f}",
        f"{ours.peak_bytes / 1e6:.0f}",
        f"{(ours.peak_bytes - plain.peak_bytes) / 1e6:+.0f}",
        *(f"{value:.2f}" for value in each),
    ]


def rows(sizes: Sequence[int], times: int) -> Iterator[list[str]]:
    """One for each size, and one for the last when it was grown."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hits = folder / "hits.log"
        # One page alone has links, to itself: what is measured are the job's own.
        with FastSite(1, log=hits) as site:
            course = Course(site, hits, folder)
            for known in sizes:
                job = LargeJob(site.url, known, known // PENDING_SHARE, units=UNITS)
                store = folder / str(known)
                with told(f"{known:,} written"):
                    job.build(store, SPIDER)
                yield row(known, job, store, course, site)
            if times > 1:
                # The requests that have arrived since are copied too: a few more than are counted.
                with told(f"{times} times as many copied"):
                    grow(store, times)
                yield row(times * known, job, store, course, site)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Tells how long it took."""
    began = time.monotonic()
    yield
    print(f"{what} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--known", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--grown", type=int, default=1, metavar="TIMES")
    parser.add_argument("--finished", type=int, default=1_000_000)
    options = parser.parse_args()
    before = load()
    print(table(("URLs of 60 characters", "bytes/URL"), finished(options.finished)))
    print(table(HEADINGS, list(rows(options.known, options.grown))))
    print(f"{before} before, {load()} after")


if __name__ == "__main__":
    main()
