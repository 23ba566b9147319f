"""The images of a small disk are exactly those that the models allow."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from tests.power.disk import BLOCK, JOURNAL, MODELS, STRICT, Disk, Policies, Tree
from tests.power.recorder import Event, Snapshot

DRAWS = 600
A, B, NUL = b"a", b"b", b"\0"

State = frozenset["tuple[str, bytes | None]"]


def states(model: str, events: Iterable[Event], before: Snapshot | None = None) -> set[State]:
    """What is drawn, over and over."""
    disk = Disk(before or {}, list(events))
    found = set()
    for seed in range(DRAWS):
        chance = random.Random(seed)
        found.add(state(disk.left(chance, model, Policies(chance))))
    return found


def state(tree: Tree) -> State:
    return frozenset(tree.items())


def allowed(*trees: Tree) -> set[State]:
    return {state(tree) for tree in trees}


def create(name: str, inode: int) -> Event:
    return Event("c", inode, name)


def write(inode: int, offset: int, content: bytes) -> Event:
    return Event("w", inode, "", offset=offset, content=content)


def truncate(inode: int, size: int) -> Event:
    return Event("t", inode, "", offset=size)


def sync(inode: int) -> Event:
    return Event("s", inode)


def rename(name: str, other: str) -> Event:
    return Event("r", 0, name, other)


SYNC_FOLDER = Event("S", 0, "")


@pytest.mark.parametrize("model", MODELS)
def test_an_unsynced_write_in_place_is_there_or_not(model: str) -> None:
    before: Snapshot = {"f": (1, b"old")}
    assert states(model, [write(1, 0, b"new")], before) == allowed({"f": b"old"}, {"f": b"new"})
    assert states(model, [write(1, 0, b"new"), sync(1)], before) == allowed({"f": b"new"})


@pytest.mark.parametrize("model", MODELS)
def test_each_block_of_an_unsynced_append_is_there_or_nul(model: str) -> None:
    whole, rest = BLOCK * A, BLOCK + 904
    found = states(model, [write(1, BLOCK, rest * B)], {"f": (1, whole)})
    contents = [whole, *(whole + BLOCK * one for one in (B, NUL))]
    contents += [whole + BLOCK * one + 904 * two for one in (B, NUL) for two in (B, NUL)]
    assert found == allowed(*({"f": content} for content in contents))


@pytest.mark.parametrize("model", MODELS)
def test_blocks_are_as_different_writes_left_them(model: str) -> None:
    before: Snapshot = {"f": (1, 2 * BLOCK * A)}
    events = [write(1, 0, 2 * BLOCK * B), write(1, BLOCK, BLOCK * b"c")]
    found = states(model, events, before)
    contents = [BLOCK * one + BLOCK * two for one in (A, B) for two in (A, B, b"c")]
    assert found == allowed(*({"f": content} for content in contents))


@pytest.mark.parametrize("model", MODELS)
def test_what_was_cut_off_does_not_come_back_with_what_was_appended(model: str) -> None:
    events = [truncate(1, 4), write(1, 4, 2 * B)]
    found = states(model, events, {"f": (1, 10 * A)})
    contents = (10 * A, 4 * A, 4 * A + 2 * NUL, 4 * A + 2 * B)
    assert found == allowed(*({"f": content} for content in contents))


@pytest.mark.parametrize("model", MODELS)
def test_a_renamed_file_may_be_empty_unless_it_was_synced(model: str) -> None:
    before: Snapshot = {"note": (1, b"old")}
    events = [create("new", 2), write(2, 0, b"x"), rename("new", "note")]
    old: Tree = {"note": b"old"}
    found = states(model, events, before)
    contents = (b"", NUL, b"x")
    expected = [old, *({"note": one} for one in contents)]
    expected += [{"note": b"old", "new": one} for one in contents]
    assert found == allowed(*expected)
    synced = [*events[:2], sync(2), *events[2:]]
    after = [{"note": b"x"}, {"note": b"old", "new": b"x"}]
    assert states(JOURNAL, synced, before) == allowed(*after)
    assert states(STRICT, synced, before) == allowed(old, *after)
    assert states(model, [*synced, SYNC_FOLDER], before) == allowed({"note": b"x"})


def test_names_come_in_any_order_and_with_a_journal_in_theirs() -> None:
    events = [create("a", 1), create("b", 2)]
    a: Tree = {"a": b""}
    both: Tree = {"a": b"", "b": b""}
    assert states(STRICT, events) == allowed({}, a, {"b": b""}, both)
    assert states(JOURNAL, events) == allowed({}, a, both)


def test_syncing_a_file_keeps_its_name_only_with_a_journal() -> None:
    events = [create("a", 1), create("b", 2), sync(2)]
    a: Tree = {"a": b""}
    both: Tree = {"a": b"", "b": b""}
    assert states(STRICT, events) == allowed({}, a, {"b": b""}, both)
    assert states(JOURNAL, events) == allowed(both)
    for model in MODELS:
        assert states(model, [*events, SYNC_FOLDER]) == allowed(both)


def test_a_file_has_not_grown_without_what_the_journal_had_before() -> None:
    before: Snapshot = {"a": (1, b""), "c": (2, b"")}
    events = [rename("a", "b"), write(2, 0, b"x")]
    old: Tree = {"a": b"", "c": b""}
    renamed = [{"b": b"", "c": one} for one in (b"", NUL, b"x")]
    assert states(JOURNAL, events, before) == allowed(old, *renamed)
    grown = [{"a": b"", "c": one} for one in (NUL, b"x")]
    assert states(STRICT, events, before) == allowed(old, *renamed, *grown)


def test_a_truncation_is_in_the_journal() -> None:
    before: Snapshot = {"f": (1, 8 * A)}
    events = [truncate(1, 0), create("g", 2), sync(2), SYNC_FOLDER]
    assert states(JOURNAL, events, before) == allowed({"f": b"", "g": b""})
    assert states(STRICT, events, before) == allowed({"f": 8 * A, "g": b""}, {"f": b"", "g": b""})


def test_what_is_in_a_directory_goes_with_it() -> None:
    made = Event("m", 9, "d")
    events = [made, create("d/f", 1), sync(1), Event("S", 9, "d")]
    whole: Tree = {"d": None, "d/f": b""}
    assert states(STRICT, events) == allowed({}, whole)
    assert states(STRICT, [*events, SYNC_FOLDER]) == allowed(whole)
    assert states(JOURNAL, events) == allowed(whole)
    assert states(JOURNAL, [made, create("d/f", 1)]) == allowed({}, {"d": None}, whole)


@pytest.mark.parametrize("model", MODELS)
def test_removed_names_may_be_back_until_their_directory_is_synced(model: str) -> None:
    before: Snapshot = {"f": (1, b"x")}
    removed = [Event("u", 1, "f")]
    assert states(model, removed, before) == allowed({}, {"f": b"x"})
    assert states(model, [*removed, SYNC_FOLDER], before) == allowed({})
