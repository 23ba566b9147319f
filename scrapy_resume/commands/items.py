"""``scrapy resume items``: lists the stored items of a job, with their pages and units."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, Final

from scrapy_resume.commands.arguments import add_filters, add_job, add_json
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.portions import (
    ROWS_ON_A_TERMINAL,
    Table,
    is_cut,
    print_rows,
    row_limit,
)
from scrapy_resume.commands.terminal_output import Column

HELP: Final = "list stored items, with their pages and units"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    add_filters(parser, f"list at most N items (default on a terminal: {ROWS_ON_A_TERMINAL:,})")


def run(call: Invocation) -> int:
    """Print the items in the order in which they were stored."""
    filters = call.filters()
    limit = filters.pop("limit", None)
    asked = limit if call.arguments.json else row_limit(limit)
    rows = call.reports().item_records(call.find_job(), limit=asked, **filters)
    try:
        first = next(rows, None)
    except ValueError as error:
        call.usage_error(str(error))
    records = _plain(() if first is None else (first,), rows)
    if call.arguments.json:
        call.print_json_array(records)
    elif first is None:
        call.note("No items match.")
    else:
        print_rows(call, _TABLE, records, cut=is_cut(limit))
    call.note_unknown(filters)
    return 0


def _plain(first: Sequence[dict[str, Any]], rest: Iterator[dict[str, Any]]) -> Iterator[Any]:
    """The records, with their items as JSON has them."""
    from scrapy.utils.serialize import ScrapyJSONEncoder

    encoder = ScrapyJSONEncoder()
    for records in (first, rest):
        for record in records:
            yield {**record, "item": json.loads(encoder.encode(record["item"]))}


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    item = json.dumps(record["item"], ensure_ascii=False)
    return (record["unit"] or "-", record["url"] or "-", item)


_TABLE: Final = Table(
    columns=(Column("UNIT", rank=1), Column("URL", rank=2), Column("ITEM")), cells=_row, flexible=2
)
