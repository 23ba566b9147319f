"""The spider of the feed tests: pages that are data themselves, a few items each."""

import asyncio
import os

from scrapy import Field, Item, Request, Spider


class Priced(Item):
    page = Field()
    place = Field()
    text = Field()


class FeedingSpider(Spider):
    name = "feeding"
    pages = 40
    per_page = 3
    pause_seconds = 0.02
    reuses_items = 0

    async def start(self):
        for number in range(int(self.pages)):
            yield Request(f"data:,{number}")

    async def parse(self, response):
        number = int(response.text)
        await asyncio.sleep(float(self.pause_seconds))
        if self.reuses_items:
            # One object for all items of a page, as a careless spider has it.
            item = {"page": number}
            for place in range(int(self.per_page)):
                item["place"] = place
                yield item
                await asyncio.sleep(0.01)
            return
        for place in range(int(self.per_page)):
            values = {"page": number, "place": place, "text": 'é<&,"\n' + "x" * (number % 7)}
            yield Priced(values) if place % 2 else values
        if os.environ.get("FEEDING_FAIL") == str(number):
            raise ValueError("as the test wants it")
