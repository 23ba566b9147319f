"""The ETA of a job, and how it is written: one function each, for the log, every screen and
``--json``. No I/O.

The ETA is how long what is left takes at the rate so far (see ``rates``). Left are

- the pages that the spider expects beyond those that have ended (``expected_total``); or else
- the requests that are known and have not ended (``known``), a lower bound as long as the crawl
  discovers requests; or, where that is more,
- the named units that have not begun, at the rate of units (``units``): what they will lead to is
  not known yet, but how long others took is. Of units that have begun, the requests are known.

The larger of the last two counts, so the ETA does not jump when a crawl turns from one to the
other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

EXPECTED: Final = "expected_total"
KNOWN: Final = "known"
UNITS: Final = "units"

CAVEATS: Final = {KNOWN: ", of what is known", UNITS: ", of the units known"}
"""What an ETA does not take into account, by its basis."""

LEAST_MINUTES: Final = 0.1
"""An ETA that is shown is not shorter."""
MINUTES_AT_MOST: Final = 100
"""Longer ETAs are shown in hours."""
HOURS_AT_MOST: Final = 48
"""Longer ETAs are shown in days."""


class Eta(NamedTuple):
    """How long a job may still take, and what that rests on."""

    seconds: float | None = None
    """``None``: unknown; 0: nothing is left."""
    basis: str | None = None
    """``expected_total``, ``known`` or ``units``; ``None`` without an ETA."""

    def text(self) -> str:
        """``ETA 2.4 min, of what is known``."""
        return f"ETA {self.amount() or 'unknown'}"

    def amount(self) -> str | None:
        """``2.4 min, of what is known``, or ``none`` if nothing is left; ``None``: unknown."""
        if self.seconds is None:
            return None
        if not self.seconds:
            return "none"
        return f"{_shown(self.seconds)}{CAVEATS.get(self.basis or '', '')}"


def seconds_left(left: float, ended: float, seconds: float) -> float | None:
    """How long ``left`` take if ``ended`` took ``seconds``, rounded to a tenth.

    ``None`` before the first has ended.
    """
    if seconds <= 0 or ended <= 0:
        return None
    return round(left * seconds / ended, 1)


def _shown(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < MINUTES_AT_MOST:
        return f"{max(minutes, LEAST_MINUTES):.1f} min"
    hours = minutes / 60
    return f"{hours:.1f} h" if hours < HOURS_AT_MOST else f"{hours / 24:.1f} d"
