from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from scrapy.cmdline import execute
from scrapy.settings import Settings

from scrapy_resume.codec import Codec
from scrapy_resume.model import START, JobKey, Phase, State, digest
from scrapy_resume.store import open_location
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Closing,
    Finish,
    ItemRecord,
    JobStore,
    Opening,
    Orders,
    RunProgress,
    Store,
)
from tests.support import schemas


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass
class Shelf:
    """A store, in a directory unless a URL is given, and jobs in it."""

    directory: Path
    url: str | None = None
    store: Store = field(init=False)
    open_jobs: list[JobStore] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = open_location(self.location)

    @property
    def location(self) -> str:
        """``RESUME_STORE``."""
        return self.url or str(self.directory)

    def begin(self, name: str = "books", number: int = 1, **opening: Any) -> JobStore:
        """A job that this process owns until the test ends, or closes it."""
        job = self.store.begin(JobKey(name, number), self.opening(**opening))
        self.open_jobs.append(job)
        return job

    def opening(self, **fields: Any) -> Opening:
        """What a run of the test says about itself."""
        return Opening(**{"spider": "books", "worker": "host:7", **fields})

    def crawl(
        self,
        job: JobStore,
        done: Sequence[Sequence[Any]] = (),
        failed: Sequence[str] = (),
        ignored: int = 0,
        pending: int = 0,
        leased: int = 0,
        pages: int | None = None,
        keyed: str | None = None,
        items_failed: int = 0,
    ) -> None:
        """Requests in those states; each of ``done`` is the items that one gave, and a page of
        its own, unless ``pages`` says how many the run has had so far. ``keyed``: the field that
        is their RESUME_ITEM_KEY. ``items_failed``: how many more each of ``done`` has lost."""
        ends = [
            *(
                _finish(
                    State.done,
                    items=_records(items, keyed),
                    items_failed=items_failed,
                    http_status=200,
                )
                for items in done
            ),
            *(
                _finish(State.failed, error="HttpError", error_message=text, http_status=500)
                for text in failed
            ),
            *(_finish(State.ignored, error="HttpError", http_status=404) for _ in range(ignored)),
            *([None] * (leased + pending)),
        ]
        first = job.session.ids.first
        rows = [admission(first + at, lease=at < len(ends) - pending) for at in range(len(ends))]
        finishes = [
            Finish(id=row.id, attempts=1, **end)
            for row, end in zip(rows, ends, strict=True)
            if end is not None
        ]
        pages = len(done) if pages is None else pages
        for row, end in zip(rows, ends, strict=True):
            if row.lease and end is None:
                job.mark(row.id, Phase.sent)
        job.commit(
            Batch(
                next_id=first + len(rows),
                arrivals=rows,
                finishes=finishes,
                progress=RunProgress(pages=pages),
            )
        )

    def close(self, job: JobStore, status: str = "completed", reason: str = "finished") -> None:
        """The run ends."""
        self.open_jobs.remove(job)
        job.close(Closing(status, reason))

    def crash(self, job: JobStore) -> None:
        """The process dies."""
        self.open_jobs.remove(job)
        job.abandon()

    @contextmanager
    def listening(self, job: JobStore) -> Iterator[list[Orders]]:
        """The owner hears what it is told meanwhile, as a crawl does; what it was told."""
        heard: list[Orders] = []
        ended = threading.Event()

        def listen() -> None:
            while not ended.wait(0.01):
                orders = job.orders()
                if orders != Orders():
                    heard.append(orders)
                if orders.changed:
                    job.commit(Batch(next_id=job.session.ids.first + 1_000))
                if orders.stop:
                    self.close(job, "paused", "shutdown")
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        yield heard
        ended.set()
        thread.join()

    def age(self, name: str, days: float) -> None:
        """A job was completed, or changed last, so long ago."""
        (file,) = self.directory.glob(f"{quote(name, safe='#')}.sqlite3")
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(
                "UPDATE job SET completed_at = completed_at - :s, updated_at = updated_at - :s",
                {"s": days * 86_400},
            )

    def set_status(self, name: str, status: str) -> None:
        """The job's row says so."""
        (file,) = self.directory.glob(f"{name}#*.sqlite3")
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(
                "UPDATE job SET status = ?, completed_at = iif(? = 'completed', 1, NULL)",
                (status, status),
            )

    def make_newer(self, name: str) -> None:
        """The job's file was written by a newer version."""
        (file,) = self.directory.glob(f"{name}#*.sqlite3")
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA user_version = 99")

    def damage(self, name: str) -> Path:
        """The job's file becomes something else."""
        (file,) = self.directory.glob(f"{name}#*.sqlite3")
        file.write_bytes(b"this is no database. " * 500)
        return file


def _finish(state: State, **more: Any) -> dict[str, Any]:
    return {"state": state, **more}


def _records(items: Sequence[Any], keyed: str | None) -> list[ItemRecord]:
    return [
        ItemRecord(at, Codec().encode_item(item), None if keyed is None else str(item[keyed]))
        for at, item in enumerate(items)
    ]


def admission(
    row: int, *, url: str | None = None, unit: str | int | None = None, lease: bool = True
) -> Admission:
    """A start request; its own URL and its own unit unless others are given."""
    url = url or f"http://127.0.0.1/page/{row}"
    return Admission(
        id=row,
        identity=digest(url.encode()),
        parent=START,
        url=url,
        payload="{}",
        slot="127.0.0.1",
        priority=0,
        start=1,
        seq=row,
        unit=row if unit is None else unit,
        lease=lease,
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "store")
    yield shelf
    for job in shelf.open_jobs:
        job.abandon()


@pytest.fixture
def call(shelf: Shelf, tmp_path, monkeypatch, capsys) -> Callable[..., Answer]:
    """Runs ``scrapy resume …`` in this process, on the shelf, outside any project.

    With ``--json``, all that it prints has to be one document of its schema.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, **settings: object) -> Answer:
        given = Settings({"RESUME_STORE": shelf.location, **settings})
        argv = ["scrapy", "resume", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            execute(list(argv), given)
        captured = capsys.readouterr()
        answer = Answer(int(ended.value.code or 0), captured.out, captured.err)
        if "--json" in arguments and (answer.out or answer.code == 0):
            schemas.check_printed(answer.out, argv[2:])
        return answer

    return run
