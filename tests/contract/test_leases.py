from __future__ import annotations

from scrapy_resume.store.contract import Release, Wish

from .conftest import Place
from .records import SLOT, admission, finish


def test_rows_are_leased_by_priority_then_start_then_seq(place: Place) -> None:
    run = place.begin()
    ranks = [(0, 0, 5), (0, 1, 1), (9, 1, 2), (0, 0, -7), (-1, 0, 0), (9, 0, 8), (0, 1, 0)]
    run.admit(
        *(
            admission(row, priority=priority, start=start, seq=seq)
            for row, (priority, start, seq) in enumerate(ranks, 1)
        )
    )
    expected = sorted(ranks, key=lambda rank: (-rank[0], rank[1], rank[2]))
    assert [(row.priority, row.start, row.seq) for row in run.lease(4)] == expected[:4]
    assert [(row.priority, row.start, row.seq) for row in run.lease(9)] == expected[4:]
    assert run.lease() == []


def test_a_row_is_leased_once(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row) for row in range(1, 6)))
    committed = run.commit(wishes=[Wish(SLOT, 2), Wish(SLOT, 2)])
    assert [row.id for row in committed.leased] == [1, 2, 3, 4]
    assert committed.pending == {SLOT: 1}
    assert (committed.counts.leased, committed.counts.pending) == (4, 1)


def test_rows_are_leased_by_slot(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, slot=f"s{row % 3}") for row in range(1, 10)))
    committed = run.commit(wishes=[Wish("s1", 2), Wish("s2", 9), Wish("nowhere", 3)])
    assert [(row.id, row.slot) for row in committed.leased] == [
        (1, "s1"),
        (4, "s1"),
        (2, "s2"),
        (5, "s2"),
        (8, "s2"),
    ]
    assert committed.pending == {"s1": 1, "s2": 0, "nowhere": 0}


def test_what_arrives_can_be_leased_by_the_same_batch(place: Place) -> None:
    committed = place.begin().commit(arrivals=[admission(1)], wishes=[Wish(SLOT, 1)])
    assert [row.id for row in committed.leased] == [1]
    assert committed.pending == {SLOT: 0}


def test_what_is_released_can_be_leased_by_the_same_batch(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    committed = run.commit(releases=[Release(1, 3)], wishes=[Wish(SLOT, 1)])
    assert [(row.id, row.attempts) for row in committed.leased] == [(1, 3)]


def test_a_row_that_is_not_leased_is_not_released(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True), admission(2))
    run.finish(finish(1))
    committed = run.commit(releases=[Release(1, 1), Release(2, 1), Release(3, 1)])
    assert place.states() == {"1": "done", "2": "pending"}
    assert committed.pending.get(SLOT, 1) == 1


def test_what_a_batch_touches_is_reported(place: Place) -> None:
    run = place.begin()
    assert run.admit(admission(1, slot="a"), admission(2, slot="b")).pending == {"a": 1, "b": 1}
    assert run.admit(admission(3, slot="a")).pending == {"a": 2}
    assert run.commit().pending == {}


def test_the_next_run_is_told_which_slots_have_rows(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, slot=f"s{row % 3}") for row in range(1, 9)))
    run.commit(wishes=[Wish("s1", 9)])
    run.finish(*(finish(row) for row in (1, 4, 7)))
    run.commit(wishes=[Wish("s2", 1)])
    run.die()
    assert place.resume().session.frontier.pending == {"s0": 2, "s2": 3}


def test_very_many_slots(place: Place) -> None:
    """More than a store remembers the ids of."""
    run = place.begin()
    run.admit(*(admission(row, slot=f"s{row}") for row in range(1, 6001)))
    run.admit(*(admission(row, slot=f"s{row}") for row in range(6001, 12001)))
    committed = run.commit(wishes=[Wish("s1", 1), Wish("s12000", 1), Wish("s5", 1)])
    assert [row.id for row in committed.leased] == [1, 12000, 5]
    assert len(committed.pending) == 3
