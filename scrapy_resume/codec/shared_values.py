"""The mutable values in a request's ``cb_kwargs`` and ``meta`` that somebody else holds too.

Scrapy's own keys of ``meta`` are left out: what it writes there belongs to one request. Values are
found by where they are, ``("cb_kwargs", "item")`` for example: the steps of a path are the keys of
dicts and items, the indices of sequences, the names of attributes. A value within a shared one
comes and goes with that, and is found only if something else holds it as well: another value, or
the request itself.

That somebody else holds a value is known from its reference count. A count that is too high by
chance has no consequence but that the value is remembered for a while.
"""

from __future__ import annotations

from collections import deque
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from sys import getrefcount
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from itemadapter import ItemAdapter
from scrapy import Item, Request

from scrapy_resume.codec.distinction import SCRAPYS_META
from scrapy_resume.codec.json_text import loads
from scrapy_resume.codec.requests import SHARED_FIELD, telling_fields
from scrapy_resume.errors import StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Iterable

Path = tuple[str | int, ...]
"""The steps to a value from its request, which has the fields ``cb_kwargs`` and ``meta``."""

_MARK: Final = f'"{SHARED_FIELD}":[['
"""Occurs in every payload that has the field, and seldom in others."""

_IMMUTABLE: Final = frozenset(
    {
        *(str, int, bool, float, complex, bytes, type(None), frozenset, type, range),
        *(date, datetime, time, timedelta, Decimal, UUID),
        *(FunctionType, MethodType, BuiltinFunctionType),
    }
)
"""Types of values that cannot change, or not in a way that is recorded."""

_MOST_VALUES: Final = 2_000
"""Values of one request that are looked at, beyond which whole values are taken as one."""

_CARRIERS: Final = (FunctionType, partial)
"""Types of callbacks that may bring values with them."""

_EMPTY_CELL: Final = CellType()

_FIELDS: Final = ("cb_kwargs", "meta")

_CONTAINERS: Final = (dict, list, set, deque, bytearray, Item, SimpleNamespace)


class SharedRef(NamedTuple):
    """What a payload says of a shared value."""

    path: Path
    name: str
    """Of the value, the same in all requests that share it."""
    requests: int
    """How many requests shared it when the payload was written."""


def may_share(request: Request) -> bool:
    """Whether a request carries a value that can change."""
    callback, errback, cb_kwargs, meta = telling_fields(request)
    if type(callback) in _CARRIERS and any(map(is_container, _bound_to(callback))):
        return True
    if type(errback) in _CARRIERS and any(map(is_container, _bound_to(errback))):
        return True
    if cb_kwargs and any(map(_can_change, cb_kwargs.values())):
        return True
    for key, value in (meta or {}).items():
        if type(value) not in _IMMUTABLE and key not in SCRAPYS_META and _can_change(value):
            return True
    return False


def _can_change(value: Any) -> bool:
    if type(value) is tuple:
        return any(map(_can_change, value))
    return type(value) not in _IMMUTABLE


Parts = dict[int, list[tuple[Path, Any]]]
"""By the id of a shared value: the shared values within it, with their paths from there."""


def shared_values(request: Request, known: Parts | None = None) -> list[tuple[Path, Any]]:
    """The values that somebody beside the request holds too, each with its path. Those within
    another one follow it.

    Those that a lambda, a closure or a partial brings with it are among them, with an empty path:
    such a request is never restored. ``known``: the parts of values that other requests share; to
    be passed on as long as no callback runs.
    """
    callback, errback, cb_kwargs, meta = telling_fields(request)
    found: list[tuple[Path, Any]] = [
        ((), value)
        for function in (callback, errback)
        if type(function) in _CARRIERS
        for value in filter(is_container, _bound_to(function))
    ]
    left = _MOST_VALUES
    own = {"cb_kwargs": cb_kwargs, "meta": meta}
    parts: Parts = {} if known is None else known
    for field in _FIELDS:
        values = own[field]
        if values:
            left = _look_at(values, (field,), found, parts, left)
    return found


def is_container(value: Any) -> bool:
    """Whether it is of a type that is made to be filled: a collection, or an item."""
    return isinstance(value, _CONTAINERS) or ItemAdapter.is_item(value)


