"""Rows whose names and types were met before: their columns are there, and hold their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

from scrapy_resume.databases.kinds import AS_IT_IS, LONGEST_INTEGER, Kind, bound, kind_of, widened

_TYPES: Final = frozenset(
    {
        str,
        int,
        float,
        bool,
        type(None),
        list,
        tuple,
        dict,
        Decimal,
        date,
        datetime,
        time,
        UUID,
        bytes,
    }
)
"""Types of which all values are of one kind, but for long integers and zones."""


class Plan(NamedTuple):
    """Of all rows with the same names and types."""

    pick: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    """From the values of the row and ``None`` to those of the statement."""
    integers: tuple[int, ...]
    """Places of values that may be too long."""
    moments: tuple[tuple[int, bool], ...]
    """Places of dates with a time, and whether those have no zone."""
    kinds: tuple[tuple[int, str, Kind], ...]
    """Place, name and column of values that are not bound as they are."""


class RowPlans:
    """For one table and order of columns; ``clear`` when they change."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._columns: tuple[str, ...] = ()
        self._plans: dict[tuple[tuple[Any, ...], tuple[type, ...]], Plan] = {}

    def clear(self) -> None:
        """Ask about each row again."""
        self._plans.clear()

    def order(self, columns: tuple[str, ...]) -> None:
        """The columns of the statement; others than before need other plans."""
        if columns != self._columns:
            self._columns = columns
            self._plans.clear()

    def plan(self, row: Mapping[str, Any]) -> Plan | None:
        """``None``: its columns have to be looked at."""
        values = tuple(row.values())
        found = self._plans.get((tuple(row), tuple(map(type, values))))
        if found is not None:
            for place in found.integers:
                if not -LONGEST_INTEGER <= values[place] < LONGEST_INTEGER:
                    return None
            for place, naive in found.moments:
                if (values[place].tzinfo is None) is not naive:
                    return None
        return found

    def values(self, plan: Plan, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """What is bound, in the order of the columns. Raises ``FieldError``."""
        values = (*row.values(), None)
        if not plan.kinds:
            return plan.pick(values)
        changed = list(values)
        for place, name, kind in plan.kinds:
            changed[place] = bound_field(name, changed[place], kind, self._dialect)
        return plan.pick(tuple(changed))

    def learn(
        self, row: Mapping[str, Any], known: Mapping[str, str], kinds: Mapping[str, Kind]
    ) -> None:
        """Rows like this one fit. ``known``: field → column."""
        names, values = tuple(row), tuple(row.values())
        places: dict[str, int] = {}
        integers: list[int] = []
        moments: list[tuple[int, bool]] = []
        others: list[tuple[int, str, Kind]] = []
        for place, (name, value) in enumerate(zip(names, values, strict=True)):
            column, value_type = known.get(name, ""), type(value)
            kind = kinds.get(column)
            if kind is None or value_type not in _TYPES:
                return
            places[column] = place
            if value is None:
                continue
            if kind is Kind.any:
                return
            if widened(kind, kind_of(value, self._dialect)) is not kind:
                return
            if value_type is int:
                integers.append(place)
            if value_type is datetime:
                moments.append((place, value.tzinfo is None))
            if (value_type, kind) not in AS_IT_IS:
                others.append((place, name, kind))
        wanted = [places.get(column, len(names)) for column in self._columns]
        self._plans[names, tuple(map(type, values))] = Plan(
            _picker(wanted), tuple(integers), tuple(moments), tuple(others)
        )


def _picker(places: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


class FieldError(Exception):
    """A value cannot be bound."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def bound_field(name: str, value: Any, kind: Kind, dialect: str) -> Any:
    """What is bound for the value of a field. Raises ``FieldError``."""
    try:
        return bound(value, kind, dialect)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise FieldError(name, str(error)) from error
