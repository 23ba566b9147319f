"""Read-only answers about jobs: reports, rates, forecasts, and the figures of a running crawl.

Nothing here writes to a store. Screens and HTML are in ``commands``.
"""
