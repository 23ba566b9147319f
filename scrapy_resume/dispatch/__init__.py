"""Decides which request is dispatched next, when delayed ones are due, which slots a worker owns.

Imports neither Scrapy's engine nor Twisted. ``frontier`` has the order within the lease buffer.
"""
