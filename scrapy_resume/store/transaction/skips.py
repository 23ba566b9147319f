"""What is skipped for good: by rules (hosts, globs of URLs, units) and by keys of requests.

A rule holds for what arrives later as well. A key is that by which later numbers of the job know a
request (``Admission.given_key``): it is skipped, or, if a command has taken that back, it is not,
whatever the rules say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fnmatch import translate
from itertools import product
from typing import Final, Protocol

from scrapy_resume.model import Selection, SkipRule, State
from scrapy_resume.store.transaction.selection import words
from scrapy_resume.store.transaction.steering import AT_ONCE, SKIPPED_STATES, in_portions

COMMAND: Final = 0
SETTINGS: Final = 1
"""Origins of rules."""

DENIED: Final = 0
ALLOWED: Final = 1

_HOST: Final = re.compile(r"[^:]+://(?:[^/@]*@)?(\[[^]]*\]|[^/:?#]*)")


class SkipTables(Protocol):
    """The statements about what is skipped, of one job."""

    def rules(self, origin: int | None = None) -> list[SkipRule]:
        """The rules of that origin; ``None``: of both."""

    def add_rules(self, origin: int, rules: Iterable[SkipRule]) -> None:
        """Add rules that may be there."""

    def delete_rules(self, origin: int, rules: Iterable[SkipRule]) -> None:
        """Delete rules."""

    def has_keys(self) -> bool:
        """Whether anything is said of a key."""

    def keys(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """What is said of these keys: ``DENIED`` or ``ALLOWED``."""

    def put_keys(self, keys: Iterable[bytes], verdict: int) -> None:
        """Say it of keys."""

    def put_row_keys(self, rows: Sequence[int], verdict: int) -> None:
        """Say it of the keys of rows."""

    def delete_row_keys(self, rows: Sequence[int]) -> None:
        """Say nothing of the keys of rows."""

    def delete_keys(self) -> None:
        """Say nothing of any key."""

    def roots(self, rows: Iterable[int]) -> dict[int, str]:
        """The URLs of rows that are the roots of units."""

    def changed(self) -> None:
        """What is skipped has changed."""

    def count(self) -> int:
        """How many requests are skipped."""


class Rules:
    """The rules of a job, compiled."""

    def __init__(self, rules: Sequence[SkipRule], *, has_keys: bool) -> None:
        self.has_keys = has_keys
        """Something is said of keys."""
        self.needs_units = any(rule.unit for rule in rules)
        self._names = {rule.unit for rule in rules if rule == SkipRule(unit=rule.unit, exact=1)}
        rest = [rule for rule in rules if rule != SkipRule(unit=rule.unit, exact=1)]
        urls = [rule.url for rule in rest if rule == SkipRule(url=rule.url)]
        self._urls = _compiled(urls) if urls else None
        self._others = [
            (
                rule.host.lower(),
                _compiled([rule.url]) if rule.url else None,
                _compiled([re.escape(rule.unit)], plain=True)
                if rule.exact
                else _compiled([rule.unit])
                if rule.unit
                else None,
            )
            for rule in rest
            if rule != SkipRule(url=rule.url)
        ]

    def match(self, url: str, unit: str | None) -> bool:
        """Whether a rule holds for a request; ``unit``: ``None``: unknown."""
        if self._urls is not None and self._urls.match(url):
            return True
        if unit is not None and unit in self._names:
            return True
        for host, urls, units in self._others:
            if host and host_of(url) != host:
                continue
            if urls is not None and not urls.match(url):
                continue
            if units is not None and (unit is None or not units.match(unit)):
                continue
            return True
        return False


def _compiled(globs: Iterable[str], *, plain: bool = False) -> re.Pattern[str]:
    """One pattern for globs with ``*`` and ``?``."""
    parts = (glob if plain else translate(glob.replace("[", "[[]")) for glob in globs)
    return re.compile("|".join(f"(?:{part})\\Z" if plain else part for part in parts))


def host_of(url: str) -> str:
    """The host of a URL in lower case, without user and port; empty if it has none."""
    found = _HOST.match(url)
    return found[1].lower() if found else ""


def rules_of(selection: Selection) -> list[SkipRule]:
    """The rules that say the same as a selection; empty: no rule can, so that keys have to."""
    bare = Selection(
        host=selection.host, url=selection.url, unit=selection.unit, units=selection.units
    )
    if selection != bare or bare.is_everything:
        return []
    hosts, urls = words(selection.host) or ("",), words(selection.url) or ("",)
    if selection.units is None:
        units = [(unit, 0) for unit in words(selection.unit) or ("",)]
    elif selection.unit:
        return []
    else:
        units = [(unit, 1) for unit in selection.units]
    return [
        SkipRule(host.lower(), url, unit, exact)
        for host, url, (unit, exact) in product(hosts, urls, units)
    ]


def selections_of(rules: Iterable[SkipRule]) -> list[Selection]:
    """What the rules say as selections, few of them: those of one kind are put together."""
    urls, units, names, rest = [], [], [], []
    for rule in rules:
        if rule == SkipRule(url=rule.url):
            urls.append(rule.url)
        elif rule == SkipRule(unit=rule.unit):
            units.append(rule.unit)
        elif rule == SkipRule(unit=rule.unit, exact=1):
            names.append(rule.unit)
        else:
            rest.append(rule)
    found = [Selection(url=tuple(urls))] if urls else []
    found += [Selection(unit=tuple(units))] if units else []
    found += [Selection(units=tuple(names))] if names else []
    for rule in rest:
        named = (rule.unit,) if rule.exact else None
        glob = rule.unit if rule.unit and not rule.exact else ()
        found.append(Selection(host=rule.host or (), url=rule.url or (), unit=glob, units=named))
    return found


Find = Callable[[Selection, int, int], list[int]]
"""The ids of the first so many rows that are selected, above an id."""
Steer = Callable[[Selection, State], int]
"""Changes the state of the selected rows; how many."""


def skip(tables: SkipTables, selection: Selection, find: Find, steer: Steer) -> int:
    """Skip the selected requests for good; returns how many have become ignored by it."""
    rules = rules_of(selection)
    if selection.limit is not None and not selection.states:
        selection = replace(selection, states=SKIPPED_STATES)
    every = replace(selection, changeable=True, limit=None)
    if rules:
        tables.add_rules(COMMAND, rules)
        if tables.has_keys():
            _each(every, find, tables.delete_row_keys)
    else:
        if selection.urls is not None and selection == Selection(
            urls=selection.urls, identities=selection.identities
        ):
            tables.put_keys(map(bytes.fromhex, selection.identities), DENIED)
        limited = replace(every, limit=selection.limit)
        _each(limited, find, lambda ids: tables.put_row_keys(ids, DENIED))
    tables.changed()
    states = tuple(state for state in selection.states if state in SKIPPED_STATES)
    if selection.states and not states:
        return 0
    return steer(replace(selection, states=states or SKIPPED_STATES), State.ignored)


def unskip(tables: SkipTables, selection: Selection, find: Find, steer: Steer) -> int:
    """Have selected requests that were skipped fetched again; returns how many they are.

    Rules of commands that are selected themselves are taken back.
    """
    undone = [rule for rule in tables.rules(COMMAND) if _undoes(selection, rule)]
    tables.delete_rules(COMMAND, undone)
    bare = replace(selection, skipped=None, states=(), limit=None)
    if bare.is_everything and selection.limit is None:
        tables.delete_keys()
    elif bare == Selection(urls=bare.urls, identities=bare.identities):
        tables.put_keys(map(bytes.fromhex, bare.identities), ALLOWED)
    skipped = replace(selection, changeable=True, states=(State.ignored,))
    if tables.rules() or tables.has_keys():
        _each(skipped, find, lambda ids: tables.put_row_keys(ids, ALLOWED))
        _each(replace(bare, denied=True, changeable=True), find, tables.delete_row_keys)
    tables.changed()
    return steer(skipped, State.pending)


def _each(selection: Selection, find: Find, act: Callable[[list[int]], None]) -> None:
    def change(ids: list[int]) -> int:
        act(ids)
        return len(ids)

    in_portions(lambda after, count: find(selection, after, count), change, selection.limit)


def _undoes(selection: Selection, rule: SkipRule) -> bool:
    """Whether a selection of what was skipped takes a rule back: its own words fit the rule's."""
    bare = replace(selection, skipped=None, states=())
    usual = Selection(host=bare.host, url=bare.url, unit=bare.unit, units=bare.units)
    if bare != usual:
        return False
    hosts = [host.lower() for host in words(bare.host)]
    return (
        (not hosts or rule.host in hosts)
        and _fits(words(bare.url), rule.url)
        and _fits(words(bare.unit), rule.unit)
        and (bare.units is None or rule.unit in bare.units)
    )


