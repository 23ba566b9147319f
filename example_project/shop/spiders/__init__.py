"""The spiders: `books` follows links, `sitemap` reads the sitemap."""
