"""The life of a request in this process: admission, items, outcome, finish.

Knows neither Scrapy's engine nor Twisted. Which request goes next is in ``dispatch``; the rows in
the lease buffer are in ``frontier``.
"""
