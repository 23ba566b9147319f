"""Requests that share values, for a kill at every write."""

from __future__ import annotations

import os
from typing import Any

from tests.support.sharing import SharingSpider


class SmallSharingSpider(SharingSpider):
    """Groups of three that fill an item: over two levels, by a counter, and a chain."""

    name = "small_sharing"
    shape = "levels,counter,chain,fanin,start"
    n = "3"
    parents = "1"

    def __init__(self, **arguments: Any) -> None:
        super().__init__(site=os.environ["KINDS_SITE"], **arguments)
