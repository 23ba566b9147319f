"""Runs the steps of items: leases them with the batches, begins them, reports what comes of them.

A step is leased, marked as running, and run with a copy of its item. What it comes to goes to the
store with the next batch, as one change of the item. Nothing begins while the spider closes; what
runs is waited for as requests are, and what is leased goes back.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import CallbackMissingError, ResumeError, message_of
from scrapy_resume.frontier.retries import Backoff
from scrapy_resume.model import Phase, StepCounts, StepState
from scrapy_resume.steps.attempts import Attempt, Attempts
from scrapy_resume.steps.held import HeldSteps
from scrapy_resume.steps.hung import HungCalls
from scrapy_resume.steps.item_fields import MergeError
from scrapy_resume.steps.lease_queue import LeaseQueue
from scrapy_resume.steps.outcomes import Outcome, failure
from scrapy_resume.steps.rules import SWITCHED_OFF
from scrapy_resume.store.contract import StepAttempt, StepRelease
from scrapy_resume.store.transaction.parking import CRASH
from scrapy_resume.store.transaction.step_tables import MISSING

if TYPE_CHECKING:
    from scrapy_resume.ports.clock import Timer
    from scrapy_resume.steps.definition import StepDefinition
    from scrapy_resume.steps.items import HeldItem, HeldItems
    from scrapy_resume.steps.plan import StepPlan
    from scrapy_resume.steps.ports import StepLimits, StepPorts
    from scrapy_resume.steps.step_log import StepLog
    from scrapy_resume.store.contract import Batch, Committed, LeasedStep, StepAnswer

logger = logging.getLogger("scrapy_resume")

POLL_SECONDS: Final = 0.5
"""How often a run without anything to do asks for steps that other workers have."""

CARRIED_OVER: Final = "carried over: what it needs and its version are what they were"


class StepRunner:
    """The steps of one run. Part of ``run.batch_sync``'s batches, and asked by the tracker."""

    def __init__(
        self,
        plan: StepPlan,
        limits: StepLimits,
        items: HeldItems,
        log: StepLog,
        ports: StepPorts,
    ) -> None:
        self.plan = plan
        self._limits = limits
        self._items = items
        self._log = log
        self._job = ports.job
        self._committer = ports.committer
        self._dispatcher = ports.dispatcher
        self._guard = ports.guard
        self._engine = ports.engine
        self._clock = ports.clock
        self._hold = ports.hold
        self._shared = ports.job.session.sharing.shared
        self._attempts = Attempts(
            ports.calls, ports.threads, ports.takes, ports.clock, self._ended, self._left
        )
        self._backoffs = {step.name: self._backoff_of(step) for step in plan.steps}
        self._queue = LeaseQueue(plan, limits.places, ports.job.session.steps.ready)
        self._busy: Counter[str] = Counter()
        """Calls by name that have not ended, those whose outcome is known too."""
        self._places_taken = 0
        self._running: set[Attempt] = set()
        """Attempts without an outcome."""
        self.hung = HungCalls(limits.places, ports.clock)
        self._releases: list[StepRelease] = []
        self.held = HeldSteps()
        self._alone: LeasedStep | None = None
        """The suspect that runs, or is to run, beside nothing else."""
        self._asks_suspect = False
        self._starting = False
        self._frozen = False
        self._poll: Timer | None = None
        self.counts: Mapping[str, StepCounts] = ports.job.session.steps.counts
        """Of the whole job, by step, as of the last commit."""
        self._suspects = ports.job.session.steps.suspects
        self.delayed = ports.job.session.steps.delayed
        """Steps that wait for a time, as of the last commit."""
        self.next_due = ports.job.session.steps.next_due
        """See ``StepAnswer``."""

    def _backoff_of(self, step: StepDefinition) -> Backoff:
        first = step.retry_delay_seconds
        if first is None:
            first = self._limits.retry_delay_seconds
        return Backoff(first, self._limits.retry_delay_max_seconds, self._clock)

    @property
    def in_use(self) -> bool:
        """Whether the crawl has steps, or its job has open ones."""
        return bool(self.plan.steps or self.plan.off or self.counts)

    # ---- what the tracker asks

    @property
    def has_pending(self) -> bool:
        """Whether a step is open that this run can run, or an item may still bring some."""
        if self._frozen or not self.in_use:
            return False
        if self.hangs:
            return self._items.has_changes or not self._committer.idle
        return bool(
            self._at_work
            or self._asks_suspect
            or self._alone is not None
            or not self._committer.idle
            or self.delayed
            or self.next_due
        )

    @property
    def _at_work(self) -> bool:
        """Whether a step runs, here or elsewhere, or could run at once. (Others wait for such a
        step of their item.)"""
        return bool(
            self._running
            or len(self._queue)
            or self._items.has_changes
            or self._queue.ready
            or self._suspects
            or any(
                counts.running > self.held[name]
                for name, counts in self.counts.items()
                if self.plan.knows(name)
            )
        )

    @property
    def keeps_pages_waiting(self) -> bool:
        """Whether no request may be dispatched: a suspect step runs, or is about to, alone; or a
        suspect page is to run alone, and steps run."""
        if self._alone is not None or self._asks_suspect:
            return True
        return bool(self._running) and self._dispatcher.alone is not None

    @property
    def only_waits(self) -> bool:
        """Whether all open steps wait for a time, or for such a step."""
        return not self._at_work

    @property
    def waiting_count(self) -> int:
        """Number of open steps of which this run waits for the time to begin the first."""
        return self.delayed or (self.open_count if self.next_due else 0)

    @property
    def open_count(self) -> int:
        """Open steps that this run can run."""
        known = self.plan.knows
        return sum(
            counts.open - self.held[name] for name, counts in self.counts.items() if known(name)
        )

    @property
    def missing(self) -> dict[str, int]:
        """Steps of which the job has open ones, and RESUME_STEPS has none of that name → how
        many."""
        return {
            name: counts.open
            for name, counts in self.counts.items()
            if counts.open and not self.plan.knows(name)
        }

    @property
    def wanting(self) -> Sequence[tuple[str, int, Sequence[str]]]:
        """Steps that were skipped for all items, since these lack what the steps need: (name,
        number of items, the fields)."""
        return [
            (step.name, counts.skipped, step.needs)
            for step in self.plan.steps
            if step.needs
            and (counts := self.counts.get(step.name)) is not None
            and counts.skipped
            and not (counts.open or counts.done or counts.failed or counts.parked)
        ]

    @property
    def holds_any(self) -> bool:
        """Whether steps are open that this run has no code for, or no place."""
        return self.in_use and bool(len(self.held) or self.missing or self.hangs)

    @property
    def hangs(self) -> bool:
        """Whether steps are open, and calls that never end keep all of them from being begun."""
        if self._running or not self.open_count:
            return False
        return self.hung.keep_out(self._queue.wanted_steps, self._free)

    @property
    def error(self) -> tuple[str, str] | None:
        """Class and message of what keeps the job from being completed; ``None``: no step."""
        error = self.held.error(self.missing)
        return self.hung.error if error is None and self.hangs else error

    # ---- batches

    def complete(self, batch: Batch) -> None:
        """Add to a batch that is about to be sent what has ended, and what to lease."""
        if not self.in_use:
            return
        closing = self._engine.closing
        if closing:
            self._release_queued()
        report = batch.steps
        report.changes = self._items.take_changes()
        report.releases, self._releases = self._releases, []
        if closing or self._frozen:
            return
        self._asks_suspect = report.suspect_wish = self._wants_suspect()
        if not self._asks_suspect and self._alone is None:
            report.wishes = self._queue.wishes(self._free, self._busy)

    def answered(self, batch: Batch, answer: Committed) -> None:
        """A batch was committed: note what the store says, and begin what was leased."""
        steps = answer.steps
        self.counts = steps.counts
        if not self.in_use:
            return
        self._suspects, self.delayed = steps.suspects, steps.delayed
        self.next_due = steps.next_due
        self._asks_suspect = False
        self._items.answered(batch.steps.changes, steps.refused)
        self._log.committed(batch.steps.changes, steps.refused)
        if self._frozen:
            return
        self._queue.answered(steps.leased, steps.ready)
        for leased in steps.leased:
            self._items.lease(leased)
            if self.plan.by_name.get(leased.name) is None or leased.condemned is not None:
                self._end_without_running(leased)
            else:
                self._queue.push(leased)
        if steps.suspect is not None:
            self._lease_alone(steps.suspect)
        self.start_more()
        self._ask_for_more(steps)

    def _lease_alone(self, leased: LeasedStep) -> None:
        self._items.lease(leased)
        if leased.name in self.plan.off or leased.condemned is not None:
            self._end_without_running(leased)
        elif leased.name in self.plan.by_name:
            self._alone = leased
        else:
            self.held.add(leased)

    def _ask_for_more(self, answer: StepAnswer) -> None:
        """Have a batch sent if the store has steps for this run, now or in a while."""
        if self._engine.closing:
            return
        if self._wants_suspect() or self._queue.wants_more(self._free, self._busy):
            self._committer.send_soon()
        elif self._shared and self._poll is None and self.open_count and not self._running:
            seconds = POLL_SECONDS * random.uniform(0.5, 1.5)
            self._poll = self._clock.call_later(seconds, self._ask_again)

    def _ask_again(self) -> None:
        self._poll = None
        self._committer.send_soon()

    def _wants_suspect(self) -> bool:
        """Whether to ask for a suspect: after all others, and when nothing is in flight."""
        return bool(
            self._suspects
            and self._alone is None
            and not self._frozen
            and not self._running
            and not len(self._queue)
            and not self._queue.ready
            and self._dispatcher.only_waits()
            and not self._engine.closing
        )

    def _release_queued(self) -> None:
        leased = self._queue.take_all()
        if self._alone is not None and not self._running:
            leased.append(self._alone)
            self._alone = None
        for one in leased:
            self._release(one)

    def _release(self, leased: LeasedStep) -> None:
        if self._items.of(leased) is not None:
            self._releases.append(StepRelease(leased.item, leased.name, leased.attempts))
            self._items.give_up(leased)

    # ---- attempts

    @property
    def _free(self) -> int:
        return self._limits.places - self._places_taken

    def start_more(self) -> None:
        """Begin what is leased, as far as there are places."""
        if self._starting:
            return
        self._starting = True
        try:
            while self._may_start() and (leased := self._next()) is not None:
                self._start(leased)
        finally:
            self._starting = False

    def _may_start(self) -> bool:
        return bool(
            (len(self._queue) or self._alone is not None)
            and self._free > 0
            and not self._frozen
            and not self._committer.sealed
            and not self._committer.full
            and not self._engine.closing
            and self._dispatcher.alone is None
            and self._guard.may_send()
        )

    def _next(self) -> LeasedStep | None:
        if self._alone is None:
            return self._queue.pop(self._busy)
        if self._running or self._dispatcher.dispatched:
            return None
        return self._alone

    def _start(self, leased: LeasedStep) -> None:
        item = self._items.of(leased)
        step = self.plan.by_name[leased.name]
        if item is None:
            self._ended_alone(leased)
            return
        attempt = Attempt(step, leased)
        try:
            content = self._items.copy_of(item)
            attempt.inputs = self._items.inputs_of(step, content)
        except CallbackMissingError as error:
            self._hold_back(leased, error)
            return
        except Exception as error:  # of the user's codec, or of a class of theirs
            self._record(attempt, failure(type(error).__name__, message_of(error)))
            return
        if self._ends_at_once(attempt, item, content):
            return
        self._running.add(attempt)
        self._busy[step.name] += 1
        self._places_taken += 1
        self._job.mark(leased.mark, Phase.sent)
        self._hold.enter()
        self._attempts.start(attempt, content)

    def _ends_at_once(self, attempt: Attempt, item: HeldItem, content: Any) -> bool:
        """Whether a step has ended without being run: it may not run, or need not."""
        step, leased = attempt.step, attempt.leased
        decided = self._items.must_not_run(step, item, content)
        if decided is not None:
            self._end(
                item,
                StepAttempt(
                    leased.name,
                    decided.state,
                    leased.attempts,
                    error=MISSING if decided.state is StepState.skipped else None,
                    message=decided.reason,
                ),
            )
            self._ended_alone(leased)
            return True
        earlier = leased.earlier
        if earlier is None or not step.needs or earlier.version != step.version:
            return False
        if earlier.inputs != attempt.inputs:
            return False
        try:
            given = self._items.fields_of(earlier.payload, earlier.gave)
            self._items.merge(item, given)
        except (MergeError, ResumeError) as error:
            logger.debug("The result of %s is not carried over: %s", step.name, error)
            return False
        self._end(
            item,
            StepAttempt(
                step.name,
                StepState.done,
                leased.attempts,
                message=CARRIED_OVER,
                version=step.version,
                inputs=earlier.inputs,
                gave=tuple(given),
            ),
        )
        self._ended_alone(leased)
        return True

    def _end_without_running(self, leased: LeasedStep) -> None:
        """End a step that was switched off, or that the process has died of."""
        item = self._items.of(leased)
        assert item is not None
        try:
            self._items.copy_of(item)
        except CallbackMissingError as missing:
            self._hold_back(leased, missing)
            return
        state, error, message = StepState.skipped, MISSING, SWITCHED_OFF
        if leased.name not in self.plan.off:
            state, error, message = StepState.parked, CRASH, leased.condemned or ""
        self._end(item, StepAttempt(leased.name, state, leased.attempts, 0.0, error, message))

    def _hold_back(self, leased: LeasedStep, error: CallbackMissingError) -> None:
        """The item names code that is missing: the step stays leased to this run, and is pending
        when it ends."""
        self.held.add(leased, error)
        self._ended_alone(leased)

    def _ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """The outcome of an attempt is known."""
        self._running.discard(attempt)
        if not attempt.is_over:
            self.hung.add(attempt)
        try:
            if not self._frozen:
                self._job.unmark(attempt.leased.mark)
                self._record(attempt, outcome)
        finally:
            self._hold.leave()

    def _left(self, attempt: Attempt) -> None:
        """The code of an attempt has ended: its place is free."""
        self.hung.remove(attempt)
        self._busy[attempt.step.name] -= 1
        self._places_taken -= 1
        if not self._frozen:
            self.start_more()
            if not self._starting and self._queue.wants_more(self._free, self._busy):
                self._committer.send_soon()

    def _record(self, attempt: Attempt, outcome: Outcome) -> None:
        leased, step = attempt.leased, attempt.step
        self._ended_alone(leased)
        item = self._items.of(leased)
        if item is None:
            return
        fields: Mapping[str, Any] = outcome.fields or {}
        try:
            self._items.merge(item, fields)
        except MergeError as error:
            outcome, fields = failure("StepResultError", message_of(error)), {}
        except CallbackMissingError as error:
            self._hold_back(leased, error)
            return
        attempts = leased.attempts + outcome.counts
        state, not_before = self._state_after(step, outcome, attempts)
        self._log.ended(item, attempt, outcome, state)
        self._end(
            item,
            StepAttempt(
                step.name,
                state,
                attempts,
                not_before,
                outcome.error,
                outcome.message,
                step.version,
                attempt.inputs,
                tuple(fields),
            ),
        )

    def _state_after(
        self, step: StepDefinition, outcome: Outcome, attempts: int
    ) -> tuple[StepState, float]:
        """(the state of a step after an attempt, when it may be tried again)."""
        if outcome.state not in (StepState.failed, StepState.pending):
            return outcome.state, 0.0
        if outcome.counts and (attempts >= step.max_attempts or not outcome.may_retry):
            return StepState.failed, 0.0
        seconds = outcome.after
        if seconds is None:
            seconds = self._backoffs[step.name].seconds(max(attempts, 1))
        return StepState.pending, self._clock.time() + seconds if seconds > 0 else 0.0

    def _end(self, item: HeldItem, attempt: StepAttempt) -> None:
        if self._items.end_attempt(item, attempt):
            self._committer.begin_entry()

    def _ended_alone(self, leased: LeasedStep) -> None:
        if self._alone is leased:
            self._alone = None

    # ---- shutdown

    def freeze(self) -> None:
        """From now on nothing is an outcome: the process is about to end, or nothing more can be
        committed."""
        self._frozen = True
        for attempt in self._running:
            self._job.unmark(attempt.leased.mark)
        self.end()

    def end(self) -> None:
        """Stop all timers."""
        self._attempts.end()
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
