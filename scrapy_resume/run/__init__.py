"""One run of a job: how it opens the job, assembles its parts, commits and shuts down.

What happens to a single request is in ``tracking``, ``dispatch`` and ``frontier``; what touches
Scrapy's engine is in ``engine``.
"""
