"""What the event log costs: microseconds an event, and its share of the CPU of a page.

    python benchmarks/event_log.py --events 300000 --pages 1000

Events are measured apart from any crawl, as CPU time of this process: handing the batches over,
making the events out, encoding, writing, rotating and compressing. The CPU of a page is that of a
whole crawl with the add-on, without the log, of a site of twenty links and one item a page; a page
gives one event.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.measured import crawl_words, load, measured
from benchmarks.support.site import FastSite
from scrapy_resume.events.log_files import segments
from scrapy_resume.events.log_writer import BACKLOG, EventLogWriter
from scrapy_resume.model import Counts, JobKey, State
from scrapy_resume.store.contract import Batch, Committed, Finish, ItemRecord, RowIds, Session

JOB = JobKey("bench", 1)
A_BATCH = 30
"""Requests that a commit finishes, at 300 pages a second."""


class Page:
    """What has ended."""

    def __init__(self, number: int) -> None:
        self.url = f"http://shop.example/catalogue/category-{number % 97}/page/{number}?sort=price"


def session() -> Session:
    return Session(job=JOB, run=1, epoch=1, began=True, crashed=False, ids=RowIds(first=1))


def batches(events: int) -> list[Batch]:
    item = ItemRecord(0, "{}")
    finishes = [
        Finish(
            id=row, state=State.done, attempts=1, http_status=200, items=[item], origin=Page(row)
        )
        for row in range(events)
    ]
    return [
        Batch(next_id=1, finishes=finishes[at : at + A_BATCH]) for at in range(0, events, A_BATCH)
    ]


def microseconds_an_event(events: int) -> tuple[float, float, int]:
    """(of the thread of the event loop, of the whole process, bytes on the disk)."""
    with tempfile.TemporaryDirectory() as folder:
        log = EventLogWriter(Path(folder), session(), "host:1", 10.0)
        answer = Committed()
        handing = 0.0
        cpu = -time.process_time()
        for batch in batches_given(events):
            began = time.thread_time()
            log.committed(batch, answer)
            handing += time.thread_time() - began
            while log._kept.qsize() > BACKLOG // 2:
                time.sleep(0.001)
        log.closed("completed", "finished", Counts(), events)
        log.end()
        log._thread.join()
        cpu += time.process_time()
        size = sum(segment.path.stat().st_size for segment in segments(Path(folder), JOB))
    return 1e6 * handing / events, 1e6 * cpu / events, size


def batches_given(events: int) -> list[Batch]:
    """Made before the clock runs."""
    return _made.setdefault(events, batches(events))


_made: dict[int, list[Batch]] = {}


def milliseconds_a_page(pages: int, runs: int) -> float:
    costs = []
    with FastSite(pages) as site:
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                words = crawl_words("linked", site.url, Path(folder) / "store")
                cost = measured(words, Path(folder) / "crawl.log", plain=False)
                costs.append(1_000 * cost.running_cpu_seconds / pages)
    return median(costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--pages", type=int, default=1_000, help="pages of the site")
    parser.add_argument("--runs", type=int, default=5, help="of each kind")
    options = parser.parse_args()
    batches_given(options.events)
    found = [microseconds_an_event(options.events) for _ in range(options.runs)]
    loop, whole, size = (median(column) for column in zip(*found, strict=True))
    page = milliseconds_a_page(options.pages, options.runs)
    print(f"event loop   {loop:.2f} us an event")
    print(f"in all       {whole:.2f} us an event, compression included")
    print(f"on the disk  {size / options.events:.0f} bytes an event")
    print(f"a page       {page:.2f} ms of CPU: the log is {whole / (10 * page):.2f}% of it")
    print(load())


if __name__ == "__main__":
    main()
