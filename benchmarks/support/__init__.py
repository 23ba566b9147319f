"""What the benchmarks stand on: a fast site, a few spiders, processes that are measured."""
