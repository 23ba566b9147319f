"""What the crawl and crash tests stand on: a local site, a project of spiders, runs, oracles."""
