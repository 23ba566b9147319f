"""What is known of values that requests share, and of the groups that these requests make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scrapy_resume.codec.shared_values import Path
    from scrapy_resume.frontier.row import Row

Kind: TypeAlias = tuple[str, str]
"""The callback, and the key of ``cb_kwargs`` or ``meta``."""


class SharedObject:
    """A value that several requests carry, or that others hold beside its request."""

    __slots__ = (
        *("around", "base", "ended", "group", "kind", "name", "open", "parts", "serial", "value"),
        "watched",
    )

    def __init__(self, name: str, value: Any, base: bytes, kind: Kind, serial: int) -> None:
        # Five: they do not change, and each is known where an object is made.
        self.name = name
        self.serial = serial
        """Its number among those of this run, from 1; 0: it came from the store."""
        self.watched = True
        """Its changes make a group one piece of work."""
        self.value = value
        self.base = base
        """The text of the value as it was when its requests were admitted."""
        self.kind = kind
        self.open = 0
        """Number of members that have not ended, wherever they are."""
        self.ended = 0
        """Number of members that have ended in this run."""
        self.group = Group(self)
        self.parts: set[SharedObject] = set()
        """Shared objects within this one."""
        self.around: set[SharedObject] = set()
        """Those within which it is: a change of it is one of theirs."""


class Group:
    """Shared objects that were changed by a common member, and the members whose finish is held.
    An object that nobody has changed is on its own."""

    __slots__ = ("changed", "from_memory", "gave_up", "held", "objects")

    def __init__(self, shared: SharedObject) -> None:
        self.objects = [shared]
        self.changed = False
        """A callback has changed one of them, even if another one has undone it."""
        self.held: list[Row] = []
        self.from_memory: list[tuple[Row, Row]] = []
        """(member that runs from memory, the member that yielded it)."""
        self.gave_up = False
        """It is too large: nothing is held any more."""

    @property
    def open(self) -> int:
        """Number of members that have not ended, at most."""
        return sum(max(0, shared.open) for shared in self.objects)


class Planned(NamedTuple):
    """A request that was withheld, and the shared objects that it carries."""

    arrival: Any
    carried: list[tuple[Path, SharedObject]]
    objects: tuple[SharedObject, ...]
    """Those of which it is a member, each once."""
    group: Group | None
    """It runs from memory, as a member of this group, and ends with it."""
    from_memory: bool
    """It runs from memory, below the request that yielded it."""


def key_of(path: Path) -> str:
    """The key of ``cb_kwargs`` or ``meta`` with which a path begins, for a person."""
    return str(path[1]) if path else "what its callback brings with it"


def others(group: Group, own: Sequence[SharedObject]) -> bool:
    """Whether a group has open members beside the one that carries ``own``."""
    return any(shared.open > (shared in own) for shared in group.objects)


def watched(carried: Iterable[tuple[Path, SharedObject]]) -> tuple[SharedObject, ...]:
    """The objects whose changes count, each once. A change of what is within one is one of that."""
    found: dict[int, SharedObject] = {}
    outer: Path | None = None
    for path, shared in carried:
        if outer is None or not is_within(path, outer):
            outer = path
            if shared.watched:
                found[id(shared)] = shared
    return tuple(found.values())


def is_within(path: Path, outer: Path) -> bool:
    """Whether a path leads into what another one leads to."""
    return bool(outer) and path[: len(outer)] == outer and len(path) > len(outer)


def with_parts(
    carried: Iterable[tuple[Path, SharedObject]], is_spiders: Callable[[Any], bool]
) -> list[tuple[Path, SharedObject]]:
    """Remember which objects are within others. Returns what is carried, without what is within
    objects that the spider holds."""
    found: list[tuple[Path, SharedObject]] = []
    outer: tuple[Path, SharedObject] | None = None
    for path, shared in carried:
        if outer is None or not is_within(path, outer[0]):
            outer = path, shared
        elif outer[1].watched or not is_spiders(outer[1].value):
            put_within(shared, outer[1])
        else:
            continue
        found.append((path, shared))
    return found


def put_within(part: SharedObject, outer: SharedObject) -> None:
    """Remember that a shared object is within another one."""
    if part is not outer:
        outer.parts.add(part)
        part.around.add(outer)


def tied_to(
    group: Group | None, yielded: Iterable[tuple[SharedObject, ...]], known: int
) -> set[SharedObject]:
    """The objects of the group, and the new ones that a request carries with one of these."""
    if group is None:
        return set()
    tied, rest = set(group.objects), list(yielded)
    while True:
        near = [objects for objects in rest if not tied.isdisjoint(objects)]
        new = {shared for objects in near for shared in objects if shared.serial > known} - tied
        if not new:
            return tied
        tied |= new