def _fits(globs: Sequence[str], text: str) -> bool:
    return not globs or (bool(text) and bool(_compiled(globs).match(text)))


def keep_settings(tables: SkipTables, wanted: Sequence[SkipRule]) -> None:
    """Have the rules of RESUME_SKIP be these."""
    found, new = set(tables.rules(SETTINGS)), set(wanted)
    if found != new:
        tables.delete_rules(SETTINGS, sorted(found - new))
        tables.add_rules(SETTINGS, sorted(new - found))
        tables.changed()


def sweep(tables: SkipTables, steer: Steer) -> int:
    """Have what is pending, and to be skipped, be ignored; returns how many they are."""
    return sum(
        steer(replace(chosen, states=(State.pending,)), State.ignored)
        for chosen in _to_skip(tables)
    )


def leased_ones(tables: SkipTables, find: Find) -> set[int]:
    """The leased rows that are to be skipped."""
    found: set[int] = set()
    for chosen in _to_skip(tables):
        found.update(find(replace(chosen, states=(State.leased,), changeable=True), -1, AT_ONCE))
    return found


def _to_skip(tables: SkipTables) -> list[Selection]:
    chosen = [replace(one, not_allowed=True) for one in selections_of(tables.rules())]
    if tables.has_keys():
        chosen.append(Selection(denied=True))
    return chosen
