"""Databases as feeds: the committed items as rows of a table, each exactly once.

SQLAlchemy is imported by ``connection``, ``side_tables``, ``columns``, ``table``, ``target`` and
``writes`` only, when such a feed is used.
"""
