"""Settings of the benchmarks' spiders. ``BENCH_PLAIN=1`` in the environment: without the add-on."""

from __future__ import annotations

import os
from typing import Any

BOT_NAME = "bench"
SPIDER_MODULES = ["benchmarks.support.spiders"]

SITE = ""
"""The site's URL; given on the command line."""

ADDONS: dict[str, Any] = (
    {} if os.environ.get("BENCH_PLAIN") == "1" else {"scrapy_resume.Addon": 500}
)
EXTENSIONS = {
    "benchmarks.support.extensions.StartUpCost": 0,
    "benchmarks.support.extensions.UncountedUnits": 0,
}

LOG_LEVEL = "INFO"
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False
