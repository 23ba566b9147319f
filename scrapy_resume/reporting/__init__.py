"""Read-only answers about jobs: reports, progress, rates, forecasts; and a running crawl's figures.

Nothing here writes to a store. How answers look on a screen or an HTML page is in ``commands``.
"""
