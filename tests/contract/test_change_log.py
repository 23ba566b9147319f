"""The change log: who follows it has what the job has, over retries, keys, runs and backups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scrapy_resume.model import Selection, State
from scrapy_resume.store.contract import ItemRecord, LogMark
from tests.contract.conftest import Place

from .records import BOOKS, Run, admission, finish


class Follower:
    """Applies what it is told, in portions."""

    def __init__(self, count: int = 2) -> None:
        self.position: Sequence[LogMark] = ()
        self.rows: dict[str, str] = {}
        self.count = count

    def follow(self, run: Run) -> list[str]:
        while True:
            portion = run.job.changes(self.position, self.count)
            assert len(portion.changes) <= self.count
            for change in portion.changes:
                if change.payload is None:
                    self.rows.pop(change.item, None)
                else:
                    self.rows[change.item] = change.payload
            self.position = portion.position
            if not portion.more:
                return sorted(self.rows.values())


def begun(place: Place, pages: int = 4) -> Run:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in range(1, pages + 1)))
    return run


def test_a_follower_has_each_item_in_portions_of_any_size(place: Place) -> None:
    run = begun(place)
    run.finish(finish(1, ["a", "b", "c"]), finish(2, ["d"]))
    for count in (1, 2, 100):
        follower = Follower(count)
        assert follower.follow(run) == ["a", "b", "c", "d"]
        assert follower.follow(run) == ["a", "b", "c", "d"]
    run.finish(finish(3, ["e"]))
    assert follower.follow(run) == ["a", "b", "c", "d", "e"]


def test_what_a_retry_replaces_is_an_update_and_what_it_lacks_is_taken_back(place: Place) -> None:
    run, follower = begun(place, pages=2), Follower()
    run.finish(finish(1, ["a", "b", "c"], state=State.failed, error="E"), finish(2, ["x"]))
    assert follower.follow(run) == ["a", "b", "c", "x"]
    known = set(follower.rows)
    place.retry(1, run)
    run = place.resume()
    (row,) = run.lease()
    run.finish(finish(row.id, ["A", "B"], supersedes=True))
    assert follower.follow(run) == ["A", "B", "x"]
    assert set(follower.rows) < known
    # Whoever begins now sees the same.
    assert Follower().follow(run) == ["A", "B", "x"]


def test_an_item_with_a_key_keeps_its_name_over_pages(place: Place) -> None:
    run, follower = begun(place), Follower()
    run.finish(finish(1, [ItemRecord(0, "one", "key")]))
    assert follower.follow(run) == ["one"]
    run.finish(finish(2, [ItemRecord(0, "two", "key")]))
    assert follower.follow(run) == ["two"]
    assert len(follower.rows) == 1


def test_an_item_is_found_by_the_id_of_its_change(place: Place) -> None:
    run = begun(place)
    run.finish(finish(1, ["a", "b"]))
    ids = [change.id for change in run.job.changes((), 10).changes]
    assert [one.payload for one in run.job.chosen(ids[1:])] == ["b"]
    assert run.job.chosen([10**9]) == []


def test_a_position_is_of_the_history_that_has_made_it(place: Place, tmp_path: Path) -> None:
    run, follower = begun(place), Follower()
    uid = run.session.uid
    assert len(uid) == 32
    run.finish(finish(1, ["a"]))
    follower.follow(run)
    assert run.job.holds(follower.position)
    assert run.job.holds(())
    place.store.backup(BOOKS, tmp_path / "copy")
    early = follower.position
    run.finish(finish(2, ["b"]))
    follower.follow(run)
    assert run.job.holds(follower.position)
    run.close()
    place.store.delete(BOOKS)
    place.store.restore(tmp_path / "copy")
    again = place.resume()
    assert again.session.uid == uid
    assert again.job.holds(early)
    assert not again.job.holds(follower.position)
    again.admit(*(admission(row, lease=True) for row in range(50, 55)))
    again.finish(*(finish(row, ["x", "y"]) for row in range(50, 55)))
    assert not again.job.holds(follower.position)
    again.close()
    third = place.resume()
    assert not third.job.holds(follower.position)
    assert third.job.holds(early)


def test_other_jobs_have_other_ids(place: Place) -> None:
    first = place.begin()
    first.close()
    place.store.delete(BOOKS)
    assert place.begin().session.uid != first.session.uid
    assert place.reader.summary(BOOKS).uid


def test_a_reader_follows_a_job_that_is_over(place: Place) -> None:
    run = begun(place)
    run.finish(finish(1, ["a", "b"]))
    run.close()
    with place.reader.change_log(BOOKS) as log:
        portion = log.changes((), 10)
        assert [change.payload for change in portion.changes] == ["a", "b"]
        assert log.holds(portion.position)
        assert log.chosen([portion.changes[0].id])[0].payload == "a"


def test_workers_that_commit_out_of_order_are_followed_each_by_itself(place: Place) -> None:
    if not place.store.shared:
        return
    first = begun(place, pages=6)
    second = place.resume(worker="host:2")
    follower = Follower(count=1)
    second.admit(*(admission(row, lease=True) for row in range(100, 104)))
    for number, row in enumerate((1, 100, 2, 101)):
        run = second if row >= 100 else first
        run.finish(finish(row, [f"item {number}", f"more {number}"]))
        follower.follow(first)
    assert follower.follow(second) == sorted(
        f"{word} {number}" for number in range(4) for word in ("item", "more")
    )
    assert len(follower.position) == 2


def test_the_selection_of_nothing_changes_nothing(place: Place) -> None:
    run, follower = begun(place), Follower()
    run.finish(finish(1, ["a"]))
    before = follower.follow(run)
    run.close()
    place.store.steer(BOOKS, Selection((State.failed,)), State.pending)
    assert follower.follow(place.resume()) == before
