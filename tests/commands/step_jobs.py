"""Jobs whose items have steps, made through the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scrapy_resume.codec import Codec
from scrapy_resume.model import State, StepState
from scrapy_resume.store.contract import (
    Batch,
    Finish,
    ItemChange,
    ItemRecord,
    JobStore,
    LeasedStep,
    NewStep,
    StepAttempt,
    StepReport,
    StepWish,
)

from .conftest import Shelf, admission

PENDING = StepState.pending


def give_items(
    job: JobStore,
    *items: dict[str, Any],
    unit: str | None = None,
    names: Sequence[str] = ("photos", "vin"),
) -> None:
    """A page that gives items with these steps; their key is their field ``k``."""
    steps = [NewStep(name, PENDING) for name in names]
    records = [
        ItemRecord(at, Codec().encode_item(item), item["k"], steps=steps, stable_key=item["k"])
        for at, item in enumerate(items)
    ]
    row = admission(job.session.ids.first, unit=unit)
    end = Finish(id=row.id, state=State.done, attempts=1, items=records, http_status=200)
    job.session.ids.first += 1
    job.commit(Batch(next_id=row.id + 1, arrivals=[row], finishes=[end]))


def lease(job: JobStore, name: str, count: int = 1) -> list[LeasedStep]:
    answer = job.commit(
        Batch(
            next_id=job.session.ids.first,
            steps=StepReport(wishes=[StepWish(name, count)]),
        )
    )
    return answer.steps.leased


def end(job: JobStore, name: str, state: StepState, count: int = 1, **fields: Any) -> None:
    """The next steps of that name end so; with ``gives``, a field of the item."""
    gives = fields.pop("gives", None)
    hidden = fields.pop("consumes", None)
    kept = fields.pop("kept", False)
    for leased in lease(job, name, count):
        item = {**Codec().decode_item(leased.payload), **(gives or {})}
        visible = {field: value for field, value in item.items() if field != hidden}
        attempt = StepAttempt(name, state, leased.attempts + 1, **fields)
        change = ItemChange(
            leased.item,
            leased.version,
            [attempt],
            payload=Codec().encode_item(item) if gives else None,
            visible=Codec().encode_item(visible) if hidden else None,
            kept=kept,
        )
        job.commit(Batch(next_id=job.session.ids.first, steps=StepReport(changes=[change])))


def cars(shelf: Shelf, name: str = "cars") -> JobStore:
    """Four cars of two cities: photos of three are done, of one failed; the vin of two is done by
    version 1, of one skipped, of one parked."""
    job = shelf.begin(name)
    give_items(job, {"k": "a"}, {"k": "b"}, unit="Oslo")
    give_items(job, {"k": "c"}, {"k": "d"}, unit="Bergen")
    end(job, "photos", StepState.done, 3, gives={"photos": [1]})
    end(job, "photos", StepState.failed, error="DownloadFailedError", message="no answer")
    end(job, "vin", StepState.done, 2, gives={"vin": "x"}, version="1")
    end(job, "vin", StepState.skipped, error="SkipStep", message="the page names none")
    end(job, "vin", StepState.parked, error="crash", message="the process died 4 times")
    return job
