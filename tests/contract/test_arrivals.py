from __future__ import annotations

import time
from itertools import count

import pytest

from scrapy_resume.model import Kind, occurrence_identity
from scrapy_resume.store.contract import Release, Wish

from .conftest import Place
from .records import SLOT, admission, continuation, finish, identity, tombstone


def test_what_arrives_is_pending_or_leased_as_asked(place: Place) -> None:
    committed = place.begin().admit(admission(1, lease=True), admission(2))
    assert place.states() == {"1": "leased", "2": "pending"}
    assert (committed.counts.leased, committed.counts.pending) == (1, 1)
    assert committed.pending == {SLOT: 1}
    assert not committed.duplicates


def test_the_second_of_two_equal_arrivals_in_a_batch_is_the_duplicate(place: Place) -> None:
    committed = place.begin().admit(admission(1, "a"), admission(2, "b"), admission(3, "a"))
    assert committed.duplicates == {3}
    assert committed.counts.total == 2


def test_what_arrived_before_is_a_duplicate_in_every_state(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in (1, 2, 3)), admission(4))
    run.finish(finish(1), finish(2, state=3), finish(3, state=5))
    again = [admission(10 + row, row) for row in (1, 2, 3, 4)]
    assert run.admit(*again).duplicates == {11, 12, 13, 14}


def test_duplicates_are_known_over_runs(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, "a"))
    run.die()
    assert place.resume().admit(admission(5, "a")).duplicates == {5}


def test_identities_that_share_their_first_bytes_are_told_apart(place: Place) -> None:
    first, second = b"\xff" * 8 + b"a" * 12, b"\xff" * 8 + b"b" * 12
    run = place.begin()
    run.admit(admission(1, identity=first))
    assert run.admit(admission(2, identity=second)).duplicates == set()
    assert run.admit(admission(3, identity=first)).duplicates == {3}


def test_an_arrival_that_is_not_recorded_leaves_no_trace(place: Place) -> None:
    run = place.begin()
    committed = run.admit(admission(1, "a", record=False), admission(2, "a", record=False))
    assert committed.duplicates == set()
    assert committed.counts.total == 0
    run.admit(admission(3, "a"))
    assert run.admit(admission(4, "a", record=False)).duplicates == {4}


def test_ids_go_on_after_those_that_may_have_been_used(place: Place) -> None:
    run = place.begin()
    assert run.session.ids.first >= 1
    run.commit(next_id=70, arrivals=[admission(5)])
    run.die()
    assert place.resume().session.ids.first >= 70


def test_a_unit_is_a_name_or_a_row(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, unit=1), admission(2, unit=1), admission(3, unit="Škoda \N{ROCKET}"))
    assert [row.unit for row in run.lease()] == [1, 1, "Škoda \N{ROCKET}"]
    assert place.rows()["3"]["unit"] == "Škoda \N{ROCKET}"
    assert place.rows()["2"]["unit"] == f"http://{SLOT}/1"


def test_a_leased_row_comes_back_as_it_arrived(place: Place) -> None:
    run = place.begin()
    sent = admission(
        7, parent=3, payload='{"meta":"é"}', priority=-2, start=1, seq=-5, unit="u", depth=4
    )
    run.admit(sent)
    (row,) = run.lease()
    for name in ("id", "identity", "parent", "url", "payload", "slot", "priority", "start", "seq"):
        assert getattr(row, name) == getattr(sent, name)
    assert (row.unit, row.attempts, row.crashes, row.items, row.every_run) == ("u", 0, 0, 0, False)
    assert place.rows()["7"]["depth"] == 4


# Counted arrivals: start()'s requests, as often as it yields them


def counted(row: int, name: str = "seed", **fields: object) -> object:
    return admission(row, name, counted=True, **fields)


def test_equal_counted_arrivals_of_one_run_are_rows_of_their_own(place: Place) -> None:
    run = place.begin()
    assert run.admit(counted(1), counted(2)).duplicates == set()
    assert run.admit(counted(3)).duplicates == set()
    assert [row.identity for row in run.lease()] == [
        occurrence_identity(identity("seed"), occurrence) for occurrence in range(3)
    ]


