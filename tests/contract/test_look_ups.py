"""What a run may ask of keys that it has read, before it admits them."""

from __future__ import annotations

from .conftest import Place
from .records import SLOT, admission, finish, identity, tombstone


def test_known_identities_are_found_with_their_rows_in_every_state(place: Place) -> None:
    run = place.begin()
    run.admit(*(admission(row, lease=True) for row in (1, 2, 3)), admission(4))
    run.finish(finish(1), finish(2, state=3), tombstone(5))
    asked = [identity(name) for name in (1, 2, 3, 4, 5, 6)]
    found = run.job.look_up(asked)
    assert found.rows == {identity(row): row for row in (1, 2, 3, 4, 5)}
    assert run.job.look_up([]).rows == {}


def test_looking_up_changes_nothing(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1))
    run.job.look_up([identity(2)])
    assert run.admit(admission(2, lease=True)).duplicates == set()
    assert place.states() == {"1": "pending", "2": "leased"}


def test_slots_are_told_of_pending_rows_alone(place: Place) -> None:
    run = place.begin()
    run.admit(admission(1, slot="a"), admission(2, slot="b", lease=True), admission(3, slot="c"))
    run.finish(finish(2))
    assert run.job.pending_slots([1, 2, 3]) == {"a", "c"}
    assert run.job.pending_slots([2]) == set()
    assert run.job.pending_slots([]) == set()
    assert SLOT not in run.job.pending_slots([1])
