"""The spiders, grouped by theme."""
