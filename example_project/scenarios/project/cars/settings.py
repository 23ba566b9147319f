"""Settings of a crawl that may be interrupted; the scenarios change them with `-s`."""

import os

BOT_NAME = "cars"
SPIDER_MODULES = ["cars.spiders"]

ADDONS = {"scrapy_resume.Addon": 500}

# The URL of the site, set by whoever runs the scenario.
CARS_SITE = os.environ["CARS_SITE"]

CONCURRENT_REQUESTS = 2
DOWNLOAD_DELAY = 0  # the site is a local one
RETRY_TIMES = 2  # three attempts
RESUME_RETRY_DELAY = 0.2  # seconds, then twice that; 5 for a site of other people's

LOG_LEVEL = "INFO"
LOG_FORMAT = "[%(name)s] %(levelname)s: %(message)s"
TELNETCONSOLE_ENABLED = False
FEED_EXPORT_ENCODING = "utf-8"
