"""An add-on that has a crawl see a clock which the test sets, also while the crawl runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

CLOCK_FILE = "WRONG_CLOCK_FILE"
"""A setting: a file with the number of seconds by which the clock is ahead."""

ADDONS = '{"tests.support.wrong_clock.WrongClock": 1, "scrapy_resume.Addon": 500}'


class WrongClock:
    """Takes the place of the system's clock."""

    def update_settings(self, settings: Any) -> None:
        file, real, any_clock = Path(settings[CLOCK_FILE]), time.time, time.clock_gettime

        def ahead(clock: int = time.CLOCK_REALTIME) -> float:
            return float(file.read_text()) if clock == time.CLOCK_REALTIME else 0.0

        time.time = lambda: real() + ahead()
        time.clock_gettime = lambda clock: any_clock(clock) + ahead(clock)
