"""The ways in which Scrapy can run: with the asyncio reactor, another reactor, or none."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest
from scrapy.settings import default_settings

from tests.support.skips import other_scrapy


@dataclass(frozen=True)
class Mode:
    """The settings that select a way to run.

    ``unavailable`` is the reason to skip its tests; ``None``: it can be used here.
    """

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    unavailable: str | None = None


def _without_reactor() -> str | None:
    if not hasattr(default_settings, "TWISTED_REACTOR_ENABLED"):
        return other_scrapy("it always needs a reactor")
    if not any(find_spec(client) for client in ("aiohttp", "httpx", "httpx2")):
        return "no HTTP client that works without a reactor"
    return None


ASYNCIO = Mode("asyncio")
SELECT = Mode("select", {"TWISTED_REACTOR": "twisted.internet.selectreactor.SelectReactor"})
NO_REACTOR = Mode("none", {"TWISTED_REACTOR_ENABLED": "False"}, _without_reactor())

MODES = [ASYNCIO, SELECT, NO_REACTOR]


def _in(mode: Mode, *marks: pytest.MarkDecorator) -> Any:
    unavailable = pytest.mark.skipif(bool(mode.unavailable), reason=str(mode.unavailable))
    return pytest.param(mode, id=mode.name, marks=[unavailable, *marks])


every_mode = pytest.mark.parametrize("mode", [_in(mode) for mode in MODES])

others_in_soak = pytest.mark.parametrize(
    "mode", [_in(ASYNCIO), *(_in(mode, pytest.mark.soak) for mode in MODES if mode is not ASYNCIO)]
)
"""As ``every_mode``; what another reactor or none may change is left to the soak."""
