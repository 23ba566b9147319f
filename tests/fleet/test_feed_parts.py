"""``RESUME_FEEDS = "parts"``: each worker writes a part of its own while it crawls."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from scrapy_resume.feedexport import part_name
from tests.fleet.conftest import NewFleet
from tests.fleet.test_kills import killed_at_random
from tests.support.fleet import SLOWLY, Fleet, Worker
from tests.support.hosts_graph import HostGraph
from tests.support.site import whole_lines

GRAPH = HostGraph(hosts=20, pages=200)
SETTINGS = {**SLOWLY, "RESUME_FEEDS": "parts"}


def parts(fleet: Fleet) -> list[Path]:
    return sorted(fleet.folder.glob("items.part-*.jsonl"))


def lines(fleet: Fleet) -> int:
    return sum(len(whole_lines(part)) for part in parts(fleet))


def run_of(fleet: Fleet, worker: Worker) -> int:
    pids = {run["worker"].rpartition(":")[2]: run["number"] for run in fleet.status()["runs"]}
    return int(pids[str(worker.pid)])


def check(fleet: Fleet, workers: int) -> None:
    """The parts together hold every item once, and nothing stands beside them."""
    found: Counter[int] = Counter()
    for part in parts(fleet):
        found.update(json.loads(line)["n"] for line in part.read_text().splitlines())
    expected = Counter(range(GRAPH.pages))
    assert not expected - found, f"lost {sorted(expected - found)[:9]}; {fleet.story()}"
    assert not found - expected, f"twice {sorted(found - expected)[:9]}; {fleet.story()}"
    assert len(parts(fleet)) == workers, f"{parts(fleet)}; {fleet.story()}"
    assert not list(fleet.folder.glob(".items*")), "notes are left beside the parts"
    assert not (fleet.folder / "items.jsonl").exists()


def test_parts_grow_and_those_of_killed_workers_are_completed(new_fleet: NewFleet) -> None:
    """Also a part that is not here: the machine of that worker is gone, and its disk with it."""
    fleet = new_fleet(GRAPH, settings=SETTINGS, words=["-O", "items.jsonl"])
    first, second, _ = fleet.start_together(3)
    fleet.wait_for_hits(60)
    with fleet.site.held():
        fleet.wait_until(lambda: lines(fleet) >= 30, "items in the parts")
        assert fleet.status()["status"] == "running"
        assert len(list(fleet.store().items(fleet.job))) >= 30, "an export at any time"
        first.kill()
    fleet.start()
    fleet.wait_for_hits(120)
    second.kill()
    gone = f"items.part-{run_of(fleet, second)}.*"
    for left in [*fleet.folder.glob(gone), *fleet.folder.glob(f".{gone}")]:
        left.unlink()
    fleet.expect_success()
    fleet.expect_completed()
    check(fleet, 4)


@pytest.mark.soak
def test_all_workers_that_die_leave_parts_that_the_next_one_completes(new_fleet: NewFleet) -> None:
    fleet = new_fleet(GRAPH, settings=SETTINGS, words=["-O", "items.jsonl"])
    workers = fleet.start_together(2)
    fleet.wait_until(lambda: lines(fleet) >= 40, "items in the parts")
    for worker in workers:
        worker.kill()
    torn = parts(fleet)[0]
    torn.write_bytes(torn.read_bytes()[:-7])
    fleet.start()
    fleet.expect_success()
    fleet.expect_completed()
    check(fleet, 3)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_parts_hold_every_item_once_through_kills(seed: int, new_fleet: NewFleet) -> None:
    fleet = new_fleet(GRAPH, settings=SETTINGS, words=["-O", "items.jsonl"])
    killed_at_random(fleet, seed)
    fleet.expect_success()
    fleet.expect_completed()
    check(fleet, len(fleet.workers))


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("items.jsonl", "items.part-3.jsonl"),
        ("out/%(name)s-%(batch_id)d.jsonl.gz", "out/%(name)s-%(batch_id)d.part-3.jsonl.gz"),
        ("s3://bucket.example/all", "s3://bucket.example/all.part-3"),
        ("./.hidden.csv", "./.hidden.part-3.csv"),
        ("stdout:", "stdout:"),
    ],
)
def test_a_part_has_a_name_of_its_own(template: str, part: str) -> None:
    assert part_name(template, 3) == part
    assert part_name(template, 0) == template
