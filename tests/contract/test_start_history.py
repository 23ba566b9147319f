"""What a store knows of ``start()`` in earlier runs."""

from __future__ import annotations

from scrapy_resume.model import NO_PARENT, Kind

from .conftest import Place
from .records import PAYLOAD, SLOT, admission, tombstone


def test_items_of_start_are_counted_over_all_runs(place: Place) -> None:
    run = place.begin()
    assert run.job.start_items() == 0
    run.admit(admission(1, lease=True))
    given = {"kind": Kind.start_item, "counted": True, "lease": True}
    run.finish(tombstone(2, ["a"], name="seed", **given), tombstone(3, ["a"], name="seed", **given))
    orphan = {"kind": Kind.start_item, "parent": NO_PARENT, "lease": True}
    run.finish(tombstone(4, ["b"], name="orphan", **orphan))
    assert run.job.start_items() == 2
    run.close()
    assert place.resume().job.start_items() == 2


def test_requests_of_start_that_arrive_again_are_met(place: Place) -> None:
    run = place.begin()
    run.admit(
        admission(1, "a", counted=True, url=f"http://{SLOT}/one"),
        admission(2, "b", counted=True, url=f"http://{SLOT}/two"),
        admission(3, "c", counted=True, url=f"http://{SLOT}/three"),
        admission(4, "below", parent=1),
        admission(5, "login", every_run=True),
    )
    assert run.job.starts_not_met(10) == []
    run.close()
    later = place.resume()
    first = later.next_id
    later.admit(admission(first, "b", counted=True), admission(first + 1, "new", counted=True))
    left = [(f"http://{SLOT}/one", PAYLOAD), (f"http://{SLOT}/three", PAYLOAD)]
    assert later.job.starts_not_met(10) == left
    assert later.job.starts_not_met(1) == left[:1]
