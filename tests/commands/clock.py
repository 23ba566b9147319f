"""A clock for screens that are to look the same each time."""

from __future__ import annotations

from dataclasses import dataclass

EPOCH = 1_714_557_600.0
"""2024-05-01 10:00:00 UTC."""


@dataclass
class Clock:
    """Stands still between the moments at which it is moved on."""

    now: float = EPOCH

    def __call__(self) -> float:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += seconds
