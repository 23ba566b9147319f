"""A Scrapy project with one spider for each kind of thing that real spiders do.

Whatever the timing, every spider gives the same multiset of items under plain Scrapy;
so a run that was killed and resumed can be held against a plain one.
"""
