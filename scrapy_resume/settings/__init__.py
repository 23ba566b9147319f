"""The ``RESUME_*`` settings: table, conversions, parsing, and what is derived from them.

Parsed once, frozen, and handed down. What the settings do is decided where they are used.
"""
