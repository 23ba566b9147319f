"""Requests before they are dispatched: leased rows by slot, deduplication, retry delays.

A small buffer in memory before the open requests in the store. Dispatching is in ``dispatch``,
storing in ``commits`` and ``store``.
"""
