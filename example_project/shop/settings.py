"""Settings of the example project: one line for scrapy-resume, one for steps of its items."""

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

# What is done with a book after its page, and tried again without it: see docs/steps.md.
RESUME_STEPS = {
    "shop.steps.Photos": 100,
    "shop.steps.stock": 200,
    "shop.steps.description": 300,
}
FILES_STORE = "photos"
FILES_URLS_FIELD = "photo_urls"
FILES_RESULT_FIELD = "photos"

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
