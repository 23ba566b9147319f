"""Stages: work that is no crawl, with what a crawl has. ``stage`` is what a program uses.

A task is to a stage what a request is to a crawl: a row with a state, which is admitted, leased,
dispatched, retried and finished by the code that does it for requests. Nothing here imports
Twisted's reactor or Scrapy's engine, except for feeds (``stage_feeds``), which are Scrapy's.
"""
