"""SIGKILL at random moments of crawls whose steps fail at random: all ends as without it."""

from __future__ import annotations

import random
import signal
from typing import Any

from tests.support.kills import Kill, Live
from tests.support.launcher import Launcher
from tests.support.reactors import ASYNCIO, Mode, others_in_soak
from tests.support.runs import Workplace
from tests.support.site import Site
from tests.support.steppings import Steppings

KILLS = 3
HOW = ("", "", "skip", "fail", "raise", "flaky", "later")
LONGEST_SECONDS = 0.08


def items_of(seed: int, count: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {
            "n": n,
            **({"html": "x" * n} if chance.random() < 0.8 else {}),
            "plan": {
                **{name: chance.choice(HOW) for name in ("double", "plain", "html")},
                "seconds": chance.uniform(0, LONGEST_SECONDS),
                "blocks": chance.uniform(0, LONGEST_SECONDS),
            },
        }
        for n in range(count)
    ]


def after_calls(steppings: Steppings, count: int) -> Kill:
    """SIGKILL when steps were called so often more."""

    def kill(live: Live) -> float | None:
        before = steppings.called().total()
        live.until(lambda: steppings.called().total() >= before + count)
        return live.send(signal.SIGKILL)

    return kill


def state_of(steppings: Steppings) -> dict[int, dict[str, Any]]:
    stored = steppings.stored()
    assert steppings.fed() == stored
    return stored


def check(
    seed: int, count: int, site: Site, launcher: Launcher, place: Workplace, mode: Mode = ASYNCIO
) -> None:
    items = items_of(seed, count)
    whole = Workplace(place.path / "whole")
    whole.path.mkdir()
    expected = Steppings(site, whole, launcher)
    run = expected.run(items, settings=mode.settings, on_site=True)
    assert run.is_finished, run.tail()
    assert len(expected.stored()) == count
    site.begin(place.path / "hits-killed.jsonl")
    chance = random.Random(seed)
    steppings = Steppings(site, place, launcher)
    for _ in range(KILLS):
        kill = after_calls(steppings, chance.randint(1, count))
        steppings.run(items, settings=mode.settings, on_site=True, kill=kill)
    last = steppings.run(items, settings=mode.settings, on_site=True)
    if not last.is_finished:
        raise AssertionError(last.tail())
    assert steppings.job()["status"] == "completed"
    assert state_of(steppings) == state_of(expected)
    pages = sum("/leaf/" in hit.url for hit in site.log.hits())
    assert count <= pages <= count + KILLS * 25, "no page is fetched for a step"


@others_in_soak
def test_killed_again_and_again_all_ends_as_if_nothing_had_been(
    site: Site, place: Workplace, launcher: Launcher, mode: Mode
) -> None:
    check(7, 30, site, launcher, place, mode)
