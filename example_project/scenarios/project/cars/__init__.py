"""A Scrapy project that fetches cars by make, and the dealers who sell them."""
