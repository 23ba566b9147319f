"""What is known of values that requests share, and of the groups that these requests make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from scrapy_resume.codec.shared_values import Path
    from scrapy_resume.frontier.row import Row

Kind: TypeAlias = tuple[str, str]
"""The callback, and the key of ``cb_kwargs`` or ``meta``."""


class SharedObject:
    """A value that several requests carry, or that others hold beside its request."""

    __slots__ = ("base", "ended", "group", "kind", "name", "open", "serial", "value", "watched")

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


class Group:
    """Shared objects that have members in common, and the members whose finish is held."""

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
