"""The attributes of components that ``RESUME_STATE`` names: persisted, and put back.

What a pipeline remembers of a request that is not finished must not be persisted: the replay of
the request would find its own items known, and they would be lost. So sets and dicts, which
remember by key, keep a journal of which request has added which key; the keys of open requests are
left out. What else an attribute holds is persisted as it is, as ``spider.state`` is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy.utils.conf import build_component_list
from scrapy.utils.misc import load_object

from scrapy_resume.engine.current import row_of_code
from scrapy_resume.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scrapy.crawler import Crawler
    from scrapy.settings import BaseSettings

    from scrapy_resume.frontier.row import Row

_LISTS = ("ITEM_PIPELINES", "SPIDER_MIDDLEWARES", "DOWNLOADER_MIDDLEWARES", "EXTENSIONS")


class Journal:
    """Which open request has added which keys to which container."""

    def __init__(self) -> None:
        self._added: dict[Row, list[tuple[object, Any]]] = {}

    def note(self, container: object, key: Any) -> None:
        """The code that runs now has added a key."""
        row = row_of_code()
        if row is not None and not row.ended:
            self._added.setdefault(row, []).append((container, key))

    def finished(self, row: object) -> None:
        """What the request has added is to be persisted from now on."""
        self._added.pop(row, None)  # type: ignore[call-overload]

    def open_keys(self, container: object) -> set[Any]:
        """What requests that are not finished have added."""
        entries = (entry for entries in self._added.values() for entry in entries)
        return {key for owner, key in entries if owner is container}


class JournaledSet(set[Any]):
    """A set that has its journal told what is added to it."""

    journal: Journal | None = None

    def add(self, key: Any) -> None:
        """As of a set."""
        if self.journal is not None and key not in self:
            self.journal.note(self, key)
        super().add(key)

    def update(self, *others: Iterable[Any]) -> None:
        """As of a set."""
        for other in others:
            for key in list(other):
                self.add(key)

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        if not isinstance(other, (set, frozenset)):
            return NotImplemented
        self.update(other)
        return self


class JournaledDict(dict[Any, Any]):
    """A dict that has its journal told which keys are new."""

    journal: Journal | None = None

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.journal is not None and key not in self:
            self.journal.note(self, key)
        super().__setitem__(key, value)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As of a dict."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **more: Any) -> None:
        """As of a dict."""
        for key, value in dict(*others, **more).items():
            self[key] = value

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.update(other)
        return self


_JOURNALED: dict[type, Any] = {set: JournaledSet, dict: JournaledDict}


class ComponentState:
    """The persisted attributes of a crawl's components."""

    def __init__(self, crawler: Crawler, attributes: Mapping[str, tuple[str, ...]]) -> None:
        """``attributes``: the setting ``RESUME_STATE``."""
        self._crawler = crawler
        self._attributes = attributes
        self._components: dict[str, Any] = {}
        self.journal = Journal()

    def restore(self, stored: Mapping[str, Mapping[str, Any]]) -> None:
        """Put back what is stored, after the components were built and opened.

        Raises ``ConfigurationError`` for a class of which no component is loaded, and for an
        attribute that the component lacks.
        """
        for path, names in self._attributes.items():
            component = self._component(path)
            for name in names:
                self._put_back(path, component, name, stored.get(path, {}))
            self._components[path] = component

    def _component(self, path: str) -> Any:
        kind, crawler = _class_at(path), self._crawler
        for find in (
            crawler.get_item_pipeline,
            crawler.get_spider_middleware,
            crawler.get_downloader_middleware,
            crawler.get_extension,
        ):
            found = find(kind)
            if found is not None:
                return found
        raise _not_loaded(path)

    def _put_back(self, path: str, component: Any, name: str, stored: Mapping[str, Any]) -> None:
        if not hasattr(component, name):
            raise ConfigurationError(
                f"RESUME_STATE names {name!r} of {path}, which has no such attribute when the "
                "spider is open. Correct the name, or set the attribute in __init__."
            )
        value = stored[name] if name in stored else getattr(component, name)
        journaled = _JOURNALED.get(type(value))
        if journaled is not None:
            value = journaled(value)
            value.journal = self.journal
        setattr(component, name, value)

    def values(self) -> dict[str, dict[str, Any]]:
        """By path and attribute, what is to be persisted now."""
        return {
            path: {
                name: self._persisted(getattr(component, name))
                for name in self._attributes[path]
                if hasattr(component, name)
            }
            for path, component in self._components.items()
        }

    def _persisted(self, value: Any) -> Any:
        if isinstance(value, JournaledSet):
            return set(value) - self.journal.open_keys(value)
        if isinstance(value, JournaledDict):
            open_keys = self.journal.open_keys(value)
            return {key: one for key, one in value.items() if key not in open_keys}
        return value


def check_components(settings: BaseSettings, attributes: Mapping[str, tuple[str, ...]]) -> None:
    """Raise ``ConfigurationError`` for a class of ``RESUME_STATE`` that the crawl cannot load."""
    if not attributes:
        return
    loaded = [
        load_object(one)
        for name in _LISTS
        for one in build_component_list(settings.getwithbase(name))
    ]
    for path in attributes:
        kind = _class_at(path)
        if all(isinstance(one, type) and not issubclass(one, kind) for one in loaded):
            raise _not_loaded(path)


def _class_at(path: str) -> type[Any]:
    try:
        kind = load_object(path)
    except (ImportError, NameError, ValueError) as error:
        raise ConfigurationError(
            f"RESUME_STATE names {path}, which cannot be loaded ({error}). Correct the path, or "
            "remove it."
        ) from error
    if not isinstance(kind, type):
        raise ConfigurationError(f"RESUME_STATE names {path}, which is not a class.")
    return kind


def _not_loaded(path: str) -> ConfigurationError:
    return ConfigurationError(
        f"RESUME_STATE names {path}, but no item pipeline, middleware or extension of that class "
        "is loaded. Enable the component, or remove it from RESUME_STATE."
    )
