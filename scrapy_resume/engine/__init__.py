"""The only package that touches private parts of Scrapy: of its engine, downloader and pipelines.

The rest of the package asks Scrapy's engine through ``engine.port``. No state of a job is here.
"""
