"""What the parts of a run ask of their surroundings: the time, the event loop, the engine.

Protocols, handed to constructors. For Scrapy they are implemented in ``engine``; ``AsyncioClock``
serves plain asyncio. Nothing here imports Scrapy or Twisted.
"""
