"""Cookies that outlive the process: the jars of Scrapy's cookies middleware, all of them.

A jar is written when a response may have changed it, with the next batch that holds a finish
or a release: a login that is finished never loses its session.
"""

from __future__ import annotations

import logging
from http.cookiejar import Cookie
from typing import TYPE_CHECKING, Any, Final

from scrapy.downloadermiddlewares.cookies import CookiesMiddleware

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
"""The arguments of ``http.cookiejar.Cookie``, ``rest`` apart."""


class Cookies:
    """Reads and restores the jars of one crawl."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._jars: Any = None
        self._changed: set[Any] = set()
        self._kept: dict[str, str] = {}

    def attach(self, engine: ExecutionEngine, kept: Mapping[str, str]) -> None:
        """Find the middleware (there may be none) and put back what was kept."""
        for middleware in engine.downloader.middleware.middlewares:
            if isinstance(middleware, CookiesMiddleware):
                self._jars = middleware.jars
        if self._jars is None:
            return
        self._kept = dict(kept)
        for name, payload in kept.items():
            jar = self._jars[self._codec.decode_value(name)]
            for fields in self._codec.decode_value(payload):
                jar.set_cookie(_cookie(fields))

    def changed(self, jar: Any) -> None:
        """A response to a request with that ``meta["cookiejar"]`` has set cookies."""
        if self._jars is not None:
            self._changed.add(jar)

    def take_changes(self) -> dict[str, str]:
        """Jar → payload of the jars that differ from what was last taken."""
        taken: dict[str, str] = {}
        for key in self._changed:
            if key not in self._jars:
                continue
            try:
                name = self._codec.encode_value(key)
            except NotRecordableError as error:
                logger.error(
                    "The cookies of meta['cookiejar'] = %r are not kept: %s. Use a string or a "
                    "number.",
                    key,
                    error,
                )
                continue
            payload = self._codec.encode_value(_fields_of(self._jars[key]))
            if self._kept.get(name) != payload:
                taken[name] = self._kept[name] = payload
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
