"""The items of which this run has steps leased, and what it tells the store of them.

As long as an item is here, its payload is newer than what the store hands out: several of its steps
may end within one batch, and their fields are merged one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from itemadapter import ItemAdapter

from scrapy_resume.model import OPEN_STEPS, StepState
from scrapy_resume.steps import rules
from scrapy_resume.steps.item_fields import (
    MergeError,
    digest_of,
    has_field,
    merged_payload,
    without_fields,
)
from scrapy_resume.store.contract import ItemChange, StepAttempt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy_resume.codec import Codec
    from scrapy_resume.steps.definition import StepDefinition
    from scrapy_resume.steps.plan import StepPlan
    from scrapy_resume.store.contract import LeasedStep, NewStep

_TROUBLED: Final = (StepState.failed, StepState.parked)


class HeldItem:
    """An item of which this run has steps leased, or changes on their way to the store."""

    __slots__ = (
        "attempts",
        "id",
        "is_new",
        "key",
        "lacking",
        "leased",
        "others",
        "payload",
        "states",
        "touched",
        "unanswered",
        "url",
        "version",
    )

    def __init__(self, leased: LeasedStep) -> None:
        self.id = leased.item
        self.version = leased.version
        self.key = leased.key
        self.url = leased.url
        self.payload = leased.payload
        self.is_new = False
        """The payload is newer than the store's."""
        self.states: dict[str, StepState] = dict(leased.states)
        self.lacking = set(leased.lacking)
        self.leased = 0
        """Number of its steps that are leased here, and have no outcome yet."""
        self.attempts: list[StepAttempt] = []
        """For the next batch."""
        self.others: dict[str, NewStep] = {}
        """For the next batch."""
        self.touched: set[str] = set()
        """Steps of which the store has not heard, or has not answered."""
        self.unanswered = 0
        """Number of batches on their way with changes of it."""

    def lease(self, leased: LeasedStep) -> None:
        """One more of its steps is leased here."""
        self.leased += 1
        for name, state in leased.states.items():
            if name not in self.touched:
                self.states[name] = state
        self.states[leased.name] = StepState.running
        self.lacking.update(name for name in leased.lacking if name not in self.touched)

    @property
    def is_needed(self) -> bool:
        """Whether anything of it is under way."""
        return bool(self.leased or self.attempts or self.unanswered)


