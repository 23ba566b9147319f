"""Which request the engine gets next, when a delayed one is due, and which slots this worker owns.

Knows neither Scrapy's engine nor Twisted. The order within the buffer is in ``frontier``.
"""
