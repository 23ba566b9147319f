"""Texts that many requests share are stored once: the links of a page mostly differ only in the
last part of their URL."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

REMEMBERED: Final = 2_000
"""Shared texts of a kind whose ids are cached; one that drops out is written once more."""

SHORTEST: Final = 12
"""Texts with fewer characters are not shared: it would not save space."""

SCHEME_END: Final = "://"


class SharedTexts:
    """Assigns ids to texts that occur more than once, in one batch or recently."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._last_id = 0
        """The highest id that was assigned."""

    def begin(self, last_id: int) -> None:
        """A transaction has begun; the store has texts up to that id. Texts that were added in a
        transaction that was rolled back do not exist, and their ids are assigned again."""
        if self._last_id > last_id:
            self._ids = OrderedDict(pair for pair in self._ids.items() if pair[1] <= last_id)
        self._last_id = last_id

    def ids(self, texts: Sequence[str], add: Callable[[str], int]) -> dict[str, int]:
        """The ids of those of a batch's texts that are shared; ``add`` writes a new one."""
        found = {}
        for text, times in Counter(texts).items():
            number = self._ids.get(text)
            if number is not None:
                self._ids.move_to_end(text)
            elif len(text) >= SHORTEST and self._is_common(text, times):
                number = self._ids[text] = self._last_id = add(text)
            else:
                continue
            found[text] = number
        while len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
        return found

    def _is_common(self, text: str, times: int) -> bool:
        """Whether to share a text that occurs ``times`` times in one batch."""
        return times > 1


class SharedBeginnings(SharedTexts):
    """Splits URLs into a beginning that others have too, and the rest.

    A beginning that occurs in two batches is shared too: the batches of a slow crawl are small.
    """

    def __init__(self) -> None:
        super().__init__()
        self._once: set[str] = set()
        self._new: list[str] = []
        """Beginnings that are new in this batch: they are counted once, though looked up twice."""

    def parted(
        self, urls: Sequence[str], add: Callable[[str], int]
    ) -> list[tuple[int | None, str]]:
        """(id of the beginning, the rest) of each; ``None``: the rest is the whole URL.

        The beginning is the URL's directory, or the origin if others don't share that. Joined
        again they are the URL to the letter, whatever it looks like.
        """
        self._new.clear()
        beginnings = [directory_of(url) for url in urls]
        known = self.ids(beginnings, add)
        if len(known) < len(set(beginnings)):
            beginnings = [text if text in known else origin_of(text) for text in beginnings]
            known |= self.ids([text for text in beginnings if text not in known], add)
            self._remember()
        return [
            (known[text], url[len(text) :]) if text in known else (None, url)
            for text, url in zip(beginnings, urls, strict=True)
        ]

    def _remember(self) -> None:
        self._once.update(self._new)
        if len(self._once) > REMEMBERED:
            self._once.clear()

    def _is_common(self, text: str, times: int) -> bool:
        if times > 1 or text in self._once:
            return True
        self._new.append(text)
        return False


def directory_of(url: str) -> str:
    """Up to the last slash of the path that has something behind it; empty if it has none."""
    scheme_end = url.find(SCHEME_END)
    if scheme_end < 0:
        return ""
    end = len(url) - 1
    for mark in "?#":
        place = url.find(mark, 0, end)
        if place >= 0:
            end = place
    slash = url.rfind("/", 0, end)
    return url[: slash + 1] if slash > scheme_end + 2 else ""


def origin_of(directory: str) -> str:
    """Scheme and host, with the slash, of what ``directory_of`` gave."""
    slash = directory.find("/", directory.find(SCHEME_END) + len(SCHEME_END))
    return directory[: slash + 1]
