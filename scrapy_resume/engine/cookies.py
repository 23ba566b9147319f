"""Stores and restores the cookie jars of Scrapy's cookies middleware.

A jar that a response may have changed is stored with the next batch that holds an arrival, a finish
or a release: if the request of a login is finished, its session is stored too.
"""

from __future__ import annotations

import logging
from http.cookiejar import Cookie
from typing import TYPE_CHECKING, Any, Final

from scrapy.downloadermiddlewares.cookies import CookiesMiddleware

from scrapy_resume.engine.private_api import require
from scrapy_resume.errors import NotRecordableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scrapy.core.engine import ExecutionEngine
    from scrapy.http.cookies import CookieJar

    from scrapy_resume.codec import Codec

logger = logging.getLogger("scrapy_resume")

_FIELDS: Final = (
    "version",
    "name",
    "value",
    "port",
    "port_specified",
    "domain",
    "domain_specified",
    "domain_initial_dot",
    "path",
    "path_specified",
    "secure",
    "expires",
    "discard",
    "comment",
    "comment_url",
    "rfc2109",
)
"""The arguments of ``http.cookiejar.Cookie``, except ``rest``."""


class Cookies:
    """The cookie jars of one crawl."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._jars: Any = None
        self._changed: set[Any] = set()
        self._stored: dict[str, str] = {}
        """Serialized key of a jar → its cookies, as they were last taken or restored."""

    def attach(self, engine: ExecutionEngine, stored: Mapping[str, str]) -> None:
        """Find the cookies middleware and restore the stored jars. Without one, do nothing.

        Raises ``ScrapyChangedError``.
        """
        for middleware in engine.downloader.middleware.middlewares:
            if isinstance(middleware, CookiesMiddleware):
                require("CookiesMiddleware", middleware)
                self._jars = middleware.jars
        if self._jars is None:
            return
        self._stored = dict(stored)
        for name, payload in stored.items():
            jar = self._jars[self._codec.decode_value(name)]
            for fields in self._codec.decode_value(payload):
                jar.set_cookie(_cookie(fields))

    def mark_changed(self, jar: Any) -> None:
        """The jar with this key (``meta["cookiejar"]``) may have changed."""
        if self._jars is not None:
            self._changed.add(jar)

    def take_changes(self) -> dict[str, str]:
        """The jars that have changed since the last call: serialized key → serialized cookies.

        A jar whose key cannot be serialized is logged and left out.
        """
        taken: dict[str, str] = {}
        for key in self._changed:
            if key not in self._jars:
                continue
            try:
                name = self._codec.encode_value(key)
            except NotRecordableError as error:
                logger.error(
                    "The cookies of meta['cookiejar'] = %r are not stored: %s. Use a string or a "
                    "number.",
                    key,
                    error,
                )
                continue
            payload = self._codec.encode_value(_fields_of(self._jars[key]))
            if self._stored.get(name) != payload:
                taken[name] = self._stored[name] = payload
        self._changed.clear()
        return taken


def _fields_of(jar: CookieJar) -> list[dict[str, Any]]:
    found = []
    for cookie in jar:
        fields = {field: getattr(cookie, field) for field in _FIELDS}
        fields["rest"] = dict(cookie._rest)  # type: ignore[attr-defined]
        found.append(fields)
    return found


def _cookie(fields: dict[str, Any]) -> Cookie:
    return Cookie(**fields)
