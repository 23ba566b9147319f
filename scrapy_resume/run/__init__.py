"""One run of a job: opens the job, assembles the parts, synchronizes batches and shuts down.

``tracking``, ``dispatch`` and ``frontier`` handle the single request; ``engine`` is what touches
Scrapy's engine.
"""
