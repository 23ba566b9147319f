"""What commands tell the live owner of a job's file, and how it hears and answers.

The row of an order is all that anybody but the owner writes to a live job. It is meant for one
epoch: an order whose owner has died is nobody's, and whoever gave it acts under the lock.
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
from scrapy_resume.model import Selection, State
from scrapy_resume.store.contract import Orders
from scrapy_resume.store.sqlite.errors import translated
from scrapy_resume.store.sqlite.files import SQL as FILES
from scrapy_resume.store.sqlite.files import connect, lock_path
from scrapy_resume.store.sqlite.locks import is_held
from scrapy_resume.store.sqlite.steering import steer
from scrapy_resume.store.transaction.queries import load_queries

CONTROL: Final = load_queries("sqlite", "control.sql")

STOP: Final = "stop"
VERBS: Final = {State.pending: "retry", State.parked: "park"}
STATES: Final = {verb: state for state, verb in VERBS.items()}

LOOK_SECONDS: Final = 0.05
"""Between two looks for an answer."""

KEPT_SECONDS: Final = 3600.0
"""Answers that nobody has fetched are dropped after so long."""


class Order(NamedTuple):
    """An order that was not taken up yet."""

    id: int
    verb: str
    body: str


def tell(path: Path, epoch: int, verb: str, body: object = None) -> None:
    """Leave an order that nobody waits for."""
    with _telling(path) as connection:
        _tell(connection, epoch, verb, body)


def ask(path: Path, epoch: int, order: tuple[str, object], until: float) -> dict[str, Any] | None:
    """Leave an order, a verb and its body, and wait for the answer of the epoch's owner.

    ``until``: on the monotonic clock. ``None``: the owner has ended without taking it up.
    Raises ``StoreUnavailableError`` when the time is over; the order is withdrawn then.
    """
    with _telling(path) as connection:
        number = _tell(connection, epoch, *order)
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
                    f"the process that crawls the job in {path} does not take orders up: it hangs, "
                    "was stopped, or is about to end. Nothing was changed; end it if it does not, "
                    "and give the command again"
                )
            time.sleep(LOOK_SECONDS)


@contextmanager
def _telling(path: Path) -> Iterator[sqlite3.Connection]:
    with translated(path):
        connection = connect(path, FILES["configure_teller"], mode="rw")
        try:
            yield connection
        finally:
            connection.close()


def _tell(connection: sqlite3.Connection, epoch: int, verb: str, body: object) -> int:
    values = {"epoch": epoch, "verb": verb, "body": json.dumps(body), "now": time.time()}
    return int(connection.execute(CONTROL["tell"], values).fetchall()[0][0])


def _withdrawn(connection: sqlite3.Connection, number: int) -> bool:
    """False: it was taken up in the last moment."""
    return bool(connection.execute(CONTROL["withdraw"], (number,)).fetchall())


def encode_selection(selection: Selection) -> dict[str, Any]:
    """The body of an order to retry or to park."""
    return {**asdict(selection), "states": [int(state) for state in selection.states]}


def _decode_selection(body: str) -> Selection:
    fields = json.loads(body)
    return Selection(**{**fields, "states": tuple(State(state) for state in fields["states"])})


# The owner's side


def heard(connection: sqlite3.Connection, epoch: int) -> Orders:
    """What the owner was told and has not carried out."""
    verbs = {order.verb for order in _open(connection, epoch)}
    return Orders(STOP in verbs, bool(verbs - {STOP}), VERBS[State.pending] in verbs)


def _open(connection: sqlite3.Connection, epoch: int) -> list[Order]:
    return [Order(*row) for row in connection.execute(CONTROL["open_orders"], (epoch,))]


def obey(connection: sqlite3.Connection, epoch: int) -> set[int]:
    """Carry out what concerns requests, within the owner's transaction at hand.

    Returns the download slots that have more or fewer pending rows since. Changes the job's
    counters.
    """
    slots: set[int] = set()
    for order in _open(connection, epoch):
        if order.verb == STOP:
            continue
        to = STATES.get(order.verb)
        if to is None:
            answer: dict[str, Any] = {"error": f"this version knows no order {order.verb!r}"}
        else:
            count = steer(connection, _decode_selection(order.body), to, slots=slots)
            answer = {"requests": count}
        values = {"id": order.id, "answer": json.dumps(answer)}
        connection.execute(CONTROL["answer"], values)
    connection.execute(CONTROL["forget_answers"], (time.time() - KEPT_SECONDS,))
    return slots


def count_in(answer: dict[str, Any]) -> int:
    """How many requests were changed. Raises ``StoreError`` if the owner would not."""
    if "error" in answer:
        raise StoreError(f"the process that owns the job refused: {answer['error']}")
    return int(answer["requests"])
