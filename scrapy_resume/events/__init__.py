"""Who is told of committed work: commit listeners, signal handlers, the event log.

Handlers of Scrapy's own signals are in ``extensions``; the feeds are in ``feeds``.
"""
