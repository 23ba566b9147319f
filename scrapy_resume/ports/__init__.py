"""Protocols for what a run needs from its environment: the time, the event loop, the engine.

They are passed to constructors. ``engine`` implements them for Scrapy; ``AsyncioClock`` implements
``Clock`` for plain asyncio. Nothing here imports Scrapy or Twisted.
"""
