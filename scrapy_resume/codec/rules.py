"""The rules of a ``CrawlSpider``, known by what they are.

Scrapy keeps in ``meta["rule"]`` the place of a rule in the spider's list, and all requests of rules
have the same callback. The payload of such a request has the callback of its rule in place of that,
and a ``rule``: two digests, of what the rule does with a response, and of which links it takes.

    {"callback":"parse_book","rule":"5f1d0c3a 9b2e44d1","meta":{"rule":1,"link_text":"Emma"}}

``_callback`` stands for a rule without a callback, or with one that has no name. A request with
another callback and such a ``meta`` (a spider passes ``response.meta`` on) has a ``meta_rule``,
which begins with the name of the rule's callback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from scrapy_resume.codec.instance_state import state_of
from scrapy_resume.codec.unserializable import UnserializableError, type_name
from scrapy_resume.errors import CallbackMissingError

if TYPE_CHECKING:
    from scrapy_resume.codec.callables import Callables

CALLBACK: Final = "_callback"
"""The method of ``CrawlSpider`` that is the callback of all requests of rules."""
ERRBACK: Final = "_errback"
META: Final = "rule"
"""The key of ``meta``."""

_DEPTH: Final = 8
"""Levels of an extractor's parts that are looked at."""
_PARTS: Final = 5_000
"""Parts of an extractor that are looked at: it may refer to everything."""
_ADDRESS: Final = re.compile(r"\bat 0x[0-9a-fA-F]+")


class _Rule(NamedTuple):
    """What a rule is known by."""

    callback: str
    """The name of its callback; ``CALLBACK``: it has none, or one without a name."""
    effect: str
    """Digest of what it does with a response, beside the callback."""
    links: str
    """Digest of which links it takes."""
    named: bool
    """Its callback is absent or has a name, so that rules with equal effects are alike."""


class CrawlRules:
    """The rules of one spider."""

    def __init__(self, callables: Callables, rules: Callable[[], Sequence[Any]]) -> None:
        """``rules``: those that the spider has now."""
        self._callables = callables
        self._rules = rules
        self._source: Sequence[Any] = ()
        self._count = -1
        self._known: list[_Rule] = []
        self._texts: list[tuple[str, str]] = []
        self._found: dict[tuple[str, str], int] = {}
        self._look()  # before the extractors have kept anything of what they saw

    def text(self, index: object) -> tuple[str, str] | None:
        """(callback, digests) of the rule with an index in the list; ``None``: there is none."""
        self._look()
        if type(index) is not int or not 0 <= index < self._count:
            return None
        return self._texts[index]

    def index(self, callback: str, digests: str) -> int:
        """The index that a recorded rule has now. Raises CallbackMissingError."""
        self._look()
        place = self._found.get((callback, digests))
        if place is None:
            place = self._match(self._callables.present_name(callback), *digests.split(" "))
            if place is None:
                raise self._missing(callback)
            self._found[callback, digests] = place
        return place

    def _match(self, callback: str, effect: str, links: str) -> int | None:
        """The rule that is the same or, if it was edited, the one that has taken its place.

        A rule with another extractor but the same callback, arguments and ``follow`` does the same
        with a response. One with the same extractor and callback has other arguments now. Else the
        only rule with the callback is meant.
        """
        ranked = (
            lambda rule: (rule.effect, rule.links) == (effect, links),
            lambda rule: rule.effect == effect and rule.named,
            lambda rule: rule.links == links,
        )
        rules = [
            (place, rule) for place, rule in enumerate(self._known) if rule.callback == callback
        ]
        for fits in ranked:
            for place, rule in rules:
                if fits(rule):
                    return place
        return rules[0][0] if len(rules) == 1 and callback != CALLBACK else None

    def _missing(self, callback: str) -> CallbackMissingError:
        if callback != CALLBACK:
            # If the callback itself is gone, the error says what may be meant.
            self._callables.find(callback, "callback")
        which = "without a callback" if callback == CALLBACK else f"with the callback {callback!r}"
        return CallbackMissingError(
            f"a stored request belongs to a Rule {which}, which the spider does not have any more. "
            "Put the Rule back",
            name=callback,
            park=True,
        )

    def _look(self) -> None:
        rules = self._rules()
        if rules is self._source and len(rules) == self._count:
            return
        self._source, self._count = rules, len(rules)
        self._known = [self._describe(rule) for rule in rules]
        self._texts = [(rule.callback, f"{rule.effect} {rule.links}") for rule in self._known]
        self._found = {}

    def _describe(self, rule: Any) -> _Rule:
        callback = self._name(rule.callback)
        name = self._name(getattr(rule, "errback", None))
        own_name = getattr(rule, "name", None)  # newer versions of Scrapy; the next one too
        effect = _digest((name, own_name, bool(rule.follow), _form(rule.cb_kwargs)))
        links = _digest(
            (
                _form(rule.link_extractor),
                _form(rule.process_links),
                _form(rule.process_request),
                _form(getattr(rule, "from_rules", None)),
            )
        )
        return _Rule(callback or CALLBACK, effect, links, named=callback is not None)

    def _name(self, function: Any) -> str | None:
        """The name; empty for no function; ``None`` for one without a name."""
        if function is None:
            return ""
        try:
            return self._callables.name(function)
        except UnserializableError:
            return None


def _digest(form: object) -> str:
    return blake2b(repr(form).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def _form(value: Any) -> Any:
    return _Describer().form(value)


class _Describer:
    """Describes a value by tuples and text that are the same in every process."""

    def __init__(self) -> None:
        self._left = _PARTS

    def form(self, value: Any, depth: int = _DEPTH) -> Any:
        """The description; below ``depth`` levels, types only."""
        kind = type(value)
        if value is None or kind in (str, bytes, int, float, bool):
            return value
        self._left -= 1
        if depth <= 0 or self._left <= 0:
            return type_name(kind)
        inner = partial(self.form, depth=depth - 1)
        if isinstance(value, Mapping):
            pairs = [(repr(inner(key)), inner(part)) for key, part in value.items()]
            return ("mapping", sorted(pairs, key=repr))
        if isinstance(value, set | frozenset):
            return ("set", sorted((inner(part) for part in value), key=repr))
        if isinstance(value, list | tuple):
            return ("list", [inner(part) for part in value])
        if isinstance(value, re.Pattern):
            return ("pattern", value.pattern, value.flags)
        if isinstance(value, partial):
            return ("partial", inner(value.func), inner(value.args), inner(value.keywords))
        if isinstance(value, MethodType):
            return ("method", value.__func__.__qualname__)
        if isinstance(value, FunctionType):
            return _function_form(value, inner)
        if isinstance(value, ModuleType):
            return ("module", value.__name__)
        if isinstance(value, type):
            return ("class", type_name(value))
        if kind.__dictoffset__ or any("__slots__" in vars(base) for base in kind.__mro__):
            return (type_name(kind), inner(state_of(value)))
        text = repr(value)  # of a type that is written in C
        return (type_name(kind), "" if _ADDRESS.search(text) else text)


def _function_form(function: FunctionType, inner: Callable[[Any], Any]) -> Any:
    name = f"{function.__module__}:{function.__qualname__}"
    if "<" not in function.__qualname__:
        return ("function", name)
    cells = [inner(cell.cell_contents) for cell in function.__closure__ or ()]
    return ("function", name, _code_form(function.__code__), cells)


def _code_form(code: CodeType) -> Any:
    constants = [_code_form(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return (code.co_names, code.co_code.hex(), constants)
