"""Requests and items ⇄ JSON text that a person can read in a database shell. No pickle.

Here: which values can be serialized and in which form (``values``), requests (``requests``), items
(``items``), the types of ``RESUME_CODECS`` (``registered_codecs``). Not here: where the text is
stored (``store``), and the formats of feeds (``feeds``).
"""

from scrapy_resume.codec.codec import Codec

__all__ = ["Codec"]
