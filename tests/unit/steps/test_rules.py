"""Which steps of an item may run, which wait, which are skipped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from scrapy_resume.model import OPEN_STEPS, StepState
from scrapy_resume.steps.rules import SWITCHED_OFF, changes, first_states
from scrapy_resume.store.contract import NewStep

PENDING, RUNNING, DONE = StepState.pending, StepState.running, StepState.done
FAILED, SKIPPED, WAITING = StepState.failed, StepState.skipped, StepState.waiting


class Rule(NamedTuple):
    name: str
    needs: Sequence[str] = ()
    after: Sequence[str] = ()


def states_of(steps: Sequence[NewStep]) -> dict[str, StepState]:
    return {step.name: step.state for step in steps}


def begun(rules: Sequence[Rule], *fields: str) -> dict[str, StepState]:
    return states_of(first_states(rules, fields.__contains__))


def changed(
    rules: Sequence[Rule],
    states: Mapping[str, StepState],
    *fields: str,
    lacking: Collection[str] = (),
    off: Collection[str] = (),
) -> dict[str, StepState]:
    found = changes(rules, states, fields.__contains__, lacking=lacking, off=off)
    return states_of(found)


def test_a_step_without_unmet_needs_runs_whatever_stands_before_it() -> None:
    assert begun([Rule("a"), Rule("b"), Rule("c", ["x"])], "x") == {
        "a": PENDING,
        "b": PENDING,
        "c": PENDING,
    }


def test_a_step_that_lacks_a_field_waits_while_one_before_it_is_open() -> None:
    assert begun([Rule("a"), Rule("b", ["x"])]) == {"a": PENDING, "b": WAITING}


def test_a_step_that_lacks_a_field_is_skipped_if_none_before_it_is_open() -> None:
    steps = first_states([Rule("a", ["x", "y", "z"]), Rule("b")], {"y"}.__contains__)
    assert steps == [
        NewStep("a", SKIPPED, "needs x, z, which the item lacks"),
        NewStep("b", PENDING),
    ]


def test_after_makes_a_step_wait_although_it_has_what_it_needs() -> None:
    assert begun([Rule("a"), Rule("b", ["x"], after=["a"])], "x") == {"a": PENDING, "b": WAITING}


def test_after_is_content_with_any_end() -> None:
    for state in (DONE, FAILED, SKIPPED, StepState.parked):
        assert changed([Rule("a"), Rule("b", after=["a"])], {"a": state, "b": WAITING}) == {
            "b": PENDING
        }


def test_a_step_that_the_item_does_not_have_is_not_waited_for() -> None:
    assert changed([Rule("a"), Rule("b", after=["a", "gone"])], {"a": DONE, "b": WAITING}) == {
        "b": PENDING
    }


def test_what_waits_for_a_field_runs_when_it_is_there_though_others_run() -> None:
    rules = [Rule("a"), Rule("b"), Rule("c", ["x"])]
    assert changed(rules, {"a": DONE, "b": RUNNING, "c": WAITING}, "x") == {"c": PENDING}


def test_what_waits_for_a_field_is_skipped_when_nobody_can_bring_it_any_more() -> None:
    rules = [Rule("a"), Rule("b", ["x"]), Rule("c", ["y"]), Rule("d")]
    states = {"a": FAILED, "b": WAITING, "c": WAITING, "d": RUNNING}
    assert changed(rules, states) == {"b": SKIPPED, "c": SKIPPED}


def test_a_step_after_one_that_lacks_its_field_for_now_waits() -> None:
    rules = [Rule("a"), Rule("b", ["x"]), Rule("c", after=["b"])]
    assert begun(rules) == {"a": PENDING, "b": WAITING, "c": WAITING}
    assert changed(rules, {"a": DONE, "b": WAITING, "c": WAITING}) == {
        "b": SKIPPED,
        "c": PENDING,
    }


def test_what_was_skipped_for_a_field_opens_again_when_it_comes() -> None:
    rules = [Rule("a"), Rule("b", ["x"])]
    states = {"a": DONE, "b": SKIPPED}
    assert changed(rules, states, "x", lacking=["b"]) == {"b": PENDING}
    assert changed(rules, states, lacking=["b"]) == {}
    assert changed(rules, states, "x") == {}, "it has skipped itself"


def test_a_step_that_opens_again_waits_for_what_it_is_after() -> None:
    rules = [Rule("a"), Rule("b"), Rule("c", ["x"], after=["b"])]
    states = {"a": DONE, "b": RUNNING, "c": SKIPPED}
    assert changed(rules, states, "x", lacking=["c"]) == {"c": WAITING}


def test_what_is_switched_off_is_skipped_and_nobody_waits_for_it() -> None:
    rules = [Rule("b", after=["a"])]
    found = changes(rules, {"a": WAITING, "b": WAITING}, "".__contains__, off=["a"])
    assert found == [NewStep("a", SKIPPED, SWITCHED_OFF), NewStep("b", PENDING)]


def test_steps_that_run_or_have_no_rule_are_left_alone() -> None:
    assert changed([Rule("a", ["x"])], {"a": RUNNING, "gone": WAITING}) == {}


NAMES = "abcde"


@st.composite
def plans(draw: st.DrawFn) -> list[Rule]:
    """Steps in the order of a plan: each is after some of those before it."""
    rules: list[Rule] = []
    for name in NAMES[: draw(st.integers(1, 5))]:
        needs = draw(st.lists(st.sampled_from("xyz"), unique=True, max_size=2))
        before = [rule.name for rule in rules]
        after = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
        rules.append(Rule(name, needs, after))
    return rules


@given(plans(), st.sets(st.sampled_from("xyz")), st.data())
def test_every_item_comes_to_its_end(
    rules: list[Rule], fields: set[str], data: st.DataObject
) -> None:
    """As long as a step is open, one of them can run; and each runs with its fields, after what it
    is after."""
    states = states_of(first_states(rules, fields.__contains__))
    by_name = {rule.name: rule for rule in rules}
    for _ in range(len(rules)):
        open_ = [name for name, state in states.items() if state in OPEN_STEPS]
        if not open_:
            break
        ready = [name for name in open_ if states[name] is PENDING]
        assert ready, states
        name = data.draw(st.sampled_from(ready))
        assert fields.issuperset(by_name[name].needs)
        assert all(states[other] not in OPEN_STEPS for other in by_name[name].after)
        states[name] = data.draw(st.sampled_from([DONE, FAILED, SKIPPED]))
        if states[name] is DONE:
            fields |= data.draw(st.sets(st.sampled_from("xyz")))
        states.update(states_of(changes(rules, states, fields.__contains__)))
    assert all(state not in OPEN_STEPS for state in states.values())
    for rule in rules:
        if not fields.issuperset(rule.needs):
            assert states[rule.name] is SKIPPED


def test_what_waits_without_a_rule_is_pending_when_nothing_else_is_left_to_end() -> None:
    rules = [Rule("a"), Rule("c", after=["b"])]
    states = {"a": DONE, "b": WAITING, "c": WAITING}
    assert changed(rules, states) == {"b": PENDING}
    assert changed(rules, {**states, "a": RUNNING}) == {}
    assert changed([Rule("a"), Rule("b"), Rule("c", after=["b"])], {**states, "b": DONE}) == {
        "c": PENDING
    }


@given(plans(), st.sets(st.sampled_from("xyz")), st.data())
def test_every_item_comes_to_its_end_whatever_is_changed_between_two_runs(
    rules: list[Rule], fields: set[str], data: st.DataObject
) -> None:
    """Steps are taken out, put back, and change places: one that is open can always be leased, and
    with all of them back the item comes to its end."""
    states = states_of(first_states(rules, fields.__contains__))
    for _ in range(4):
        now = [rule for rule in rules if data.draw(st.booleans())]
        for _ in range(len(now)):
            ready = [rule.name for rule in now if states[rule.name] is PENDING]
            if not ready:
                break
            states[data.draw(st.sampled_from(ready))] = data.draw(st.sampled_from([DONE, FAILED]))
            states.update(states_of(changes(now, states, fields.__contains__)))
            open_ = [name for name, state in states.items() if state in OPEN_STEPS]
            assert not open_ or any(states[name] is PENDING for name in open_), states
    for _ in range(len(rules)):
        for rule in rules:
            if states[rule.name] is PENDING:
                states[rule.name] = DONE
                states.update(states_of(changes(rules, states, fields.__contains__)))
    assert all(state not in OPEN_STEPS for state in states.values()), states
