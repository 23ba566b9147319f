"""The ways in which Scrapy can run: with the asyncio reactor, another reactor, or none."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec

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

every_mode = pytest.mark.parametrize(
    "mode",
    [
        pytest.param(
            mode,
            id=mode.name,
            marks=pytest.mark.skipif(bool(mode.unavailable), reason=str(mode.unavailable)),
        )
        for mode in MODES
    ],
)
