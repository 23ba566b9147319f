"""Any order of admissions, leases, ends, deaths and takeovers, against the plain model."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as PhaseOfTest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scrapy_resume.errors import JobLockedError, LeaseLostError
from scrapy_resume.model import (
    Kind,
    Phase,
    Selection,
    State,
    StepCounts,
    StepState,
    UnitState,
)
from scrapy_resume.store.contract import (
    Batch,
    ItemChange,
    ItemRecord,
    LeasedStep,
    NewStep,
    Release,
    StepAnswer,
    StepAttempt,
    StepRelease,
    StepWish,
    Wish,
)
from scrapy_resume.store.transaction.steering import to_park, to_retry

from .conftest import BACKENDS, Place, sqlite_place
from .plain_model import PlainJob
from .plain_steps import SteppedItem, StepsAnswer
from .records import (
    BOOKS,
    Run,
    admission,
    continuation,
    finish,
    identity,
    tombstone,
)
from .records import batch as made

SLOTS = ("a", "b", "c")
LATER = 2e10
FINAL = (State.done, State.failed, State.failed, State.parked, State.ignored)

NAMES = [f"{letter}{number}" for letter in "pqr" for number in range(12)]
KEYS = (None, None, None, "k1", "k2", "k3")
STEPPED_KEYS = (None, None, None, "s1", "s2")

STEPS = ("photos", "vin", "price")
BEGINNINGS = (StepState.pending, StepState.pending, StepState.waiting, StepState.skipped)
ENDS = (
    StepState.done,
    StepState.done,
    StepState.pending,
    StepState.failed,
    StepState.skipped,
    StepState.parked,
)

chances = st.builds(Random, st.integers(0, 2**32 - 1))
"""What a step does is drawn from one seed: drawing each value of it takes minutes."""


RETRIED = ((), (), (State.done,), (State.done, State.failed))
"""States that `retry` is told; none: the usual ones."""


class StoreMachine(RuleBasedStateMachine):
    """One job, opened again and again."""

    make_place: Any
    """Set by the test for each backend."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.place: Place = self.make_place(Path(self.folder.name))
        self.plain = PlainJob()
        self.run: Run | None = None
        self.fenced: list[Run] = []
        self.next_id = 1
        self.sequence = 0
        self.crash_limit = 1
        self.places: Counter[int] = Counter()
        """Request → its items so far, in this execution."""
        self.unit_states = cycle(UnitState)
        """Units of one state after another are listed."""

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:  # else what follows from the first error would hide it
            self.check_everything()
            if self.plain.run:
                assert self.place.store.verify(BOOKS).violations == []
        self.place.close()
        self.folder.cleanup()

    # Opening and ending runs

    @initialize()
    def begin(self) -> None:
        self.run = self.place.begin(crash_limit=self.crash_limit)
        self.plain.open(died=False, blames=False, crash_limit=self.crash_limit)

    @precondition(lambda self: self.run is None)
    @rule(chance=chances)
    def resume(self, chance: Random) -> None:
        self._open(self.place.resume(crash_limit=self.crash_limit), self.died, blames=True)
        self._work(chance)

    @precondition(lambda self: self.run is not None)
    @rule(chance=chances)
    def take_over(self, chance: Random) -> None:
        assert self.run is not None
        self.fenced.append(self.run)
        if self.place.store.shared:
            self._commit_marks()
        run = self.place.resume(crash_limit=self.crash_limit, force=True)
        self._open(run, died=True, blames=False, taken_over=True)
        self._work(chance)

    def _commit_marks(self) -> None:
        """On their way to a server, marks go with a commit."""
        assert self.run is not None
        batch = Batch(next_id=self.next_id)
        assert self.run.job.commit(batch).counts == self.plain.commit(batch).counts

    def _open(self, run: Run, died: bool, blames: bool, taken_over: bool = False) -> None:
        recovered, parked = self.plain.open(died, blames, self.crash_limit)
        self.run = run
        session = run.session
        assert session.run == self.plain.run
        assert (session.recovered.requests, session.recovered.parked) == (recovered, parked)
        assert session.taken_over == taken_over
        assert session.crashed == (died and not taken_over)
        assert session.counts == self.plain.counts()
        assert session.frontier.pending == self.plain.pending()
        assert session.ids.first >= self.next_id
        assert session.ids.first == self.next_id or session.ids.step > 1
        self.next_id = session.ids.first
        assert session.state.spider_state == self.plain.state
        assert session.state.cookies == self.plain.cookies
        assert session.start.exhausted == self.plain.start_exhausted
        assert session.frontier.every_run == any(row.every_run for row in self.plain.rows.values())

    @precondition(lambda self: self.run is not None)
    @rule(chance=chances)
    def die(self, chance: Random) -> None:
        """With some of what is leased in the engine's hands."""
        assert self.run is not None
        for row in self._held([]):
            if chance.random() < 0.6:
                self._mark(row, chance.choice((Phase.sent, Phase.answered)))
        for item, name in self.plain.steps.running():
            if chance.random() < 0.6:
                self._mark(item.steps[name].mark, Phase.sent)
        self.run.die()
        self.run, self.died = None, True

    @precondition(lambda self: self.run is not None)
    @rule(chance=chances)
    def close(self, chance: Random) -> None:
        assert self.run is not None
        self.plain.close()
        status = "completed" if self.plain.counts().nothing_open else "paused"
        assert self.run.close("completed", "finished") == status
        self.run, self.died = None, False
        if chance.random() < 0.5:
            self._steer(chance)

    @precondition(lambda self: self.run is not None)
    @rule(chance=chances)
    def intrude(self, chance: Random) -> None:
        """Those who do not own the job try to open it, and to go on with it."""
        if not self.place.store.shared:
            with pytest.raises(JobLockedError):
                self.place.resume()
        for run in self.fenced[-2:]:
            batch = self._batch(chance, spent=False)
            with pytest.raises(LeaseLostError):
                run.job.commit(batch)
            run.job.mark(1, Phase.answered)
            with pytest.raises(LeaseLostError):
                run.close("completed", "finished")

    def _steer(self, chance: Random) -> None:
        """The commands retry and park, on some of the requests."""
        for url in sorted({row.url for row in self.plain.rows.values()}):
            what = chance.random()
            if what < 0.4:
                states = chance.choice(RETRIED)
                selection = to_retry(Selection(states, url=url))
                found = self.place.store.steer(BOOKS, selection, State.pending)
                assert found == self.plain.retry(url, selection.states)
            elif what < 0.5:
                found = self.place.store.steer(BOOKS, to_park(Selection(url=url)), State.parked)
                assert found == self.plain.park(url)

    # What happens in a run

    def _mark(self, row: int, phase: Phase | None) -> None:
        assert self.run is not None
        if phase is None:
            self.run.job.unmark(row)
            self.plain.marks.pop(row, None)
        else:
            self.run.job.mark(row, phase)
            self.plain.marks[row] = phase

    @precondition(lambda self: self.run is not None)
    @rule(chance=chances)
    def commit(self, chance: Random) -> None:
        self._work(chance)

    def _work(self, chance: Random) -> None:
        for _ in range(chance.randint(0, 8)):
            self._commit(chance)
            row = chance.randint(1, self.next_id)
            self._mark(row, chance.choice([Phase.sent, Phase.answered, None, None]))

    def _commit(self, chance: Random) -> None:
        assert self.run is not None
        batch = self._batch(chance)
        before = self.plain.pending()
        committed = self.run.job.commit(batch)
        expected = self.plain.commit(batch)
        assert committed.duplicates == expected.duplicates
        assert [row.id for row in committed.leased] == expected.leased
        suspect = committed.suspect
        assert (suspect.id if suspect else None) == expected.suspect
        assert committed.suspects == expected.suspects
        self._compare_steps(committed.steps, expected.steps, batch, expected.suspect)
        assert committed.counts == expected.counts
        after = self.plain.pending()
        for slot, count in committed.pending.items():
            assert after.get(slot, 0) == count
        changed = {slot for slot in SLOTS if before.get(slot, 0) != after.get(slot, 0)}
        assert changed | {wish.slot for wish in batch.leasing.wishes} <= committed.pending.keys()
        for row in [*committed.leased, *([suspect] if suspect else [])]:
            plain = self.plain.rows[row.id]
            for name in ("identity", "url", "slot", "priority", "start", "seq", "attempts"):
                assert getattr(row, name) == getattr(plain, name)
            assert (row.crashes, row.unit) == (plain.crashes, plain.unit)
            assert row.items == self.plain.item_count(row.id)

    def _compare_steps(
        self, found: StepAnswer, expected: StepsAnswer, batch: Batch, alone: int | None
    ) -> None:
        """``alone``: the request that this batch has leased to run alone."""
        leased = [
            self._leased(one, *meant)
            for one, meant in zip(found.leased, expected.leased, strict=True)
        ]
        assert all(step.condemned is None for step in leased)
        assert found.refused == expected.refused
        assert found.ended == expected.ended
        if batch.steps.suspect_wish and (suspects := self.plain.steps.suspects()):
            assert found.suspect is not None
            item, name = next(
                (item, name)
                for item, name in suspects
                if (item.key, name) == (found.suspect.key, found.suspect.name)
            )
            assert item is suspects[0][0]
            condemned = item.steps[name].condemned
            assert (self._leased(found.suspect, item, name).condemned is not None) == condemned
            item.steps[name].state = StepState.running
            if alone is None:
                self.plain.alone = found.suspect.mark
        else:
            assert found.suspect is None
        nothing = StepCounts()
        counts = self.plain.steps.counts()
        assert {name: c for name, c in found.counts.items() if c != nothing} == counts
        assert found.suspects == len(self.plain.steps.suspects())
        assert found.delayed == self.plain.steps.delayed

    def _leased(self, found: LeasedStep, item: SteppedItem, name: str) -> LeasedStep:
        step = item.steps[name]
        item.id, step.mark = found.item, found.mark
        assert (found.key, found.name, found.version) == (item.key, name, item.version)
        assert (found.attempts, found.crashes) == (step.attempts, step.crashes)
        if item.payload is not None:
            assert found.payload == item.payload
        return found

    # Batches

    def _batch(self, chance: Random, spent: bool = True) -> Batch:
        """Something of everything; ``spent``: the ids that it uses are not used again."""
        first = self.next_id
        arrivals = [self._arrival(chance) for _ in range(chance.randint(0, 4))]
        held = self._held(arrivals)
        places = Counter({row: len(spilled) for row, spilled in self.plain.spills.items()})
        spills = []
        for _ in range(chance.randint(0, 3)):
            row = chance.choice([*held, self.next_id])
            spills.append((row, self._item(chance, row, places[row])))
            places[row] += 1
        self.places = places
        finishes = [self._finish(chance, row) for row in held if chance.random() < 0.15]
        if chance.randint(0, 3) == 0:
            finishes.insert(0, self._tombstone(chance))
        releases = [Release(row, 1) for row in held if chance.random() < 0.05]
        batch = made(
            next_id=self.next_id,
            arrivals=arrivals,
            spills=spills,
            finishes=finishes,
            releases=releases,
            spider_state=chance.choice([None, "{}", "[1]"]),
            cookies={chance.choice("12"): chance.choice(NAMES)} if chance.random() < 0.5 else {},
            start_exhausted=chance.random() < 0.1,
            wishes=[
                Wish(chance.choice(SLOTS), chance.randint(1, 3))
                for _ in range(chance.randint(0, 3))
            ],
            suspect_wish=chance.random() < 0.7,
            changes=self._changes(chance),
            releases_of_steps=[
                StepRelease(item.id, name, item.steps[name].attempts, chance.choice((0.0, LATER)))
                for item, name in self.plain.steps.running()
                if chance.random() < 0.05
            ],
            wishes_of_steps=[
                StepWish(chance.choice(STEPS), chance.randint(1, 4))
                for _ in range(chance.randint(0, 2))
            ],
            suspect_wish_of_steps=chance.random() < 0.5,
        )
        if not spent:
            self.next_id = first
        return batch

    def _held(self, arrivals: list[Any]) -> list[int]:
        """Rows that may be leased when the finishes come, and some that are not."""
        rows = [row.id for row in self.plain.rows.values() if row.state is State.leased]
        return sorted({*rows, *(arrival.id for arrival in arrivals)})

    def _arrival(self, chance: Random) -> Any:
        self.sequence += 1
        place = {
            "slot": chance.choice(SLOTS),
            "priority": chance.randint(-1, 2),
            "start": chance.randint(0, 1),
            "seq": chance.choice((1, -1)) * self.sequence,
            "not_before": chance.choice((0.0, 0.0, 0.0, LATER)),
            "lease": chance.random() < 0.5,
        }
        held = self._held([])
        if held and chance.random() < 0.2:
            name = chance.choice((None, *NAMES))
            attempts = chance.randint(1, 3)
            return continuation(chance.choice(held), name, attempts=attempts, **place)
        kind = chance.choice(["ordinary", "counted", "asked", "every_run"])
        row = self._new_id()
        if kind == "every_run":
            return admission(row, f"run{row}", every_run=True, **place)
        return admission(
            row,
            chance.choice(NAMES),
            counted=kind == "counted" or (kind == "asked" and chance.random() < 0.5),
            record=kind != "asked",
            unit=chance.choice([row, "unit", *self._roots()]),
            **place,
        )

    def _roots(self) -> list[int]:
        """Rows that others may belong to: the oldest few."""
        return [
            row.id
            for row in list(self.plain.rows.values())[:5]
            if row.kind is Kind.request and row.unit == row.id
        ]

    def _changes(self, chance: Random) -> list[ItemChange]:
        """Ends of steps that are running, and of some that are not."""
        changes = []
        for item in self.plain.steps.items:
            running = [name for name, step in item.steps.items() if step.state is StepState.running]
            if not running or chance.random() < 0.6:
                continue
            others = [
                NewStep(name, chance.choice((StepState.pending, StepState.skipped)), "why")
                for name, step in item.steps.items()
                if step.state is StepState.waiting
            ]
            names = chance.sample(running, chance.randint(1, len(running)))
            changes.append(
                ItemChange(
                    item.id,
                    item.version + (chance.random() < 0.05),
                    [self._attempt(chance, name) for name in names],
                    others if chance.random() < 0.7 else (),
                    chance.choice((None, f'{{"changed": {self.sequence}}}')),
                    chance.choice((None, None, f'{{"visible": {self.sequence}}}')),
                    kept=chance.random() < 0.3,
                )
            )
            if chance.random() < 0.05:
                changes.append(changes[-1])  # its steps are not running any more
        return changes

    def _attempt(self, chance: Random, name: str) -> StepAttempt:
        state = chance.choice(ENDS)
        later = LATER if state is StepState.pending and chance.random() < 0.4 else 0.0
        return StepAttempt(name, state, chance.randint(1, 3), later, version="1", gave=["a"])

    def _tombstone(self, chance: Random) -> Any:
        kind = chance.choice(list(Kind))
        row = self._new_id()
        end = tombstone(
            row,
            [self._item(chance, row, self.places[row] + n) for n in range(chance.randint(0, 2))],
            name=chance.choice(NAMES),
            counted=chance.random() < 0.5,
            kind=kind,
            **({"unit": "unit"} if chance.random() < 0.3 else {}),
        )
        end.items_failed = chance.randint(0, 1)
        if kind is Kind.start_item:
            assert end.tombstone is not None
            end.tombstone.identity = identity("item")
        end.spilled = chance.random() < 0.5
        return end

    def _finish(self, chance: Random, row: int) -> Any:
        return finish(
            row,
            [self._item(chance, row, self.places[row] + n) for n in range(chance.randint(0, 2))],
            state=chance.choice(FINAL),
            attempts=chance.randint(1, 3),
            spilled=chance.random() < 0.5,
            supersedes=chance.random() < 0.5,
            items_dropped=chance.randint(0, 1),
            items_failed=chance.choice((0, 0, 0, 1)),
            error=chance.choice((None, "OneError", "OtherError")),
            http_status=chance.choice((None, 200, 404, 410, 500)),
        )

    def _item(self, chance: Random, row: int, occurrence: int) -> ItemRecord:
        self.sequence += 1
        if chance.random() < 0.6:
            return ItemRecord(occurrence, str(self.sequence), chance.choice(KEYS))
        key = chance.choice(STEPPED_KEYS)
        return ItemRecord(
            occurrence,
            str(self.sequence),
            key,
            steps=[
                NewStep(name, chance.choice(BEGINNINGS))
                for name in STEPS[: chance.randint(1, len(STEPS))]
            ],
            stable_key=key or f"{row}/{occurrence}",
        )

    def _new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    # What readers see

    def check_units(self) -> None:
        """What is kept of units is what their requests say."""
        plain = self.plain.units()
        found = []
        for row in self.place.reader.units(BOOKS):
            began, ended = row.pop("first_at"), row.pop("last_at")
            assert row.pop("error_message") is None or row["error"] is not None
            assert (began is None) == (ended is None)
            found.append({**row, "began": began is not None})
        assert sorted(found, key=str_of) == sorted(plain, key=str_of)
        assert len(found) == sum(self.place.reader.unit_tally(BOOKS).values())
        states = Counter(unit["state"] for unit in plain)
        for state, count in self.place.reader.unit_tally(BOOKS).items():
            assert states[state.name] == count
        state = next(self.unit_states)
        rows = list(self.place.reader.units(BOOKS, state))
        assert [row["state"] for row in rows] == [state.name] * states[state.name]

    @invariant()
    def the_summary_is_right(self) -> None:
        job = self.place.store.latest(BOOKS.name)
        if job is not None:
            assert job.counts == self.plain.counts()
            assert job.alive == (self.run is not None)
            self.check_units()

    def check_everything(self) -> None:
        if self.plain.run == 0:
            return
        assert self.place.items() == [item.payload for item in self.plain.items]
        found = [
            (row["url"], row["state"], row["attempts"], row["crashes"], row["items"])
            for row in self.place.reader.requests(BOOKS)
        ]
        assert found == [
            (row.url, row.state.name, row.attempts, row.crashes, self.plain.item_count(row.id))
            for row in sorted(self.plain.rows.values(), key=lambda row: row.id)
            if row.kind is Kind.request
        ]


def str_of(unit: dict[str, Any]) -> str:
    return str(sorted(unit.items()))


@pytest.mark.parametrize("make_place", BACKENDS)
@pytest.mark.parametrize(
    "examples", [15, pytest.param(800, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
def test_the_store_does_what_the_contract_says(
    make_place: Any, examples: int, request: pytest.FixtureRequest
) -> None:
    machine = type(
        "Machine",
        (StoreMachine,),
        {"make_place": staticmethod(lambda folder: make_place(folder, request.getfixturevalue))},
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            # Each begins with a database of its own, where it is one.
            max_examples=examples if make_place is sqlite_place else examples // 5,
            stateful_step_count=25,
            deadline=None,
            # What is drawn are seeds: a smaller one is no simpler, and looking for one takes hours.
            # The rules that are printed, with their seeds, lead to the failure again.
            phases=[PhaseOfTest.reuse, PhaseOfTest.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
