"""What people name, as selections: of requests by their filters, of units by theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from scrapy_resume.model import Selection, State, UnitSelection, ordinary_identity
from scrapy_resume.reporting.documents import unit_state_of

if TYPE_CHECKING:
    from scrapy_resume.model import UnitState

Value = TypeVar("Value", str, int)


# One parameter for each filter: their names are public, as keywords of ``Reports.requests``.
def selection(
    state: str | Iterable[str] | None = None,
    *,
    host: str | Iterable[str] | None = None,
    status: int | Iterable[int] | None = None,
    error: str | Iterable[str] | None = None,
    callback: str | Iterable[str] | None = None,
    url: str | Iterable[str] | None = None,
    unit: str | Iterable[str] | None = None,
    missing: str | Iterable[str] | None = None,
    urls: Iterable[str | NamedUrl] | None = None,
    units: Iterable[str] | None = None,
    ids: Iterable[int] | None = None,
    partial: bool = False,
    max_attempts: int | None = None,
    skipped: bool = False,
    changeable: bool = False,
    dead: bool = False,
    rounds: int = 0,
    limit: int | None = None,
) -> Selection:
    """A selection of requests: those that match every argument that is given.

    Of an argument with several values, either has to hold. ``state``: names of states. ``host``: of
    the URL, without a port. ``status``: HTTP status. ``error``: the error's class name.
    ``callback``: the method's name. ``url``, ``unit``: globs with ``*`` and ``?``. ``missing``:
    fields of which a stored item lacks one, or has it empty. ``urls``: these URLs, whatever their
    fragments and the order of their parameters. ``units``: these names. ``ids``: the rows with
    these ids. ``partial``: done, with items that failed. ``max_attempts``: attempted at most so
    often. ``skipped``: it was skipped for good. ``changeable``: not one that was never recorded, or
    that every run sends, which no command changes. ``dead``: a dead letter, which has failed in
    ``rounds`` rounds of retry. ``limit``: at most so many. Raises ``ValueError`` for an unknown
    state, and for what is no URL.
    """
    states = tuple(State[_known(name)] for name in _values(state))
    named = None if urls is None else [named_url(line) for line in urls]
    return Selection(
        states=states,
        host=_values(host),
        status=_values(status),
        error=_values(error),
        callback=_values(callback),
        url=_values(url),
        unit=_values(unit),
        missing=_values(missing),
        urls=None if named is None else tuple({form for one in named for form in one.forms}),
        identities=() if named is None else tuple(one.identity for one in named),
        units=None if units is None else tuple(units),
        ids=None if ids is None else tuple(sorted(set(ids))),
        partial=partial,
        max_attempts=max_attempts,
        skipped=skipped or None,
        changeable=changeable,
        dead=dead or None,
        rounds=rounds,
        limit=limit,
    )


def unit_selection(
    state: str | Iterable[str] | None = None,
    *,
    unit: str | Iterable[str] | None = None,
    units: Iterable[str] | None = None,
    error: str | Iterable[str] | None = None,
) -> UnitSelection:
    """A selection of units, as ``selection`` is of requests. ``error``: the last one's class name.

    Raises ``ValueError`` for an unknown state.
    """
    states: list[UnitState] = [unit_state_of(name) for name in _values(state)]
    return UnitSelection(
        states=tuple(states),
        unit=_values(unit),
        units=None if units is None else tuple(units),
        error=_values(error),
    )


class NamedUrl(NamedTuple):
    """A URL that people name, and how the store may have it."""

    line: str
    forms: tuple[str, ...]
    """As it stands, as a request has it and in canonical form; without a fragment."""
    identity: str
    """In hex: that of a GET request for it. By it the store finds the requests whose URLs differ in
    the order of parameters, say."""


def named_url(line: str | NamedUrl) -> NamedUrl:
    """A URL as people write it. Raises ``ValueError`` for what is none."""
    if isinstance(line, NamedUrl):
        return line
    from scrapy import Request
    from scrapy.utils.request import fingerprint
    from w3lib.url import canonicalize_url

    try:
        request = Request(line)
    except ValueError:
        raise ValueError(f"{line!r} is no URL: a scheme (https://…) is missing") from None
    bare = (url.partition("#")[0] for url in (line, request.url, canonicalize_url(request.url)))
    return NamedUrl(line, tuple(dict.fromkeys(bare)), ordinary_identity(fingerprint(request)).hex())


def unknown_lines(named: Sequence[NamedUrl], forms: set[str], identities: set[str]) -> list[str]:
    """The lines of which the store knows neither a form nor the identity."""
    return [
        one.line for one in named if one.identity not in identities and forms.isdisjoint(one.forms)
    ]


def _values(value: Value | Iterable[Value] | None) -> tuple[Value, ...]:
    if value is None:
        return ()
    if isinstance(value, (str, int)):
        return (value,)
    return tuple(value)


def _known(name: str) -> str:
    if name not in State.__members__:
        raise ValueError(f"unknown state {name!r}; use one of {', '.join(State.__members__)}")
    return name
