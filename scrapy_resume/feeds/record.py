"""What the store keeps of one file of a feed: where it is, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import msgspec

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.feeds.ranges import Range


@dataclass(frozen=True)
class Claim:
    """Bytes of a local file that a job has written; others' stand before, between and after."""

    ranges: Sequence[Range] = ()
    """In order."""
    digest: str = ""
    """Of all of them, in hex."""
    head: str = ""
    """The first few of them, in hex: tells a file that was cut from somebody else's."""

    @property
    def end(self) -> int:
        """The offset after the last of them; 0 if there are none."""
        return self.ranges[-1][1] if self.ranges else 0

    @property
    def size(self) -> int:
        """How many they are."""
        return sum(end - start for start, end in self.ranges)


class Phase(Enum):
    """What became of a file. The values are part of the stored format."""

    planned = "planned"
    """Its name is fixed; nothing was written."""
    open = "open"
    stored = "stored"
    """Delivered. The last file of a feed is opened again when the job goes on."""


@dataclass(frozen=True)
class FeedRecord:
    """One file (or upload) of a feed. A feed has several if it is written in batches."""

    uri: str
    """As its parameters were when the file began."""
    options: str
    """A digest of the feed's options: with others the file is written anew."""
    batch: int = 1
    """Scrapy's ``batch_id``, from 1."""
    start: int = 0
    """The id of the last item before this file's first; 0: it begins with the job's first."""
    through: int = 0
    """Items up to this id were offered to the file."""
    count: int = 0
    """Items in the file, of those up to ``through``."""
    fields: Sequence[str] = ()
    """The field names of the file's first item: a CSV file's header, if nothing else says so."""
    superseded: int = 0
    """The job's count of superseded items when the file was begun: with another one, it may
    hold items that the store has no more."""
    phase: Phase = Phase.planned
    base: int | None = None
    """The offset in a local file at which the job began to write; ``None``: it has not."""
    noted: bool = True
    """A note stands beside a local file that was begun (``Footprint``); false once the job is
    completed."""
    begun: bool = False
    """What stood there before the job began has been overwritten, if that was wanted."""
    claim: Claim = Claim()
    """The job's bytes in a local file, without the end that the format needs."""
    ending: Range | None = None
    """The bytes that end the format (JSON's bracket), if the file was ended and needs any."""
    ended: str = ""
    """The digest of the claim with those, in hex."""
    run: int = 0
    """The run whose part it is; 0: the file holds the items of all."""
    path: str | None = None
    """The local file in place of the URI's, if that one holds what somebody else changed."""


def rewound(record: FeedRecord) -> FeedRecord:
    """The record of a file that is written again from its first item."""
    return replace(
        record,
        through=record.start,
        count=0,
        fields=(),
        claim=Claim(),
        ending=None,
        phase=Phase.open if record.begun else Phase.planned,
    )


def encode_record(record: FeedRecord) -> str:
    """JSON, for the store."""
    return msgspec.json.encode(record).decode()


def decode_record(text: str) -> FeedRecord:
    """Raises ``StoreDamagedError``."""
    try:
        return msgspec.json.decode(text, type=FeedRecord)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StoreDamagedError(f"the record of a feed cannot be read: {error}") from error
