"""The names that the code of a job had in each of its runs: which may be one name, renamed.

Two names that were never there together, of which the code has one now, may stand for the same
thing. That decides nothing by itself: a request that is new by its present name, and known by a
name that is gone, is taken for the one that is known.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, product
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.codec.renames import dotted, import_paths

if TYPE_CHECKING:
    from scrapy import Spider

    from scrapy_resume.codec.trust import Trust

FUNCTION: Final = "function"
CLASS: Final = "class"
"""What names of functions and classes begin with: ``class:shop.items:Book``. A method of the spider
has its bare name."""

MOST_NAMES: Final = 2_000
"""Names of one version that are recorded at most: those of the spider first."""

MOST_VERSIONS: Final = 50
"""Versions of the code that are told apart; the oldest ones count as one."""

MOST_OTHERS: Final = 8
"""Other names of one name that are tried."""

MOST_COMBINATIONS: Final = 1_000
"""Combinations of the names of one request of which the likely ones are chosen."""

MOST_TRIED: Final = 32
"""Combinations of the names of one request that are tried."""


class NameHistory:
    """The names of this run's code, and those of earlier runs."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """``names``: those of this run's code, the most important ones first."""
        present = list(names)
        self._all_present = frozenset(present)
        self._present = dict.fromkeys(present[:MOST_NAMES])
        """Those that are recorded, in order."""
        self._versions = 0
        self._seen: dict[str, int] = {}
        """Name → one bit for each version of the code that had it."""
        self._add_present()

    def recall(self, record: object) -> None:
        """Take in what an earlier run has recorded. What cannot be read is not taken."""
        if not isinstance(record, Mapping) or type(record.get("versions")) is not int:
            return
        seen = record.get("seen")
        if not isinstance(seen, Mapping):
            return
        self._versions = max(0, min(record["versions"], MOST_VERSIONS))
        self._seen = {
            name: bits
            for name, bits in islice(seen.items(), 2 * MOST_NAMES)
            if type(name) is str and type(bits) is int
        }
        self._add_present()

    def record(self) -> dict[str, Any]:
        """The JSON that the next run recalls: the latest names first."""
        first = [*self._present, *(name for name in self._seen if name not in self._present)]
        seen = {name: self._seen[name] for name in first[: 2 * MOST_NAMES]}
        return {"versions": self._versions, "seen": seen}

    def _add_present(self) -> None:
        for version in range(self._versions):
            had = {name for name, bits in self._seen.items() if bits >> version & 1}
            if had == self._present.keys():
                return
        if self._versions == MOST_VERSIONS:
            self._seen = {name: (bits >> 1) | (bits & 1) for name, bits in self._seen.items()}
            self._versions -= 1
        for name in self._present:
            self._seen[name] = self._seen.get(name, 0) | 1 << self._versions
        self._versions += 1

    @property
    def has_missing(self) -> bool:
        """Whether an earlier run had names that are gone."""
        return len(self._seen) > len(self._present)

    def gone(self, name: str) -> Iterator[str]:
        """Names of the same kind that the code does not have now, and never had beside ``name``."""
        bits, kind = self._seen.get(name, 0), name.partition(":")[0] if ":" in name else ""
        for other, others in self._seen.items():
            same_kind = other.startswith(f"{kind}:") if kind else ":" not in other
            if same_kind and not bits & others and not self._is_there(other):
                yield other

    def were_together(self, names: Collection[str]) -> bool:
        """Whether one version of the code may have had all these names. Names that no version has
        recorded don't count."""
        bits = -1
        for name in names:
            bits &= self._seen.get(name, -1)
        return bool(bits)

    def _is_there(self, name: str) -> bool:
        """Whether the code has a name, if only in a module that was loaded since."""
        if name in self._all_present:
            return True
        module, _, qualname = _path(name).partition(":")
        return module in sys.modules and qualname in vars(sys.modules[module])


class OtherNames:
    """By which other names requests may be known, since code was renamed."""

    def __init__(self, renames: Mapping[str, str], history: NameHistory) -> None:
        """``renames``: RESUME_RENAMED as ``Trust.renames`` has it."""
        self._history = history
        self._old: dict[str, list[str]] = {}
        """Present method or import path → old names, with dots, in the order of the setting."""
        for old, present in renames.items():
            self._old.setdefault(present, []).append(old)
        self._renamed = renames.keys()
        self._known: dict[str, list[str]] = {}
        self._together: dict[tuple[str, ...], list[tuple[str, ...]]] = {}

    @property
    def any(self) -> bool:
        """Whether there may be any."""
        return bool(self._old) or self._history.has_missing

    def of(self, name: str) -> list[str]:
        """All names that may stand for it: its first one, then others. ``name`` itself is one."""
        found = self._known.get(name)
        if found is None:
            form, _, path = name.partition(":") if ":" in name else ("", "", name)
            names = [
                stored for old in self._old.get(path, ()) for stored in _stored_names(form, old)
            ]
            names.append(name)
            gone = (g for g in self._history.gone(name) if dotted(_path(g)) not in self._renamed)
            names += islice(gone, MOST_OTHERS)
            found = self._known[name] = list(dict.fromkeys(names))
        return found

    def together(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """All that may stand for several names of one request, ``MOST_TRIED`` at most: the first
        ones of ``of``, then those that one version of the code had, each for another name, because
        one version has stored the request. Then others: RESUME_RENAMED mixes versions."""
        key = tuple(names)
        found = self._together.get(key)
        if found is None:
            first, *others = islice(product(*map(self.of, names)), MOST_COMBINATIONS)
            others.sort(key=self._are_unlikely)
            found = self._together[key] = [first, *others][:MOST_TRIED]
        return found

    def _are_unlikely(self, names: Collection[str]) -> bool:
        recorded = [name for name in names if dotted(_path(name)) not in self._renamed]
        return len(set(names)) < len(names) or not self._history.were_together(recorded)


def _path(name: str) -> str:
    return name.partition(":")[2] if ":" in name else name


def _stored_names(form: str, old: str) -> Iterator[str]:
    """What the store may have for a name with dots."""
    if "." not in old:
        yield old
        return
    for path in import_paths(old):
        yield f"{form or FUNCTION}:{path}"


def present_names(spider: Spider, methods: Iterable[str], trust: Trust) -> Collection[str]:
    """The names of the spider's methods, and of functions and classes of the trusted modules that
    are loaded."""
    own = type(spider).__module__
    modules = sorted(filter(trust.covers, list(sys.modules)), key=lambda name: name != own)
    functions = (
        f"{CLASS if isinstance(found, type) else FUNCTION}:{module}:{name}"
        for module in modules
        for name, found in sorted(vars(sys.modules[module]).items(), key=lambda pair: pair[0])
        if isinstance(found, type | FunctionType) and found.__module__ == module
    )
    names = dict.fromkeys(name for name in methods if not name.startswith("__"))
    return list(dict.fromkeys([*names, *functions]))
