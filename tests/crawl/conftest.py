"""The local site and the plain runs that these tests share."""

from tests.support.fixtures import launcher, place, site, truths

__all__ = ["launcher", "place", "site", "truths"]
