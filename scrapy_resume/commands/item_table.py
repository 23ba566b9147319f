"""Items as a table, on a terminal or in plain lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.portions import Table, is_cut, print_rows
from scrapy_resume.commands.terminal_output import Column
from scrapy_resume.reporting.nouns import CRAWL_NOUNS, Nouns


def plain_items(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records, with their items as JSON has them."""
    from scrapy.utils.serialize import ScrapyJSONEncoder

    encoder = ScrapyJSONEncoder()
    for record in records:
        yield {**record, "item": json.loads(encoder.encode(record["item"]))}


def print_items(
    call: Invocation,
    records: Iterator[dict[str, Any]],
    limit: int | None,
    *,
    steps: bool = True,
    nouns: Nouns = CRAWL_NOUNS,
) -> int:
    """Print the records that ``row_limit(limit)`` has asked for; if wanted, with their keys and
    steps. Returns how many it has printed."""
    table = _WITH_STEPS if steps else _TABLE
    if nouns is not CRAWL_NOUNS:
        columns = [
            column._replace(heading=nouns.url) if column.heading == "URL" else column
            for column in table.columns
        ]
        table = table._replace(columns=columns)
    return print_rows(call, table, plain_items(records), cut=is_cut(limit))


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    item = json.dumps(record["item"], ensure_ascii=False)
    return (record["unit"] or "-", record["url"] or "-", item)


def _stepped_row(record: dict[str, Any]) -> tuple[str, ...]:
    steps = ", ".join(map(_step, record["steps"]))
    unit, url, item = _row(record)
    return (record["key"] or "-", record["state"], steps or "-", unit, url, item)


def _step(step: dict[str, Any]) -> str:
    error = f" ({step['error']})" if step["state"] in ("failed", "parked") else ""
    return f"{step['step']} {step['state']}{error}"


_ITEM: Final = (Column("UNIT", rank=1), Column("URL", rank=2), Column("ITEM"))
_TABLE: Final = Table(columns=_ITEM, cells=_row, flexible=2)
_WITH_STEPS: Final = Table(
    columns=(
        Column("KEY"),
        Column("STATE"),
        Column("STEPS"),
        Column("UNIT", rank=3),
        Column("URL", rank=2),
        Column("ITEM", rank=1),
    ),
    cells=_stepped_row,
    flexible=2,
)
