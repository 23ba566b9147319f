"""The state beside the items: ``spider.state`` and the cookies, as they are with each finish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scrapy_resume.errors import NotRecordableError, StateNotRecordableError

if TYPE_CHECKING:
    from scrapy import Spider

    from scrapy_resume.codec import Codec
    from scrapy_resume.engine.cookies import Cookies
    from scrapy_resume.store.contract import Batch


class SpiderState:
    """What of it has changed since it was last sent."""

    def __init__(self, spider: Spider, codec: Codec, cookies: Cookies, text: str | None) -> None:
        self._spider = spider
        self._codec = codec
        self._cookies = cookies
        self._text = text
        """As it was sent last; ``None``: there has been none."""

    def restore(self) -> None:
        """Give the spider its ``state`` back: a dictionary, as with Scrapy's JOBDIR."""
        if self._text is not None:
            self._spider.state = self._codec.decode_value(self._text)  # type: ignore[attr-defined]
        elif not hasattr(self._spider, "state"):
            self._spider.state = {}  # type: ignore[attr-defined]

    def add_to(self, batch: Batch) -> None:
        """``spider.state`` and cookies as they are now, if they changed.

        At the end a batch gets them twice: what the second time finds is added to the first.
        """
        text = self._encoded()
        if text is not None and text != self._text:
            batch.state.spider_state = self._text = text
        batch.state.cookies.update(self._cookies.take_changes())

    def _encoded(self) -> str | None:
        state = getattr(self._spider, "state", None)
        if not state and self._text is None:
            return None
        try:
            return self._codec.encode_value(state)
        except NotRecordableError as error:
            raise StateNotRecordableError(
                f"spider.state{self._culprit(state)} cannot be written down: {error}. Keep plain "
                "values there, or register a codec for the type in RESUME_CODECS."
            ) from error

    def _culprit(self, state: Any) -> str:
        if isinstance(state, dict):
            for key, value in state.items():
                try:
                    self._codec.encode_value({key: value})
                except NotRecordableError:
                    return f"[{key!r}]"
        return ""
