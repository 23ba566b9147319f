"""Requests before they are dispatched: leased rows by slot, deduplication, retry delays.

Holds a small buffer of the open requests in the store. ``dispatch`` chooses among them; ``commits``
and ``store`` store them.
"""
