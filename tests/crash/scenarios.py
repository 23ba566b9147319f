"""Ways to interrupt a crawl, each as a function of a seed."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.kills import (
    Kill,
    after_seconds,
    at_hits,
    in_turn,
    random_kills,
    twice,
    when_logged,
)
from tests.support.reactors import ASYNCIO, MODES, Mode

Interruptions = Callable[[int, int], Sequence[Kill]]


@dataclass(frozen=True)
class Scenario:
    """``kills(seed, hits)`` gives the kills for a crawl that asks for that many pages.

    ``from_start`` scenarios need a process that starts Python anew.
    """

    name: str
    kills: Interruptions
    mode: Mode = ASYNCIO
    from_start: bool = False


def sigkills(seed: int, hits: int) -> Sequence[Kill]:
    return random_kills(seed, hits, 3)


def sigterm(seed: int, hits: int) -> Sequence[Kill]:
    chance = random.Random(seed)
    return [at_hits(chance.randint(1, hits * 2 // 3), signum=signal.SIGTERM)]


def sigterm_twice(seed: int, hits: int) -> Sequence[Kill]:
    chance = random.Random(seed)
    return [twice(chance.randint(1, hits // 2)) for _ in range(2)]


def starting(seed: int, hits: int) -> Sequence[Kill]:
    """Three kills within the first second and a half of the process."""
    chance = random.Random(seed)
    return [after_seconds(chance.uniform(0.3, 1.5)) for _ in range(3)]


def closing(seed: int, hits: int) -> Sequence[Kill]:
    """A kill while a SIGTERM's close is under way, another in the close at the end."""
    chance = random.Random(seed)
    stopped = at_hits(chance.randint(1, hits // 2), signum=signal.SIGTERM)
    killed = when_logged("Closing spider", chance.uniform(0, 0.1))
    at_end = when_logged("Closing spider (finished)", chance.uniform(0, 0.05))
    return [in_turn(stopped, killed), at_end]


SIGKILLS = Scenario("SIGKILL x 3", sigkills)
SIGTERM = [Scenario(f"SIGTERM, {mode.name}", sigterm, mode) for mode in MODES]
SIGTERM_TWICE = [Scenario(f"SIGTERM twice, {mode.name}", sigterm_twice, mode) for mode in MODES]
STARTING = Scenario("SIGKILL in start-up x 3", starting, from_start=True)
CLOSING = Scenario("SIGKILL in close x 2", closing)

ALL = [SIGKILLS, *SIGTERM, *SIGTERM_TWICE, STARTING, CLOSING]
