"""URLs of exactly 60 characters, as sites have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Address = Callable[[str, int], str]
"""(origin, number of the row) -> URL."""

SHOP: Final = "https://shop.example.com"
LENGTH: Final = 60

KINDS: Final = (
    "art", "baby", "bath", "bike", "camp", "car", "city", "desk", "dog", "fish",
    "food", "game", "hair", "home", "kids", "mens", "new", "pet", "sale", "yoga",
)  # fmt: skip
GOODS: Final = (
    "bags", "beds", "bowls", "caps", "coats", "gear", "hats", "kits", "lamps", "mats",
    "oils", "pens", "sets", "toys", "tubs",
)  # fmt: skip
SLUGS: Final = (
    "light-blue-cotton-with-two-pockets-and-a-zip-second-edition",
    "solid-oak-oiled-folding-very-large-with-brass-fittings-left",
    "waterproof-for-three-seasons-dark-green-made-in-portugal-xl",
    "the-original-of-1962-stainless-steel-dishwasher-safe-set-of",
    "recycled-extra-soft-washable-grey-for-small-and-large-rooms",
    "spare-part-number-fits-all-models-since-2011-boxed-original",
    "unscented-refill-for-sensitive-skin-without-plastic-wrapped",
)


def product_url(origin: str, row: int) -> str:
    """A shop's, in one of 300 categories. The links of a page, which have numbers that follow one
    another, are of many."""
    kind, page = row % len(KINDS), row // len(KINDS)
    category = f"{KINDS[kind]}-{GOODS[page % len(GOODS)]}"
    return _filled(f"{origin}/catalogue/{category}/", row)


def flat_url(origin: str, row: int) -> str:
    """All pages are right below the origin."""
    return _filled(f"{origin}/", row)


def own_host_url(origin: str, row: int) -> str:
    """Each page has a host of its own: that origin's, with a number."""
    scheme, _, host = origin.partition("://")
    return _filled(f"{scheme}://{row}.{host}/", row)


def _filled(start: str, row: int) -> str:
    end = f"-{row}"
    room = max(LENGTH - len(start) - len(end), 0)
    return start + SLUGS[row % len(SLUGS)][:room].rstrip("-").ljust(room, "s") + end
