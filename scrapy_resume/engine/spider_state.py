"""Stores and restores the state of the spider: ``spider.state``, the cookies, the attributes of
components that ``RESUME_STATE`` names, and Scrapy's stats if ``RESUME_STATS`` is ``job``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from scrapy_resume.errors import NotRecordableError, StateNotRecordableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy import Spider

    from scrapy_resume.codec import Codec
    from scrapy_resume.engine.component_state import ComponentState
    from scrapy_resume.engine.cookies import Cookies
    from scrapy_resume.engine.job_stats import JobStats
    from scrapy_resume.store.contract import Batch

_COMPONENTS: Final = "scrapy_resume.components"
_STATE: Final = "spider.state"
_STATS: Final = "scrapy_resume.stats"
"""Keys of the stored dict, if it has more than ``spider.state``."""


class SpiderState:
    """Adds the spider's state to batches when it has changed."""

    def __init__(
        self,
        spider: Spider,
        codec: Codec,
        cookies: Cookies,
        components: ComponentState,
        stats: JobStats,
        text: str | None,
    ) -> None:
        """``text`` is the stored state, serialized; ``None``: none is stored."""
        self._spider = spider
        self._codec = codec
        self._cookies = cookies
        self._components = components
        self._stats = stats
        self._of_components: dict[str, dict[str, Any]] = {}
        """What is stored of components."""
        self._of_stats: dict[str, Any] = {}
        """What is stored of Scrapy's stats."""
        self._restored = False
        """The components have it."""
        self._text = text
        """The state as last added to a batch or read from the store; ``None``: never."""

    def restore(self) -> None:
        """Restore ``spider.state``. If none is stored, it is an empty dict, as with JOBDIR."""
        if self._text is not None:
            state = self._codec.decode_value(self._text)
            if isinstance(state, dict) and _COMPONENTS in state:
                self._of_components = state[_COMPONENTS]
                self._of_stats = state.get(_STATS, {})
                state = state[_STATE]
            self._spider.state = state  # type: ignore[attr-defined]
        elif not hasattr(self._spider, "state"):
            self._spider.state = {}  # type: ignore[attr-defined]

    def restore_components(self, exact_stats: Mapping[str, int]) -> None:
        """Put back what is stored of components and stats. Called before the crawl goes on, when
        they are built and open. Raises ``ConfigurationError``.

        ``exact_stats``: see ``JobStats.restore``.
        """
        self._components.restore(self._of_components)
        if self._stats.enabled:
            self._stats.restore(self._of_stats, exact_stats)
        self._restored = True

    def add_to(self, batch: Batch) -> None:
        """Add ``spider.state`` and the cookies to a batch, if they have changed.

        May be called several times for one batch: a later call adds what has changed since. Raises
        ``StateNotRecordableError``.
        """
        for finish in batch.finishes:
            self._components.journal.finished(finish.origin)
        text = self._encoded()
        if text is not None and text != self._text:
            batch.state.spider_state = self._text = text
        batch.state.cookies.update(self._cookies.take_changes())

    def _encoded(self) -> str | None:
        state = getattr(self._spider, "state", None)
        if self._restored:
            self._of_components = {**self._of_components, **self._components.values()}
            self._of_stats = self._stats.values() or self._of_stats
        beside = self._of_components or self._of_stats
        if not state and self._text is None and not beside:
            return None
        try:
            if beside:
                return self._codec.encode_value(self._with_components(state))
            return self._codec.encode_value(state)
        except NotRecordableError as error:
            self._raise_for_component()
            raise StateNotRecordableError(
                f"spider.state{self._culprit(state)} cannot be serialized: {error}. Keep plain "
                "values there, or register a codec for the type in RESUME_CODECS."
            ) from error

    def _with_components(self, state: Any) -> dict[str, Any]:
        stats = {_STATS: self._of_stats} if self._of_stats else {}
        return {_COMPONENTS: self._of_components, _STATE: state, **stats}

    def _raise_for_component(self) -> None:
        for path, values in self._of_components.items():
            for name, value in values.items():
                try:
                    self._codec.encode_value(value)
                except NotRecordableError as error:
                    raise StateNotRecordableError(
                        f"{path}.{name}, which RESUME_STATE names, cannot be serialized: {error}. "
                        "Keep plain values there, or register a codec for the type in "
                        "RESUME_CODECS."
                    ) from error

    def _culprit(self, state: Any) -> str:
        if isinstance(state, dict):
            for key, value in state.items():
                try:
                    self._codec.encode_value({key: value})
                except NotRecordableError:
                    return f"[{key!r}]"
        return ""
