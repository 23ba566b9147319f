"""Jobs in a PostgreSQL database: many workers on one job.

Mirrors ``sqlite`` file by file. The steps of a transaction are in ``transaction``.
"""
