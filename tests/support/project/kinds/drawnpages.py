"""The pages of worlds that are drawn from a seed, and how often what is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

ADDRESSES = ("127.0.0.1", "127.0.1.1", "127.0.1.2")
"""Where the site has to listen."""

HOSTS = (*ADDRESSES, "localhost")
OFFSITE = "elsewhere.invalid"
JOB = "drawn"

ANY_FORM = ("generator", "list", "coroutine", "async", "lambda", "async lambda", "lock")
RAISING_FORMS = ("generator", "lambda", "lock")
ASYNC_FORMS = ("async", "async lambda")
UNRECORDABLE = {"lambda", "async lambda", "lock"}
LOST_FOR_GOOD = ("missing", "gone", "forbidden", "error", "unavailable", "dropped")
STATUSES = {"missing": 404, "gone": 410, "forbidden": 403, "error": 500, "unavailable": 503}
LARGEST_BYTES = 20_000
"""``DOWNLOAD_MAXSIZE`` where it is set."""


@dataclass(frozen=True)
class Ask:
    """How one page asks for another."""

    target: int
    form: str = "generator"
    unfiltered: bool = False
    alias: bool = False
    priority: int = 0
    odd: bool = False
    errback: str = "failed"
    """The name of a method, "lambda" or "" for none."""
    unit: str = ""


Step = tuple[Any, ...]
"""("item", number, fate, target), ("ask", Ask), ("rest", seconds), ("inner", number),
("raise",), ("again",)."""


@dataclass
class Page:
    """``forms`` are those of callbacks for it; ``rank`` limits who may ask without a filter."""

    number: int
    kind: str
    host: str
    level: int
    query: dict[str, Any] = field(default_factory=dict)
    http: str = "GET"
    forms: tuple[str, ...] = ANY_FORM
    rank: int = 0
    to: int | None = None
    jar: int | None = None
    steps: list[Step] = field(default_factory=list)
    after_failure: list[Step] = field(default_factory=list)
    """What its errback gives."""

    @property
    def is_private(self) -> bool:
        """One page alone asks for it."""
        return self.rank < 0

    def url(self, port: int) -> str:
        host = OFFSITE if self.kind == "offsite" else self.host
        origin = f"http://{host}:{port}"
        if self.kind == "login":
            return f"{origin}/login?user=u{self.number}"
        if self.kind == "loop":
            return f"{origin}/loop/{self.number}{'-self' if self.query['self'] else ''}"
        if self.kind in {"secret", "private"}:
            return f"{origin}/{self.kind}/{self.number}"
        query = {name: value for name, value in self.query.items() if name != "to"}
        if self.to is not None:
            query["to"] = self.query["to"].url(port)
        return f"{origin}/made/{self.number}" + (f"?{urlencode(query)}" if query else "")


def number_of(url: str) -> int:
    """The number of the page at a URL."""
    parts = urlsplit(url)
    if parts.path == "/login":
        return int(parse_qs(parts.query)["user"][0][1:])
    return int(parts.path.rpartition("/")[2].partition("-")[0])


def odd_value(number: int) -> Any:
    """Something that JSON does not have."""
    return {
        "when": datetime(2024, 1, 1 + number % 28, number % 24),
        "raw": bytes([number % 256, 255]),
        "pair": (number, Decimal(number) / 8),
        3: {number, -1},
        "none": None,
    }


CALLED = {
    "page", "flaky", "slow", "again", "raising", "inner", "post", "unbelieved", "noticed", "login",
    "shortcut",
}  # fmt: skip
"""Kinds whose response reaches a callback."""

FAILING = {"dead", "secret", "large", "input_error", "loop", "unwanted"}
"""Kinds that may reach an errback."""

KINDS = {
    "redirect": 6, "flaky": 4, "dead": 2, "slow": 1, "again": 2, "raising": 2, "inner": 1,
    "post": 2, "unbelieved": 1, "input_error": 1, "refused": 1, "noticed": 1, "secret": 1,
    "offsite": 1, "large": 1, "login": 1, "loop": 1, "shortcut": 1, "unwanted": 1,
}  # fmt: skip
"""How often a kind is drawn, where its feature is.

The callback wants an *again* page twice, a downloader middleware an *unbelieved* one; it answers
for the site where there is a *shortcut*, and ignores what is *unwanted*. A spider middleware
refuses the response of an *input_error*, a handler of ``request_scheduled`` what is *refused*;
one of ``response_received`` asks for one more page where one is *noticed*.
"""

FEATURE_OF = {
    "input_error": "middlewares", "unbelieved": "middlewares", "refused": "signals",
    "noticed": "signals", "secret": "robots", "loop": "redirect", "shortcut": "middlewares",
    "unwanted": "middlewares",
}  # fmt: skip

FEATURES = {
    "hosts": 0.4, "redirect": 0.7, "flaky": 0.6, "limited": 0.4, "dead": 0.5, "slow": 0.3,
    "again": 0.35, "raising": 0.4, "inner": 0.2, "post": 0.3, "middlewares": 0.4, "signals": 0.3,
    "robots": 0.2, "offsite": 0.2, "large": 0.15, "login": 0.25, "pipeline": 0.4, "twins": 0.3,
    "lambdas": 0.5, "alias": 0.3, "priorities": 0.4, "odd": 0.4, "units": 0.2, "unfiltered": 0.5,
    "cross": 0.6, "rests": 0.4, "many": 0.06, "many starts": 0.3, "start items": 0.3,
    "every run": 0.2, "idle": 0.2, "breaker": 0.15, "delay": 0.15, "cache": 0.1, "depth": 0.15,
}  # fmt: skip
"""The probability of each in a seed."""