def test_the_next_run_meets_as_many_counted_arrivals_again(place: Place) -> None:
    run = place.begin()
    run.admit(counted(1), counted(2), counted(3))
    run.die()
    run = place.resume()
    assert run.admit(counted(4)).duplicates == {4}
    assert run.admit(counted(5), counted(6), counted(7)).duplicates == {5, 6}
    run.close()
    run = place.resume()
    assert run.admit(*(counted(row) for row in range(8, 13))).duplicates == {8, 9, 10, 11}


def test_a_run_that_died_within_start_is_met_as_far_as_it_came(place: Place) -> None:
    run = place.begin()
    run.admit(*(counted(row) for row in range(1, 6)))
    run.die()
    run = place.resume()
    run.admit(counted(6), counted(7))
    run.die()
    committed = place.resume().admit(*(counted(row) for row in range(10, 17)))
    assert committed.duplicates == set(range(10, 15))


def test_counted_arrivals_of_different_bases_are_counted_apart(place: Place) -> None:
    run = place.begin()
    run.admit(counted(1, "a"), counted(2, "b"), counted(3, "a"))
    run.die()
    committed = place.resume().admit(counted(4, "b"), counted(5, "b"), counted(6, "a"))
    assert committed.duplicates == {4, 6}


def test_equal_counted_arrivals_that_are_not_recorded_are_asked_about_one_by_one(
    place: Place,
) -> None:
    """Two equal start requests with lambdas: the first one's end must not hide the second."""
    run = place.begin()
    assert run.admit(counted(1, record=False), counted(2, record=False)).duplicates == set()
    assert run.finish(tombstone(1, name="seed", counted=True)).duplicates == set()
    run.die()
    run = place.resume()
    assert run.admit(counted(3, record=False)).duplicates == {3}
    assert run.admit(counted(4, record=False)).duplicates == set()
    assert run.finish(tombstone(4, name="seed", counted=True)).duplicates == set()
    run.die()
    run = place.resume()
    asked = [counted(row, record=False) for row in (5, 6, 7)]
    assert run.admit(*asked).duplicates == {5, 6}


def test_ten_thousand_equal_counted_arrivals_are_not_quadratic(place: Place) -> None:
    ids = count(1)
    run = place.begin()
    started = time.process_time()
    for _ in range(20):
        assert not run.admit(*(counted(next(ids)) for _ in range(500))).duplicates
    run.die()
    run = place.resume()
    for _ in range(20):
        assert len(run.admit(*(counted(next(ids)) for _ in range(500))).duplicates) == 500
    assert not run.admit(counted(next(ids))).duplicates
    assert time.process_time() - started < 15


def test_counting_does_not_depend_on_what_is_remembered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(place.store, object) and "Sqlite" in type(place.store).__name__:
        monkeypatch.setattr("scrapy_resume.store.transaction.arrivals.REMEMBERED_OCCURRENCES", 1)
    run = place.begin()
    for row in range(1, 60, 3):
        arrivals = [counted(row, "a"), counted(row + 1, "b"), counted(row + 2, "a")]
        assert not run.admit(*arrivals).duplicates
    run.die()
    run = place.resume()
    for row in range(100, 200, 5):
        names = ("b", "a", "a")
        arrivals = [counted(row + n, name) for n, name in enumerate(names)]
        assert run.admit(*arrivals).duplicates == {row, row + 1, row + 2}
    assert not run.admit(counted(300, "a"), counted(301, "b")).duplicates


# Requests that are fetched in every run


def test_requests_of_every_run_that_were_not_fetched_are_superseded(place: Place) -> None:
    run = place.begin()
    run.admit(
        admission(1, every_run=True),
        admission(2, every_run=True, lease=True),
        admission(3, every_run=True, not_before=time.time() + 900),
        admission(4),
    )
    assert not run.session.frontier.every_run
    run.die()
    run = place.resume()
    assert run.session.frontier.every_run
    assert run.session.counts.pending == 1
    assert run.session.counts.delayed == 0
    assert place.states() == {"1": "ignored", "2": "ignored", "3": "ignored", "4": "pending"}
    assert place.rows()["1"]["error"] == "superseded"
    run.admit(admission(10, every_run=True))
    assert [row.every_run for row in run.lease()] == [False, True]


