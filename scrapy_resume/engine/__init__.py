"""The only package that uses private parts of Scrapy; ``private_api`` lists and verifies them.

The rest of the package reaches Scrapy's engine through ``engine.port``. No state of a job is here.
"""
