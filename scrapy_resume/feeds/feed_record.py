"""What the store keeps of one file of a feed: where it is, and how far it has been written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import msgspec

from scrapy_resume.errors import StoreDamagedError
from scrapy_resume.feeds.byte_ranges import Range
from scrapy_resume.feeds.claim import Claim


class Phase(Enum):
    """The state of a file. The values are part of the stored format."""

    planned = "planned"
    """Its URI is fixed; nothing was written."""
    open = "open"
    stored = "stored"
    """Delivered. The last file of a feed is opened again when the job is resumed."""


@dataclass(frozen=True)
class FeedRecord:
    """One file (or upload) of a feed. A feed has several if it is written in batches.

    The field names are part of the stored format.
    """

    uri: str
    """With its parameters filled in when the file began."""
    options: str
    """A digest of the feed's options: if they change, the file is rewritten."""
    batch: int = 1
    """Scrapy's ``batch_id``, from 1."""
    start: int = 0
    """The id of the item before the file's first one; 0: the file begins with the job's first."""
    through: int = 0
    """Items up to this id were offered to the file."""
    count: int = 0
    """The number of items in the file, out of those up to ``through``."""
    fields: Sequence[str] = ()
    """The field names of the file's first item: a CSV file's header, unless an option sets it."""
    superseded: int = 0
    """The job's count of superseded items when the file was begun: if the count has grown since,
    the file may hold items that the store has no more."""
    phase: Phase = Phase.planned
    base: int | None = None
    """The offset in a local file at which the job began to write; ``None``: it has not begun."""
    noted: bool = True
    """An ownership note lies beside a local file. False before the file is begun, and once the job
    is completed and the note is removed: if there is no note then, the bytes that are the job's are
    those of ``claim`` and ``ending``."""
    begun: bool = False
    """The job has begun to write the file; if the feed overwrites, what was there is gone."""
    claim: Claim = field(default_factory=Claim)
    """The job's bytes in a local file, without those that end the format."""
    ending: Range | None = None
    """The bytes that end the format (JSON's bracket), if the file was ended and has any."""
    ended: str = ""
    """The digest, in hex, of the claim together with ``ending``."""
    run: int = 0
    """The run whose part the file is; 0: the file holds the items of all runs."""
    path: str | None = None
    """The local file that is written in place of the URI's, because somebody else has changed
    that one."""


def rewound(record: FeedRecord) -> FeedRecord:
    """The record of a file that is to be rewritten from its first item."""
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
    """JSON text for the store."""
    return msgspec.json.encode(record).decode()


def decode_record(text: str) -> FeedRecord:
    """Raises ``StoreDamagedError``."""
    try:
        return msgspec.json.decode(text, type=FeedRecord)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StoreDamagedError(f"the record of a feed cannot be read: {error}") from error
