"""The walk over a value and over its JSON tree: tables of one function for each type and tag.

What is in the tables is not known here: the modules above give one function for each type, which
calls ``Writer.write`` or ``Reader.read`` for the parts of a value. ``values`` puts them together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from scrapy_resume.codec.import_paths import path_of
from scrapy_resume.codec.instance_state import refuse_unless_blank
from scrapy_resume.codec.json_text import MAX_DEPTH
from scrapy_resume.codec.unserializable import UnserializableError
from scrapy_resume.errors import CallbackMissingError, ResumeError, StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from scrapy_resume.codec.callables import Callables
    from scrapy_resume.codec.rules import CrawlRules
    from scrapy_resume.codec.trust import Trust

Write: TypeAlias = "Callable[[Writer, Any, int], Any]"
"""(writer, value, levels of nesting that may follow) → tree. Raises UnserializableError."""

Read: TypeAlias = "Callable[[Reader, dict[str, Any]], Any]"
"""(reader, tagged tree) → value."""


class TaggedType(NamedTuple):
    """How the values of exactly one type are written and read."""

    type: type
    tag: str
    write: Write
    read: Read


class Writer(ABC):
    """Writes values as trees of JSON's own types, by their exact type."""

    def __init__(
        self,
        callables: Callables,
        writers: Mapping[type, Write],
        trust: Trust,
        unnameable: Collection[str] = (),
    ) -> None:
        """``unnameable``: modules whose classes are refused."""
        self.callables = callables
        self.rules: CrawlRules | None = None
        self.trust = trust
        self._unnameable = unnameable
        self._class_paths: dict[type, str] = {}
        self._writers = dict(writers)

    def write(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        """The tree; ``depth`` is the number of levels that may follow.

        Raises UnserializableError.
        """
        if depth < 0:
            raise UnserializableError(
                "refers to itself, or is nested too deeply; keep a flatter value"
            )
        kind = type(value)
        write = self._writers.get(kind)
        if write is None:
            write = self.learn(kind)
        return write(self, value, depth)

    def learn(self, kind: type) -> Write:
        """The function for a type that is met for the first time."""
        write = self._writers[kind] = self.writer_for(kind)
        return write

    @abstractmethod
    def writer_for(self, kind: type) -> Write:
        """The function for a type that is not in the table. Raises UnserializableError."""

    def path_of(self, target: type) -> str:
        """The import path of a class. Raises UnserializableError if it has none."""
        return path_of(target, self._unnameable)

    def type_path(self, kind: type) -> str:
        """The import path of a data type. Raises UnserializableError if it has none, or if a later
        run may not know the type."""
        path = self.path_of(kind)
        self.trust.refuse_to_name_type(kind, path)
        return path

    def class_path(self, kind: type) -> str:
        """The import path of a class whose instances consist of their attributes only.

        Raises UnserializableError for any other class.
        """
        path = self._class_paths.get(kind)
        if path is None:
            refuse_unless_blank(kind)
            path = self._class_paths[kind] = self.type_path(kind)
        return path


class Reader:
    """Reads what a Writer wrote."""

    def __init__(self, callables: Callables, readers: Mapping[str, Read], trust: Trust) -> None:
        self.callables = callables
        self.rules: CrawlRules | None = None
        self.trust = trust
        self._readers = readers

    def read(self, tree: Any) -> Any:
        """The value. Raises CallbackMissingError for a class or function that no longer exists,
        and StoreDamagedError for a tree that no Writer wrote.
        """
        kind = type(tree)
        if kind is list:
            return list(map(self.read, tree))
        if kind is not dict or not tree:
            return tree
        tag = next(iter(tree))
        if tag[:1] != "$":
            return dict(zip(tree, map(self.read, tree.values()), strict=True))
        try:
            return self._readers[tag](self, tree)
        except CallbackMissingError as error:
            return self.stand_in(tag, tree, error)
        except ResumeError:
            raise
        except Exception as error:
            raise StoreDamagedError(
                f"a stored value tagged {tag} cannot be read ({error!r}); it was written by a "
                "newer version, or for another machine, or the store is damaged"
            ) from error

    def stand_in(self, tag: str, tree: dict[str, Any], error: CallbackMissingError) -> Any:
        """What to return for a value whose class or function is missing. Here: raise the error."""
        raise error
