"""The server's disk is full: workers wait for room, and go on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scrapy_resume.errors import StoreUnavailableError
from scrapy_resume.model import JobKey
from scrapy_resume.store.contract import Admission, Batch, Closing, Opening
from scrapy_resume.store.postgres.store import PostgresStore
from tests.contract.records import admission
from tests.support.fleet import SLOWLY, Fleet
from tests.support.fleet_launcher import FleetLauncher
from tests.support.hosts_graph import HostGraph
from tests.support.hosts_site import HostsSite
from tests.support.postgres import PostgresServer
from tests.support.small_disks import fill, make_room, small_disk

GRAPH = HostGraph(hosts=10, pages=250)
JOB = JobKey("books", 1)


@pytest.fixture
def disk() -> Iterator[Path]:
    """One that the server's account can get at."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with small_disk(Path(folder) / "disk", "64m") as mounted:
            yield mounted


@pytest.fixture
def database(postgres_server: PostgresServer, disk: Path) -> Iterator[str]:
    with postgres_server.tablespace(disk) as tablespace:
        url = postgres_server.new_database(tablespace)
        yield url
        postgres_server.drop_database(url)


def large(first: int) -> list[Admission]:
    return [admission(row, payload="x" * 1_000) for row in range(first, first + 2_000)]


def test_a_batch_without_room_is_kept_whole_when_there_is_some(database: str, disk: Path) -> None:
    store = PostgresStore(database)
    job = store.begin(JOB, Opening(spider="books", worker="a:1", orphan_seconds=600))
    fill(disk)
    batch = Batch(next_id=2_001, arrivals=list(large(1)))
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="make room on the server"):
            job.commit(batch)
    make_room(disk)
    assert job.commit(batch).counts.pending == 2_000
    assert job.close(Closing("paused", "shutdown")) == "paused"


def test_crawl_waits_for_room_and_loses_nothing(
    database: str, disk: Path, tmp_path: Path, fleet_launcher: FleetLauncher
) -> None:
    with ExitStack() as stack:
        site = stack.enter_context(HostsSite(tmp_path, GRAPH))
        fleet = stack.enter_context(Fleet(database, site, tmp_path, fleet_launcher, SLOWLY))
        workers = fleet.start_together(2)
        fleet.wait_for_hits(20)
        fill(disk)

        def waits() -> bool:
            return any(worker.has_logged("make room on the server") for worker in workers)

        fleet.wait_until(waits, "worker that waits for room")
        make_room(disk)
        fleet.expect_success()
        fleet.expect_completed()
        found = fleet.verdict()
        print(found)
        assert found.is_clean, f"{found}; {fleet.story()}"
