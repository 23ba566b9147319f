"""Jobs as SQLite files: one file for each job, in a directory.

Mirrors ``postgres`` file by file. The steps of a transaction are in ``transaction``.
"""
