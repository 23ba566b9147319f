"""Feeds, written from the committed items: each feed follows the store and never runs ahead of it.

Here: one entry of FEEDS over a run (``feed``), its files, and where their bytes go: local files
that are cut back on resume (``truncation``), post-processed files, uploads. Not here: the feed
exporter that Scrapy loads (``scrapy_resume.feedexport``), and how items are stored (``store``).
"""
