"""``scrapy resume export``: writes the stored items to a file, with Scrapy's exporters."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from scrapy_resume.commands.arguments import add_job, add_json, add_overwrite
from scrapy_resume.commands.export_rows import export_rows, hidden_line, is_database
from scrapy_resume.commands.invocation import Invocation
from scrapy_resume.commands.output_file import output_file
from scrapy_resume.commands.terminal_output import escaped_controls, is_terminal
from scrapy_resume.errors import ConfigurationError, ItemNotRecordableError
from scrapy_resume.wording import counted

if TYPE_CHECKING:
    from scrapy.settings import Settings

HELP: Final = "write the stored items of a job to a file, or to a table of a database"

STANDARD_OUTPUT: Final = "-"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    add_job(parser)
    add_json(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE[:FORMAT]",
        help="file to write; FORMAT is taken from its extension if it is not given;"
        " -:FORMAT writes to standard output; sqlite:///shop.db#table:sql to a database",
    )
    add_overwrite(parser)
    parser.add_argument(
        "--all-numbers",
        action="store_true",
        help="of all numbers of the job, the latest first; of each RESUME_ITEM_KEY the latest item",
    )


def run(call: Invocation) -> int:
    """Write the items: the complete file or, if anything fails, none."""
    if is_database(call.arguments.output):
        return export_rows(call)
    exporters = exporter_paths(call.settings)
    try:
        target, format_name = split_output(call.arguments.output, exporters)
    except ValueError as error:
        call.usage_error(str(error))
    to_stdout = target == STANDARD_OUTPUT
    if to_stdout and call.arguments.json:
        call.usage_error("--json and -o - both write to standard output: name a file")
    reports = call.reports()
    key = call.find_job()
    if call.arguments.all_numbers:
        read, what = partial(reports.items_of_all_numbers, key), f"all numbers of {key.name}"
    else:
        read, what = partial(reports.items, key), str(key)
    output = _standard_output() if to_stdout else output_file(call, target)
    with output as file:
        exporter = _exporter(exporters[format_name], call.settings, file)
        if _is_csv_without_fields(exporter):
            # The header would have only the fields of the first item.
            exporter.fields_to_export = _all_fields(read())
        count = _export(exporter, read())
    hidden = reports.hidden_items(key)
    if call.arguments.json:
        document = {
            "job": str(key),
            "items": count,
            "open": hidden,
            "file": target,
            "format": format_name,
        }
        call.print_json(document)
    elif not to_stdout:
        call.print_lines(
            [
                f"{counted(count, 'item')} of {what} {'is' if count == 1 else 'are'} in {target}"
                f" ({format_name})"
            ]
        )
    if hidden and not call.arguments.json:
        call.note(hidden_line(key, hidden))
    return 0


def exporter_paths(settings: Settings) -> dict[str, Any]:
    """Format → exporter class or its path: Scrapy's, and those of FEED_EXPORTERS."""
    paths = settings.getwithbase("FEED_EXPORTERS")
    return {name: path for name, path in paths.items() if path is not None}


def split_output(output: str, formats: Iterable[str]) -> tuple[str, str]:
    """``FILE[:FORMAT]`` → file and format. Raises ``ValueError`` for an unknown format."""
    known = sorted(formats)
    path, colon, given = output.rpartition(":")
    if colon and path and given in known:
        return path, given
    extension = Path(output).suffix.removeprefix(".")
    if extension in known:
        return output, extension
    named = given if colon and "/" not in given else extension
    trouble = f"unknown format {named!r}" if named else f"no format in {output!r}"
    raise ValueError(f"{trouble}: use FILE:FORMAT with one of {', '.join(known)}")


def _exporter(path: Any, settings: Settings, file: IO[bytes]) -> Any:
    from scrapy.utils.misc import load_object

    try:
        exporter_class = load_object(path)
    except (ImportError, NameError, ValueError) as error:
        raise ConfigurationError(
            f"FEED_EXPORTERS names {path}, which cannot be loaded ({error})."
            " Correct it, or choose another format."
        ) from error
    indent = settings["FEED_EXPORT_INDENT"]
    return exporter_class(
        file,
        fields_to_export=settings.getdictorlist("FEED_EXPORT_FIELDS") or None,
        encoding=settings["FEED_EXPORT_ENCODING"],
        indent=None if indent is None else int(indent),
    )


def _is_csv_without_fields(exporter: Any) -> bool:
    from scrapy.exporters import CsvItemExporter

    return isinstance(exporter, CsvItemExporter) and not exporter.fields_to_export


def _all_fields(items: Iterable[Any]) -> list[str] | None:
    from itemadapter import ItemAdapter

    names = dict.fromkeys(name for item in items for name in ItemAdapter(item).field_names())
    return list(names) or None


def _export(exporter: Any, items: Iterable[Any]) -> int:
    count = 0
    exporter.start_exporting()
    for count, item in enumerate(items, start=1):
        try:
            exporter.export_item(item)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ItemNotRecordableError(
                f"Item {count} cannot be written by {type(exporter).__name__} ({error})."
                " Choose another format, such as jsonlines."
            ) from error
    exporter.finish_exporting()
    return count


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    if is_terminal():
        yield cast("IO[bytes]", _OnTerminal())
        sys.stdout.flush()
        return
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


class _OnTerminal(RawIOBase):
    """A binary file that shows on the terminal what is written, with control characters escaped."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("backslashreplace")
        self._encoding = sys.stdout.encoding or "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, written: Any) -> int:
        words = self._decoder.decode(bytes(written)).replace("\r\n", "\n")
        shown = re.sub(r"[^\t\n]+", lambda found: escaped_controls(found[0]), words)
        shown = shown.encode(self._encoding, "backslashreplace").decode(self._encoding)
        sys.stdout.write(shown)
        return len(written)
