"""Pages out of templates, and the files that they load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from scrapy_resume.reporting.times import iso, seconds_of
from scrapy_resume.web import words
from scrapy_resume.web.job_ids import job_id
from scrapy_resume.web.plots import bar, spark
from scrapy_resume.web.query import query_text
from scrapy_resume.wording import ago

MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class StaticFile(NamedTuple):
    """A file that pages load."""

    body: bytes
    media_type: str
    mark: str
    """Differs when the body does."""


@lru_cache(maxsize=1)
def static_files() -> Mapping[str, StaticFile]:
    """All of them by name. They are few and small: no path of a request reaches the disk."""
    found = {}
    for file in files("scrapy_resume.web").joinpath("static").iterdir():
        kind = file.name.rpartition(".")[2]
        if kind in MEDIA_TYPES:
            body = file.read_bytes()
            mark = blake2b(body, digest_size=6).hexdigest()
            found[file.name] = StaticFile(body, MEDIA_TYPES[kind], mark)
    return found


def _finished(value: Any) -> Any:
    """What every expression of a template goes through, before it is escaped."""
    return value if isinstance(value, Markup) else words.shown(value)


def _moment(value: str | float | None) -> Markup:
    """A time: in UTC here, in the reader's zone once the script has seen it."""
    if value is None:
        return Markup(words.NOTHING)
    stamp = value if isinstance(value, str) else iso(value)
    utc = f"{stamp[:10]} {stamp[11:16]}"
    return Markup('<time datetime="{0}" title="{1} UTC">{1} UTC</time>').format(stamp, utc)


def _since(value: str | float | None, now: float) -> Markup:
    """How long ago a time was; the time itself on hover."""
    if value is None:
        return Markup(words.NOTHING)
    stamp = value if isinstance(value, str) else iso(value)
    seconds = max(0.0, now - (seconds_of(stamp[:19] + "Z")))
    return Markup('<time class="ago" datetime="{}" title="{} UTC">{}</time>').format(
        stamp, f"{stamp[:10]} {stamp[11:19]}", ago(seconds)
    )


def _address(url: Any, longest: int = 0) -> Markup:
    """A URL from the web: a link if it leads to the web, else text."""
    text = words.short(url, longest) if longest else words.shown(url)
    target = words.web_address(url)
    if target is None:
        return escape(text)
    return Markup(
        '<a class="out" href="{}" rel="noreferrer noopener" target="_blank">{}</a>'
    ).format(target, text)


class Pages:
    """Renders templates for one dashboard."""

    def __init__(self, base: str, **always: Any) -> None:
        """``base``: the path under which it is served. ``always``: what every template has."""
        self._environment = environment = Environment(
            loader=PackageLoader("scrapy_resume.web"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_finished,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            number=words.number,
            rate=words.rate,
            percent=words.percent,
            duration=words.duration,
            short=words.short,
            moment=_moment,
            address=_address,
            asjson=json.dumps,
            first_up=words.first_up,
            latency=words.latency,
        )
        environment.globals.update(
            base=base,
            bar=bar,
            spark=spark,
            since=_since,
            query=query_text,
            job_id=job_id,
            static={
                name: f"{base}/static/{name}?{file.mark}" for name, file in static_files().items()
            },
            **always,
        )

    def render(self, name: str, /, **context: Any) -> bytes:
        """A page in UTF-8."""
        text = self._environment.get_template(f"{name}.html").render(**context)
        return text.encode("utf-8", "replace")
