"""Settings of the example project: one line for scrapy-resume, the rest is ordinary Scrapy."""

from importlib.util import find_spec
from os import environ

BOT_NAME = "shop"
SPIDER_MODULES = ["shop.spiders"]
NEWSPIDER_MODULE = "shop.spiders"

ADDONS = {"scrapy_resume.Addon": 500}

# The URL of the shop; `-a site=URL` on the command line overrides it.
SHOP_SITE = "http://127.0.0.1:8765"

ROBOTSTXT_OBEY = True
USER_AGENT = "shop-example (+https://scrapy.org)"
CONCURRENT_REQUESTS_PER_DOMAIN = 8
DOWNLOAD_DELAY = 0  # the shop is a local process; crawl other people's sites more slowly
RETRY_TIMES = 5

ITEM_PIPELINES = {"shop.pipelines.PricePipeline": 300}
if find_spec("PIL"):
    ITEM_PIPELINES["scrapy.pipelines.images.ImagesPipeline"] = 400
    IMAGES_STORE = "images"

if "SHOP_DB" in environ:
    # One row for each book, over all kills and crawls: `SHOP_DB=shop.db scrapy crawl books`.
    FEEDS = {
        f"sqlite:///{environ['SHOP_DB']}#%(name)s": {
            "format": "sql",
            "primary_key": "url",
            "on_conflict": "fill",
            "on_removed": "mark",
        }
    }

LOG_LEVEL = "INFO"
TELNETCONSOLE_ENABLED = False
FEED_EXPORT_ENCODING = "utf-8"
