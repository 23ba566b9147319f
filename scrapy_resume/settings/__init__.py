"""The ``RESUME_*`` settings: their table, conversion, parsing, and what is derived from them.

They are parsed once, frozen and passed on. What a setting does is decided where it is used.
"""