class HeldItems:
    """The items that are held here, by id."""

    def __init__(
        self, plan: StepPlan, codec: Codec, item_key: Callable[[Any], str | None] | None
    ) -> None:
        self._plan = plan
        self._codec = codec
        self._item_key = item_key
        self._items: dict[int, HeldItem] = {}
        self._changed: dict[int, HeldItem] = {}
        """Those with something to tell the store."""

    def __len__(self) -> int:
        return len(self._items)

    def lease(self, leased: LeasedStep) -> HeldItem:
        """The item of a step that was leased."""
        item = self._items.get(leased.item)
        if item is None or item.version != leased.version:
            self.forget(leased.item)
            item = self._items[leased.item] = HeldItem(leased)
        item.lease(leased)
        return item

    def of(self, leased: LeasedStep) -> HeldItem | None:
        """The item of a leased step; ``None``: it was forgotten since."""
        item = self._items.get(leased.item)
        return item if item is not None and item.version == leased.version else None

    def forget(self, item_id: int) -> None:
        """The store has refused a change: what is here of the item is out of date."""
        self._items.pop(item_id, None)
        self._changed.pop(item_id, None)

    def give_up(self, leased: LeasedStep) -> None:
        """A leased step goes back to the store, or is not touched any more."""
        item = self.of(leased)
        if item is not None:
            item.leased -= 1
            item.states[leased.name] = StepState.pending
            self._drop_if_done(item)

    @property
    def has_changes(self) -> bool:
        """Whether there is something to tell the store."""
        return bool(self._changed)

    # ---- what attempts make of an item

    def copy_of(self, item: HeldItem) -> Any:
        """The item as it is now; nobody else has this object. Raises the errors of
        ``Codec.decode_item``."""
        return self._codec.decode_item(item.payload)

    def fields_of(self, payload: str, names: Collection[str]) -> dict[str, Any]:
        """Some fields of a payload, as far as it has them."""
        adapter = ItemAdapter(self._codec.decode_item(payload))
        return {name: adapter[name] for name in names if name in adapter}

    def inputs_of(self, step: StepDefinition, content: Any) -> str:
        """A digest of the fields that a step needs; empty if it needs none."""
        return digest_of(self._codec, content, step.needs)

    def merge(self, item: HeldItem, fields: Mapping[str, Any]) -> None:
        """Merge fields into an item. Raises ``MergeError``, and the item is as before."""
        if fields:
            item.payload = merged_payload(self._codec, item.payload, fields, self._item_key)
            item.is_new = True

    def end_attempt(self, item: HeldItem, attempt: StepAttempt) -> bool:
        """An attempt of one of its steps has ended. Returns whether this is the first change of the
        item since the last batch."""
        is_first = not item.attempts
        item.leased -= 1
        item.attempts.append(attempt)
        item.states[attempt.name] = attempt.state
        item.touched.add(attempt.name)
        self._decide(item)
        self._changed[item.id] = item
        return is_first

    def _decide(self, item: HeldItem) -> None:
        """Decide about the other steps of the item."""
        undecided = item.lacking or any(
            state is StepState.waiting or (state is StepState.pending and name in self._plan.off)
            for name, state in item.states.items()
        )
        if not undecided:
            return
        # A step that is pending in the store may be leased elsewhere by now: the store would refuse
        # the change. What it lacks is found when it is leased.
        states = {
            name: StepState.running
            if state is StepState.pending and name not in self._plan.off
            else state
            for name, state in item.states.items()
        }
        has = has_field(self._codec.decode_item(item.payload))
        for new in rules.changes(
            self._plan.steps, states, has, lacking=item.lacking, off=self._plan.off
        ):
            item.others[new.name] = new
            item.states[new.name] = new.state
            item.touched.add(new.name)
            if new.state is StepState.skipped:
                item.lacking.add(new.name)
            else:
                item.lacking.discard(new.name)

    def must_not_run(self, step: StepDefinition, item: HeldItem, content: Any) -> NewStep | None:
        """What becomes of a leased step that may not run, since the item lacks a field that it
        needs; ``None``: it may."""
        if not step.needs or not rules.missing_fields(step, has_field(content)):
            return None
        states = {**item.states, step.name: StepState.pending}
        found = rules.changes(self._plan.steps, states, has_field(content))
        return next((new for new in found if new.name == step.name), None)

    # ---- batches

    def take_changes(self) -> list[ItemChange]:
        """The changes since the last batch, one for each item."""
        taken = [self._change_of(item) for item in self._changed.values()]
        self._changed.clear()
        return taken

    def _change_of(self, item: HeldItem) -> ItemChange:
        visible, kept = None, False
        if all(state not in OPEN_STEPS for state in item.states.values()):
            visible, kept = self._visible(item)
        others = [new for name, new in item.others.items() if not _is_attempted(item, name)]
        change = ItemChange(
            item.id,
            item.version,
            item.attempts,
            others,
            item.payload if item.is_new else None,
            visible,
            kept,
            item.key,
            item.url,
        )
        item.attempts, item.others, item.is_new = [], {}, False
        item.unanswered += 1
        return change

    def _visible(self, item: HeldItem) -> tuple[str | None, bool]:
        """(what feeds see of an item whose steps have ended, ``None``: its payload; whether the
        payload is kept for steps that may be tried again)."""
        consumed = self._plan.consumed
        if not consumed:
            return None, False
        visible = without_fields(self._codec, item.payload, consumed)
        if visible == item.payload:
            return None, False
        return visible, any(
            state in _TROUBLED and self._reads_consumed(name) for name, state in item.states.items()
        )

    def _reads_consumed(self, name: str) -> bool:
        step = self._plan.by_name.get(name)
        return step is None or not self._plan.consumed.isdisjoint((*step.consumes, *step.needs))

    def answered(self, changes: Collection[ItemChange], refused: Collection[int]) -> None:
        """The store has answered a batch with these changes."""
        for change in changes:
            item = self._items.get(change.item)
            if item is None or item.version != change.version:
                continue
            if change.item in refused:
                self.forget(change.item)
                continue
            item.unanswered -= 1
            if not item.unanswered:
                item.touched = {attempt.name for attempt in item.attempts} | set(item.others)
            self._drop_if_done(item)

    def _drop_if_done(self, item: HeldItem) -> None:
        if not item.is_needed:
            self._items.pop(item.id, None)


def _is_attempted(item: HeldItem, name: str) -> bool:
    return any(attempt.name == name for attempt in item.attempts)


__all__ = ["HeldItem", "HeldItems", "MergeError"]
