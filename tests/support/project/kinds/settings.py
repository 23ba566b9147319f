"""Settings of the project of kinds.

``KINDS_PLAIN=1`` in the environment leaves the package out altogether. ``SITE`` is the
local site's URL; ``RECORD_ITEMS`` a file to which every scraped item is appended.
"""

from __future__ import annotations

import os
from typing import Any

from kinds.write_points import install

BOT_NAME = "kinds"
SPIDER_MODULES = ["kinds.spiders"]

SITE = os.environ.get("KINDS_SITE", "http://127.0.0.1:8000")
RECORD_ITEMS = ""

IS_PLAIN = os.environ.get("KINDS_PLAIN") == "1"
ADDONS: dict[str, Any] = {} if IS_PLAIN else {"scrapy_resume.Addon": 500}

RETRY_TIMES = 5
RESUME_RETRY_DELAY = 0.05

EXTENSIONS = {"kinds.extensions.ItemRecorder": 500}

LOG_LEVEL = "INFO"
ROBOTSTXT_OBEY = False
TELNETCONSOLE_ENABLED = False
REMOTE_CONTROL_ENABLED = False

install(os.environ)
