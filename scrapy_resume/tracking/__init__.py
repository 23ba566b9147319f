"""The state of each request in this process: its admission, items, outcome and finish.

Imports neither Scrapy's engine nor Twisted. ``dispatch`` decides which request goes next;
``frontier`` has the rows and the lease buffer.
"""
