"""Orders: how commands ask the live owner of a job's file to stop, retry or park, and its answers.

The row of an order is all that another process writes to a live job. It is addressed to one epoch:
if that owner has died, the order is void, and the command acts under the lock itself.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

from scrapy_resume.errors import StoreError, StoreUnavailableError
from scrapy_resume.model import Selection, State, StepState
from scrapy_resume.store.contract import Orders, SteeredSteps, StepSelection
from scrapy_resume.store.sqlite.errors import translated
from scrapy_resume.store.sqlite.files import SQL as FILES
from scrapy_resume.store.sqlite.files import connect, lock_path
from scrapy_resume.store.sqlite.locks import is_held
from scrapy_resume.store.sqlite.skips import change_skips
from scrapy_resume.store.sqlite.steering import steer
from scrapy_resume.store.sqlite.step_steering import steer_steps
from scrapy_resume.store.transaction.queries import load_queries

CONTROL: Final = load_queries("sqlite", "control.sql")

STOP: Final = "stop"
VERBS: Final = {State.pending: "retry", State.parked: "park", State.ignored: "skip"}
STATES: Final = {verb: state for state, verb in VERBS.items()}
STEP_VERBS: Final = {StepState.pending: "retry steps", StepState.skipped: "skip steps"}
STEP_STATES: Final = {verb: state for state, verb in STEP_VERBS.items()}

LOOK_SECONDS: Final = 0.05
"""The interval at which a command polls for the answer."""

KEPT_SECONDS: Final = 3600.0
"""Answers are deleted after so long."""


class Order(NamedTuple):
    """An order that the owner has not executed yet."""

    id: int
    verb: str
    body: str


def send_order(path: Path, epoch: int, verb: str, body: object = None) -> None:
    """Send an order without waiting for an answer."""
    with _order_connection(path) as connection:
        _insert_order(connection, epoch, verb, body)


def send_and_wait(
    path: Path, epoch: int, order: tuple[str, object], until: float
) -> dict[str, Any] | None:
    """Send an order, a verb and its body, and wait for the answer of the epoch's owner.

    ``until``: on the monotonic clock. Returns ``None`` if the owner has ended without executing
    it. Raises ``StoreUnavailableError`` after that time; the order is withdrawn then.
    """
    with _order_connection(path) as connection:
        number = _insert_order(connection, epoch, *order)
        while True:
            alive = is_held(lock_path(path, epoch))
            found = connection.execute(CONTROL["answer_to"], (number,)).fetchone()
            if found is not None and found[0] is not None:
                answer: dict[str, Any] = json.loads(found[0])
                return answer
            if found is None or not alive:
                return None
            if time.monotonic() >= until and _withdrawn(connection, number):
                raise StoreUnavailableError(
                    f"the process that crawls the job in {path} does not answer: it hangs, "
                    "was stopped, or is about to end. Nothing was changed. If it hangs, end it "
                    "and run the command again"
                )
            time.sleep(LOOK_SECONDS)


@contextmanager
def _order_connection(path: Path) -> Iterator[sqlite3.Connection]:
    with translated(path):
        connection = connect(path, FILES["configure_sender"], mode="rw")
        try:
            yield connection
        finally:
            connection.close()


def _insert_order(connection: sqlite3.Connection, epoch: int, verb: str, body: object) -> int:
    values = {"epoch": epoch, "verb": verb, "body": json.dumps(body), "now": time.time()}
    return int(connection.execute(CONTROL["insert_order"], values).fetchall()[0][0])


def _withdrawn(connection: sqlite3.Connection, number: int) -> bool:
    """Withdraw an order; false: it was executed at the last moment."""
    return bool(connection.execute(CONTROL["withdraw"], (number,)).fetchall())


def encode_selection(selection: Selection) -> dict[str, Any]:
    """The body of an order to retry or to park."""
    return {**asdict(selection), "states": [int(state) for state in selection.states]}


def _decode_selection(body: str) -> Selection:
    fields = json.loads(body)
    return Selection(**{**fields, "states": tuple(State(state) for state in fields["states"])})


def encode_step_selection(selection: StepSelection) -> dict[str, Any]:
    """The body of an order about steps."""
    return {**asdict(selection), "states": [int(state) for state in selection.states]}


def _decode_step_selection(body: str) -> StepSelection:
    fields = json.loads(body)
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    states = tuple(StepState(state) for state in fields["states"])
    return StepSelection(**{**fields, **lists, "states": states})


# The owner's side


def read_orders(connection: sqlite3.Connection, epoch: int) -> Orders:
    """The orders that the owner has not executed."""
    verbs = {order.verb for order in _open(connection, epoch)}
    return Orders(STOP in verbs, bool(verbs - {STOP}), VERBS[State.pending] in verbs)


def _open(connection: sqlite3.Connection, epoch: int) -> list[Order]:
    return [Order(*row) for row in connection.execute(CONTROL["open_orders"], (epoch,))]


def change(
    connection: sqlite3.Connection,
    selection: Selection,
    to: State,
    slots: set[int] | None = None,
) -> int:
    """Retry, park or skip the selected requests, within the current transaction; how many."""
    if to is State.ignored or selection.skipped:
        return change_skips(connection, selection, undo=to is State.pending, slots=slots)
    return steer(connection, selection, to, slots=slots)


def execute_orders(connection: sqlite3.Connection, epoch: int) -> set[int]:
    """Execute the orders that concern requests and steps, within the owner's current transaction.

    Changes the job's counters. Returns the download slots whose number of pending rows has changed.
    """
    slots: set[int] = set()
    for order in _open(connection, epoch):
        if order.verb == STOP:
            continue
        answer: dict[str, Any]
        if order.verb in STATES:
            to = STATES[order.verb]
            count = change(connection, _decode_selection(order.body), to, slots=slots)
            answer = {"requests": count}
        elif order.verb in STEP_STATES:
            steps = _decode_step_selection(order.body)
            answer = steer_steps(connection, steps, STEP_STATES[order.verb])._asdict()
        else:
            answer = {"error": f"this version knows no order {order.verb!r}"}
        values = {"id": order.id, "answer": json.dumps(answer)}
        connection.execute(CONTROL["answer"], values)
    connection.execute(CONTROL["delete_old_answers"], (time.time() - KEPT_SECONDS,))
    return slots


def count_in(answer: dict[str, Any]) -> int:
    """How many requests were changed. Raises ``StoreError`` if the owner refused."""
    return int(_accepted(answer)["requests"])


def steps_in(answer: dict[str, Any]) -> SteeredSteps:
    """What was done to steps. Raises ``StoreError`` if the owner refused."""
    return SteeredSteps(**_accepted(answer))


def _accepted(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise StoreError(f"the process that owns the job refused: {answer['error']}")
    return answer
