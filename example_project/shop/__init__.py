"""A Scrapy project that crawls a book shop, and survives whatever happens to it."""
