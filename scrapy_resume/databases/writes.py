"""What is to be done in a table, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

FIELDS_SHOWN: Final = 3
"""Of an item that cannot be a row, in the error about it."""
LONGEST_NAME: Final = 40
"""Characters of the name of such a field, as the next are of its text."""
LONGEST_VALUE: Final = 100
LARGEST_BITS: Final = 64
"""Of such a whole number."""


@dataclass(slots=True)
class Put:
    """The fields of an item."""

    fields: Mapping[str, Any]
    """By column."""
    error: str | None = None
    """Why it cannot be a row; ``None``: it may be one."""


class Write(NamedTuple):
    """What a change of the job means for the table."""

    item: str
    """What the item is called over its updates."""
    version: int
    """The id of the change."""
    put: Put | None
    """``None``: the item is not there any more."""
    replaced: bool = False
    """Without ``put``: it is there, but the feed takes none like it any more: its row goes,
    whatever ``on_removed`` says."""
    quiet: bool = False
    """A removal that does not count for RESUME_REMOVAL_LIMIT: nothing was taken back."""


class RowFault(NamedTuple):
    """An item that could not be written."""

    item: str
    field: str | None
    """The field that is to blame, if that is known."""
    message: str
    shown: str = ""
    """By what people know the item: see ``shown_fields``."""

    def __str__(self) -> str:
        of = "" if self.field is None else f", field {self.field!r}"
        shown = f" (its {self.shown})" if self.shown else ""
        return f"item {self.item}{of}: {self.message}{shown}"


def shown_fields(fields: Mapping[str, Any], but: str | None = None) -> str:
    """The first fields of an item that are short texts and numbers, for people who look for it; not
    the field that is to blame. Empty: it has none."""
    short = (
        f"{name}={value!r}" if name.isidentifier() else f"{name!r}={value!r}"
        for name, value in fields.items()
        if name != but
        and len(name) <= LONGEST_NAME
        and isinstance(value, (str, int, float))
        and (not isinstance(value, str) or 0 < len(value) <= LONGEST_VALUE)
        and (not isinstance(value, int) or value.bit_length() <= LARGEST_BITS)
    )
    return ", ".join(islice(short, FIELDS_SHOWN))


@dataclass(slots=True)
class Outcome:
    """What one transaction has done."""

    written: int = 0
    removed: int = 0
    faults: list[RowFault] = field(default_factory=list)
    """Items that the feed owes from now on."""
    notices: list[str] = field(default_factory=list)
    """What was changed in the schema."""
    owed_again: bool = False
    """Rows that several items of the job have given have lost one of them: the others are written
    again (``Target.owed``)."""