# Items of start()


def test_items_of_start_are_known_but_not_counted_as_requests(place: Place) -> None:
    run = place.begin()
    item = {"name": "item", "counted": True, "kind": Kind.start_item}
    assert run.admit(admission(1, record=False, **item)).duplicates == set()
    committed = run.finish(tombstone(1, ["{}"], **item))
    assert committed.counts.total == 0
    assert committed.counts.items_stored == 1
    assert place.items() == ["{}"]
    assert place.rows() == {}
    run.die()
    assert place.resume().admit(admission(5, record=False, **item)).duplicates == {5}


# Delays


def test_a_delayed_row_is_leased_when_its_time_has_come(place: Place) -> None:
    run = place.begin()
    committed = run.admit(admission(1, not_before=time.time() + 0.2), admission(2))
    assert committed.counts.delayed == 1
    assert committed.counts.pending == 2
    assert committed.pending == {SLOT: 1}
    assert [row.id for row in run.lease()] == [2]
    time.sleep(0.25)
    committed = run.commit(wishes=[Wish(SLOT, 5)])
    assert [row.id for row in committed.leased] == [1]
    assert committed.counts.delayed == 0


def test_a_delay_that_is_over_shows_without_a_wish(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, not_before=time.time() + 0.1))
    time.sleep(0.15)
    committed = run.commit()
    assert committed.pending == {SLOT: 1}
    assert committed.counts.delayed == 0


def test_it_is_known_when_the_first_delayed_row_is_due(place: Place) -> None:
    run = place.begin()
    assert run.admit(admission(1)).next_due == 0
    assert run.admit(admission(2, not_before=3e9)).next_due == 3e9
    assert run.admit(admission(3, not_before=2e9)).next_due == 2e9
    assert run.admit(admission(4, not_before=4e9)).next_due == 2e9
    run.die()
    assert place.resume().commit().next_due == 2e9


def test_a_delay_outlives_the_run(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.admit(continuation(1, lease=False, not_before=time.time() + 900))
    run.die()
    run = place.resume()
    assert run.session.counts.delayed == 1
    assert run.session.frontier.pending == {}
    assert run.lease() == []


def test_a_leased_row_that_waits_is_still_delayed_when_it_is_released(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, lease=True))
    run.admit(continuation(1, not_before=time.time() + 900))
    run.commit(releases=[Release(1, 1)])
    run.close()
    run = place.resume()
    assert run.session.counts.delayed == 1
    assert run.lease() == []


def test_what_is_new_by_its_name_may_be_known_by_another_one(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, "old"))
    run.die()
    run = place.resume()
    others = [identity("older"), identity("old")]
    committed = run.admit(admission(5, "new", others=others), admission(6, "fresh", others=[]))
    assert committed.duplicates == committed.renamed == {5}
    known = run.admit(admission(7, "fresh", others=others), admission(8, "new"))
    assert (known.duplicates, known.renamed) == ({7}, set())


@pytest.mark.parametrize("batches", [1, 3])
def test_counted_arrivals_are_known_by_other_names_as_often_as_they_were(
    place: Place, batches: int
) -> None:
    run = place.begin()
    run.admit(*(admission(row, "old", counted=True) for row in (1, 2)))
    run.die()
    run = place.resume()
    new = [admission(row, "new", counted=True, others=[identity("old")]) for row in (5, 6, 7)]
    answers = [run.admit(*new)] if batches == 1 else [run.admit(one) for one in new]
    assert set().union(*(answer.renamed for answer in answers)) == {5, 6}
    assert set().union(*(answer.duplicates for answer in answers)) == {5, 6}
    run.die()
    again = [admission(10 + one.id, "new", counted=True, others=one.others) for one in new]
    assert place.resume().admit(*again).duplicates == {15, 16, 17}


def test_a_question_about_another_name_leaves_no_trace(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, "old"))
    asked = admission(2, "new", others=[identity("old")], record=False)
    assert run.admit(asked).renamed == {2}
    assert run.admit(admission(3, "new")).duplicates == set()
