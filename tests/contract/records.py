"""Short words for what the tests send to a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs

from scrapy_resume.model import START, JobKey, State, digest
from scrapy_resume.store.contract import (
    Admission,
    Batch,
    Closing,
    Committed,
    Continuation,
    EventReport,
    Finish,
    ItemRecord,
    JobStore,
    LeasedRow,
    Leasing,
    Opening,
    RunProgress,
    SavedState,
    SharingReport,
    StepReport,
    Wish,
)

BOOKS = JobKey("books", 1)
SLOT = "shop.example"
PAYLOAD = '{"meta":{"depth":2}}'
"""Long enough to be worth keeping once for many."""


def identity(name: object) -> bytes:
    return digest(str(name).encode())


def opening(worker: str = "host:1", **fields: Any) -> Opening:
    return Opening(**{"spider": "books", "worker": worker, **fields})


def admission(row: int, name: object | None = None, **fields: Any) -> Admission:
    """A request with the id ``row``; requests of the same name are the same."""
    name = row if name is None else name
    defaults = {
        "id": row,
        "identity": identity(name),
        "parent": START,
        "url": f"http://{SLOT}/{name}",
        "payload": PAYLOAD,
        "slot": SLOT,
        "priority": 0,
        "start": 0,
        "seq": row,
        "unit": row,
    }
    return Admission(**{**defaults, **fields})


def continuation(row: int, name: object | None = None, **fields: Any) -> Continuation:
    """The row goes on: as itself, or as the request ``name``, whose identity it takes on."""
    defaults = {
        "id": row,
        "url": f"http://{SLOT}/{row if name is None else name}",
        "payload": PAYLOAD,
        "slot": SLOT,
        "priority": 0,
        "start": 0,
        "seq": row,
        "attempts": 1,
        "identity": None if name is None else identity(name),
    }
    return Continuation(**{**defaults, **fields})


def finish(row: int, items: Sequence[str | ItemRecord] = (), **fields: Any) -> Finish:
    """The row is done; an item is its payload, or a record."""
    records = [
        item if isinstance(item, ItemRecord) else ItemRecord(occurrence, item)
        for occurrence, item in enumerate(items)
    ]
    return Finish(**{"id": row, "state": State.done, "attempts": 1, "items": records, **fields})


def tombstone(row: int, items: Sequence[str | ItemRecord] = (), **fields: Any) -> Finish:
    """The end of a request that is not in the store; ``fields`` are its admission's."""
    return finish(row, items, tombstone=admission(row, **fields))


PARTS: Final = {
    field.name: (part, kind)
    for part, kind in {
        "state": SavedState,
        "leasing": Leasing,
        "progress": RunProgress,
        "events": EventReport,
        "sharing": SharingReport,
    }.items()
    for field in structs.fields(kind)
}
"""Field of a part of a batch → the part, and its class."""


def batch(next_id: int, **fields: Any) -> Batch:
    """A batch; the fields of its parts are given beside its own."""
    of_steps = {
        name.removesuffix("_of_steps"): fields.pop(name)
        for name in list(fields)
        if name.endswith("_of_steps") or name == "changes"
    }
    if of_steps:
        fields["steps"] = StepReport(**of_steps)
    own = {name: value for name, value in fields.items() if name not in PARTS}
    parts: dict[str, dict[str, Any]] = {}
    for name in fields.keys() - own.keys():
        parts.setdefault(PARTS[name][0], {})[name] = fields[name]
    kinds = dict(PARTS.values())
    made = {part: kinds[part](**values) for part, values in parts.items()}
    return Batch(next_id=next_id, **own, **made)


class Run:
    """A run of a job, with a short word for a batch."""

    def __init__(self, job: JobStore) -> None:
        self.job = job
        self.session = job.session
        self.next_id = job.session.ids.first

    def commit(self, **fields: Any) -> Committed:
        arrivals = fields.get("arrivals", [])
        finishes = fields.get("finishes", [])
        used = [entry.id for entry in [*arrivals, *finishes]]
        self.next_id = max([self.next_id, *(row + 1 for row in used)])
        return self.job.commit(batch(**{"next_id": self.next_id, **fields}))

    def admit(self, *arrivals: Admission | Continuation) -> Committed:
        return self.commit(arrivals=list(arrivals))

    def finish(self, *finishes: Finish) -> Committed:
        return self.commit(finishes=list(finishes))

    def lease(self, count: int = 100, slot: str = SLOT) -> list[LeasedRow]:
        return self.commit(wishes=[Wish(slot, count)]).leased

    def close(self, status: str = "paused", reason: str = "shutdown", **stats: Any) -> str:
        return self.job.close(Closing(status, reason, stats))

    def die(self) -> None:
        self.job.abandon()
