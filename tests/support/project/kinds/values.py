"""Types of values and items, as users define them in a module of their project."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import attrs
import scrapy
from pydantic import BaseModel


@dataclass
class Price:
    amount: Decimal
    currency: str = "EUR"


@attrs.define
class Seller:
    name: str
    since: date
    tags: list[str] = attrs.Factory(list)


class Note(BaseModel):
    text: str
    stars: int = 0


class Book(scrapy.Item):
    path: scrapy.Field = scrapy.Field()
    price: scrapy.Field = scrapy.Field()
    seen: scrapy.Field = scrapy.Field()


@dataclass
class Film:
    path: str
    released: date
    cast: list[str] = field(default_factory=list)


@attrs.define
class Song:
    path: str
    length: Decimal


class Game(BaseModel):
    path: str
    players: int
    notes: list[Note]


def item_of(number: int, path: str, released: date) -> Any:
    """An item whose type depends on the number."""
    price = Price(Decimal(number) / 4)
    choices: list[Any] = [
        {"path": path, "kind": "dict", "price": price, "raw": bytes([number])},
        Book(path=path, price=price, seen=(number, {"a", str(number)})),
        Film(path, released, ["A", "B"]),
        Song(path, Decimal("3.50")),
        Game(path=path, players=number, notes=[Note(text="fine", stars=number)]),
    ]
    return choices[number % 5]
