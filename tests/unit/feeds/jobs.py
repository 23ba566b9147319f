"""Jobs that write one local file, in this process, without a crawl."""

from __future__ import annotations

import gzip
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scrapy_resume.feeds.appended_file import AppendedFile
from scrapy_resume.feeds.feed_record import FeedRecord
from scrapy_resume.feeds.post_processed_file import PostProcessedFile
from tests.support.coroutines import result_of

LINES = 12


async def threaded(call: Callable[[], Any]) -> Any:
    return call()


@dataclass
class Job:
    """What the store knows of a job's feed, and the process that writes it."""

    path: Path
    name: str
    lines: list[bytes]
    overwrite: bool = False
    placed: bool = False
    stored: FeedRecord = field(default_factory=lambda: FeedRecord("items", "00"))
    record: FeedRecord | None = None
    opened: bool = False
    ended: bool = False

    def start(self) -> None:
        kind: Any = PostProcessedFile if self.placed else AppendedFile
        how = {} if self.placed else {"fence": False}
        self.target = kind(self.path, self.name, threaded, overwrite=self.overwrite, **how)
        self.record = self.target.resume(self.stored)
        self.opened = bool(self.record.count)

    def write(self, count: int) -> None:
        assert self.record is not None
        if not self.opened:
            self.stored = self.record = self.target.planned(self.record)
            self.record = self.target.updated(result_of(self.target.open(self.record)))
            self.opened = True
        through = min(self.record.through + count, len(self.lines))
        text = b"".join(self.lines[self.record.through : through])
        self.target.write(gzip.compress(text, mtime=0) if self.placed else text)
        self.record = self.target.updated(replace(self.record, count=through, through=through))

    def commit(self) -> None:
        assert self.record is not None
        self.stored = self.record

    def deliver(self) -> None:
        self.write(LINES)
        self.record = result_of(self.target.deliver(self.record, 0))
        self.commit()

    def die(self) -> None:
        if self.record is not None:
            if self.placed and self.target._file is not None:
                self.target._file.close()
                self.target._file = None
                self.target._note_file.close()
            elif not self.placed:
                self.target.close()
        self.record, self.opened = None, False

    def complete(self) -> None:
        self.start()
        self.deliver()
        self.target.close()
        self.record, self.ended = None, True
        self.target.remove_note()


def lines_of(name: str, length: int = 0, count: int = LINES) -> list[bytes]:
    return [b"%s %03d %s\n" % (name.encode(), n, b"." * length) for n in range(count)]


def add(path: Path, line: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        file.write(line)


def contents(path: Path) -> Counter[bytes]:
    return Counter(path.read_bytes().splitlines(keepends=True))


def expected(*jobs: Job, others: list[bytes]) -> Counter[bytes]:
    return Counter(itertools.chain(others, *(job.lines for job in jobs)))


def leftovers(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir() if entry != path]


def interrupted(job: Job, committed: int, more: int) -> None:
    """A run that dies with lines in the file that the store does not know."""
    job.start()
    if committed:
        job.write(committed)
        job.commit()
    job.write(more)
    job.die()
