"""The books that the shop sells, made up from their numbers: the truth that a crawl must find.

Everything here is a function of a book's number, so that it is the same on every machine and in
every Python, and so that what a crawl should give is known without crawling.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

DEFAULT_SITE = "http://127.0.0.1:8765"

CATEGORY_SIZES = {
    "Astronomy": 74,
    "Biography": 68,
    "Cooking": 62,
    "Crime": 58,
    "Fantasy": 54,
    "Gardening": 50,
    "History": 48,
    "Music": 46,
    "Philosophy": 42,
    "Poetry": 38,
    "Science": 34,
    "Travel": 26,
}
BOOKS_PER_PAGE = 20
RELATED_BOOKS = 3
STAFF_NUMBERS = range(9001, 9001 + len(CATEGORY_SIZES))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ADJECTIVES = _words(
    "Quiet Distant Borrowed Salted Crooked Luminous Patient Forgotten Northern Hollow Gilded "
    "Restless Winter Unfinished Naïve Second"
)
_NOUNS = _words(
    "Orchard Café Lighthouse Cartographer Kettle Meridian Sparrow Archive Harbour Almanac Fjord "
    "Clockmaker Staircase Comet Márquez Letter"
)
_FIRST_NAMES = _words("Ada Bjørn Chiara Dmitri Eloïse Farid Greta Hiro Inés Jonas Keiko Łukasz")
_LAST_NAMES = _words("Ashdown Brontë Castellanos Dvořák Eriksen Fontaine Grünwald Hale Ibsen")
_TAILS = ("", "", " & Other Stories", " Revisited", ": A Memoir", ", Volume II", " Explained")
_OPENINGS = (
    "A novel kind of guide to",
    "Everything nobody told you about",
    "The long awaited account of",
    "Forty short chapters on",
    "An unreliable history of",
)
_SUBJECTS = (
    "getting lost on purpose",
    "what the neighbours knew",
    "weather, bread & patience",
    "the year the river froze",
    "things that go on where they left off",
)


def _draw(number: int, purpose: str, below: int) -> int:
    """A pseudo-random number from 0 to `below` - 1, the same in every process."""
    digest = hashlib.sha256(f"{purpose}:{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % below


def _pick(number: int, purpose: str, choices: Sequence[str]) -> str:
    return choices[_draw(number, purpose, len(choices))]


def slug(text: str) -> str:
    """The text as part of a URL: ASCII letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


@dataclass(frozen=True)
class CatalogueBook:
    """One book of the shop."""

    number: int
    category: str

    @property
    def title(self) -> str:
        """The title, which is unique; a few titles contain non-ASCII letters."""
        adjective = _pick(self.number, "adjective", _ADJECTIVES)
        noun = _pick(self.number, "noun", _NOUNS)
        return f"The {adjective} {noun}{_pick(self.number, 'tail', _TAILS)} ({self.number})"

    @property
    def author(self) -> str:
        """First and last name."""
        first = _pick(self.number, "first", _FIRST_NAMES)
        return f"{first} {_pick(self.number, 'last', _LAST_NAMES)}"

    @property
    def description(self) -> str:
        """One sentence."""
        opening = _pick(self.number, "opening", _OPENINGS)
        return f"{opening} {_pick(self.number, 'subject', _SUBJECTS)}."

    @property
    def isbn(self) -> str:
        """Thirteen digits, of which the last is the check digit."""
        digits = f"97800{self.number:07d}"
        total = sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(digits))
        return f"{digits}{-total % 10}"

    @property
    def price(self) -> str | None:
        """Pounds and pence; None for a book that is announced but not for sale yet."""
        if self.number % 60 == 11:
            return None
        return f"{5 + _draw(self.number, 'pounds', 50)}.{_draw(self.number, 'pence', 100):02d}"

    @property
    def stock(self) -> int:
        """The number of copies in stock."""
        return _draw(self.number, "stock", 25)

    @property
    def rating(self) -> int:
        """Stars, from 1 to 5."""
        return 1 + _draw(self.number, "rating", 5)

    @property
    def is_staff(self) -> bool:
        """Whether robots.txt disallows its page, which is linked nevertheless."""
        return self.number in STAFF_NUMBERS

    @property
    def is_flaky(self) -> bool:
        """Whether its page answers the first two requests with 503."""
        return self.number % 30 == 13

    @property
    def path(self) -> str:
        """The path of its page."""
        area = "/staff/book" if self.is_staff else "/book"
        return f"{area}/{slug(self.title)}/"

    @property
    def old_paths(self) -> list[str]:
        """Old paths: each redirects to the next one, the last to `path`."""
        hops = {7: ["index.php"], 27: ["index.php", "catalogue"]}.get(self.number % 40, [])
        return [f"/{hop}/{self.number}.html" for hop in hops]

    @property
    def linked_path(self) -> str:
        """The path that its category links to, which may be an old one."""
        return [*self.old_paths, self.path][0]

    @property
    def stock_path(self) -> str:
        """The path of the warehouse's answer about it."""
        return f"/api/stock/{self.isbn}"

    @property
    def is_stock_flaky(self) -> bool:
        """Whether the warehouse fails the first time that it is asked about it."""
        return self.number % 5 == 2

    @property
    def cover_path(self) -> str:
        """The path of its image."""
        return f"/media/{self.number}.png"


def books_of(category: str) -> list[CatalogueBook]:
    """The books of a category, without the one in the staff area."""
    names = list(CATEGORY_SIZES)
    ends = list(accumulate(CATEGORY_SIZES.values()))
    place = names.index(category)
    first = ends[place] - CATEGORY_SIZES[category] + 1
    return [CatalogueBook(number, category) for number in range(first, ends[place] + 1)]


def staff_book_of(category: str) -> CatalogueBook:
    """The book of a category whose page robots.txt disallows."""
    return CatalogueBook(STAFF_NUMBERS[list(CATEGORY_SIZES).index(category)], category)


def discontinued_paths(category: str) -> dict[str, int]:
    """Paths of books that are gone but still linked → the status of the response."""
    name = slug(category)
    return {f"/book/lost-{name}/": 404, f"/book/sold-out-{name}/": 404, f"/book/gone-{name}/": 410}


def all_books() -> Iterator[CatalogueBook]:
    """The 600 books whose pages may be fetched."""
    for category in CATEGORY_SIZES:
        yield from books_of(category)


def related_books(book: CatalogueBook) -> list[CatalogueBook]:
    """Other books of the same category."""
    shelf = books_of(book.category)
    first = shelf[0].number
    steps = (1 + _draw(book.number, f"related {n}", len(shelf) - 1) for n in range(RELATED_BOOKS))
    return [shelf[(book.number - first + step) % len(shelf)] for step in steps]


STEP_FIELDS = ("stock", "description", "photos")
"""The fields that come from steps and not from a page."""


def expected_products(site: str = DEFAULT_SITE) -> list[dict[str, object]]:
    """The items that a complete crawl of the shop at `site` stores, each exactly once; of
    `photos` the URLs."""
    return [
        {
            "url": site + book.path,
            "isbn": book.isbn,
            "title": book.title,
            "author": book.author,
            "category": book.category,
            "price": book.price,
            "currency": "GBP",
            "stock": book.stock,
            "rating": book.rating,
            "blurb": "",
            "description": book.description,
            "photo_urls": [site + book.cover_path],
            "photos": [site + book.cover_path],
        }
        for book in all_books()
        if book.price is not None
    ]