def _bound_to(function: Any) -> list[Any]:
    """The values that a function brings with it."""
    if isinstance(function, partial):
        return [*_bound_to(function.func), *function.args, *function.keywords.values()]
    if not isinstance(function, FunctionType):
        return []
    cells = function.__closure__ or ()
    found = [cell.cell_contents for cell in cells if cell != _EMPTY_CELL]
    return [*found, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


def _look_at(
    container: Any, path: Path, found: list[tuple[Path, Any]], known: Parts, left: int
) -> int:
    """Look for shared values in a container, ``left`` parts at most; how many are left."""
    parts = _parts_of(container)
    in_meta = path == ("meta",)
    for step, value in parts:
        if type(value) in _IMMUTABLE or (in_meta and step in SCRAPYS_META):
            continue
        left -= 1
        if getrefcount(value) <= _HELD_ONCE or type(value) is tuple:
            if left > 0:
                left = _look_at(value, (*path, step), found, known, left)
            continue
        found.append(((*path, step), value))
        if id(value) not in known:
            within: list[tuple[Path, Any]] = []
            known[id(value)] = within  # before it is full: values may contain one another
            if left > 0:
                left = _look_at(value, (), within, known, left)
        found += [((*path, step, *below), part) for below, part in known[id(value)]]
    return left


def is_held_elsewhere(value: Any, times: int) -> bool:
    """Whether others hold the value than the caller's caller, who holds it ``times`` times."""
    return getrefcount(value) > times + _HELD_BY_CALL


def _parts_of(container: Any) -> list[tuple[str | int, Any]]:
    """The steps into a value, and the parts that they lead to."""
    if isinstance(container, dict):
        return [(key, part) for key, part in container.items() if type(key) in (str, int)]
    if isinstance(container, Item):
        return list(container.items())
    if isinstance(container, (list, tuple, deque)):
        return list(enumerate(container))
    if isinstance(container, (set, Request)):
        return []
    try:
        return list(vars(container).items())
    except TypeError:
        names = [name for kind in type(container).__mro__ for name in _slots_of(kind)]
        return [(name, getattr(container, name)) for name in names if hasattr(container, name)]


def _slots_of(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else slots


def value_at(request: Request, path: Path) -> Any:
    """The value at a path. Raises LookupError or AttributeError if there is none."""
    value: Any = request
    for step in path:
        value = _part(value, step)
    return value


def put_at(request: Request, path: Path, value: Any) -> None:
    """Put a value in the place of the one at a path. Raises LookupError or AttributeError."""
    _put(request, path, value)


def _part(container: Any, step: str | int) -> Any:
    if isinstance(container, (dict, Item, list, tuple, deque)):
        return container[step]  # type: ignore[index]
    return getattr(container, str(step))


def _put(container: Any, path: Path, value: Any) -> Any:
    """The container with the value in its place: itself, or a new tuple."""
    step, rest = path[0], path[1:]
    if rest:
        part = _part(container, step)
        value = _put(part, rest, value)
        if value is part:
            return container
    if isinstance(container, tuple):
        parts: list[Any] = list(container)
        parts[int(step)] = value
        return tuple(parts)
    if isinstance(container, (dict, Item, list, deque)):
        container[step] = value  # type: ignore[index]
    else:
        object.__setattr__(container, str(step), value)
    return container


def refs_tree(refs: Iterable[SharedRef]) -> list[list[Any]]:
    """The references as JSON has them."""
    return [[list(ref.path), ref.name, ref.requests] for ref in refs]


def refs_of(payload: str) -> list[SharedRef]:
    """The references of a payload. Raises StoreDamagedError."""
    if _MARK not in payload:
        return []
    tree = loads(payload).get(SHARED_FIELD, [])
    try:
        return [SharedRef(tuple(path), str(name), int(count)) for path, name, count in tree]
    except (TypeError, ValueError) as error:
        raise StoreDamagedError(
            f"a stored request names its shared values in an unknown way ({tree!r:.80}); it was "
            "written by a newer version, or the store is damaged"
        ) from error


def _count_in_loop() -> int:
    """The reference count that ``_look_at`` sees of a value that only its container holds."""
    container: dict[str, Any] = {"": {}}
    parts = _parts_of(container)
    for _, value in parts:
        return getrefcount(value)
    raise AssertionError


def _count_in_call(value: Any) -> int:
    return getrefcount(value)


_HOLDER: Final[list[Any]] = [{}]

_HELD_ONCE: Final = _count_in_loop()
_HELD_BY_CALL: Final = _count_in_call(_HOLDER[0]) - 1


class SharedValues:
    """The functions of this module, for packages that do not import Scrapy."""

    ref = SharedRef
    may_share = staticmethod(may_share)
    find = staticmethod(shared_values)
    is_container = staticmethod(is_container)
    is_held_elsewhere = staticmethod(is_held_elsewhere)
    value_at = staticmethod(value_at)
    put_at = staticmethod(put_at)
