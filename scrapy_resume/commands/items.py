"""``scrapy resume items``: lists the stored items of a job, with their pages and units."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.commands.arguments import add_filters, add_job, add_json
from scrapy_resume.commands.formats import table
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.request_table import ROWS_AT_ONCE, ROWS_ON_A_TERMINAL, row_limit
from scrapy_resume.commands.terminal_output import Column, fitted_table, is_terminal

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

HELP: Final = "list stored items, with their pages and units"

_COLUMNS: Final = (Column("UNIT", rank=1), Column("URL", rank=2), Column("ITEM"))
_HEADINGS: Final = tuple(column.heading for column in _COLUMNS)


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
        _print(call, records, cut=limit is None and is_terminal())
    call.note_unknown(filters)
    return 0


def _plain(first: Sequence[dict[str, Any]], rest: Iterator[dict[str, Any]]) -> Iterator[Any]:
    """The records, with their items as JSON has them."""
    from scrapy.utils.serialize import ScrapyJSONEncoder

    encoder = ScrapyJSONEncoder()
    for records in (first, rest):
        for record in records:
            yield {**record, "item": json.loads(encoder.encode(record["item"]))}


def _print(call: Invocation, records: Iterator[dict[str, Any]], cut: bool) -> None:
    shown = islice(records, ROWS_ON_A_TERMINAL) if cut else records
    printed = 0
    while portion := [_row(record) for record in islice(shown, ROWS_AT_ONCE)]:
        heading = [] if printed else [_HEADINGS]

        def drawn(
            console: Console, rows: Sequence[tuple[str, ...]] = portion, first: bool = not printed
        ) -> Iterator[RenderableType]:
            yield fitted_table(console, _COLUMNS, rows, len(_COLUMNS) - 1, heading=first)

        def plain(rows: Sequence[tuple[str, ...]] = (*heading, *portion)) -> Iterator[str]:
            return table(rows)

        call.print_screen(drawn, plain)
        printed += len(portion)
    if cut and next(records, None) is not None:
        call.note(f"These are the first {printed:,}; --limit N shows more.")


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    item = json.dumps(record["item"], ensure_ascii=False)
    return (record["unit"] or "-", record["url"] or "-", item)
